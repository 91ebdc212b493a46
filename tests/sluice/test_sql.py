"""`sluice sql`: its three output formats, its prompt, its one-line errors."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.settings import Settings
from sluice.cli import main
from tests.flows.analytics.conftest import served_copy

Ask = Callable[..., Result]

TYPES = (
    "SELECT 1 AS n, 'a, \"b\"\n\x1b[31m' AS text, NULL AS nothing, true AS yes, 1.50::DECIMAL(9, 2) AS price, "
    "['x', 'y'] AS list, TIMESTAMP '2026-11-23 12:00:00.5' AS moment, 9223372036854775808 AS big"
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with served_copy(tmp_path_factory.mktemp("asked")) as served:
        yield served


@pytest.fixture
def ask(settings: Settings) -> Ask:
    environment = {"SLUICE_DATA": str(settings.data), "SLUICE_PORT_OFFSET": str(settings.port_offset)}
    return lambda *args, typed="": CliRunner().invoke(main, ["sql", *args], env=environment, input=typed)


def test_json_is_a_list_of_objects(ask: Ask) -> None:
    result = ask(TYPES, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [
        {
            "n": 1,
            "text": 'a, "b"\n\x1b[31m',
            "nothing": None,
            "yes": True,
            "price": 1.5,
            "list": ["x", "y"],
            "moment": "2026-11-23T12:00:00.500000Z",
            "big": 9223372036854775808,
        }
    ]


def test_two_columns_of_one_name_are_two(ask: Ask) -> None:
    assert json.loads(ask("SELECT 1 AS a, 2 AS a", "--json").stdout) == [{"a": 1, "a_1": 2}]
    assert ask("SELECT now() AS a, 2 AS a", "--csv").stdout.startswith("a,a_1\n")


def test_csv_reads_back(ask: Ask) -> None:
    rows = list(csv.reader(io.StringIO(ask("--csv", TYPES).stdout)))
    assert rows[0] == ["n", "text", "nothing", "yes", "price", "list", "moment", "big"]
    assert rows[1] == [
        "1",
        'a, "b"\n\x1b[31m',
        "",
        "true",
        "1.50",
        '["x","y"]',
        "2026-11-23T12:00:00.500000Z",
        "9223372036854775808",
    ]


def test_a_table_lines_up_and_cannot_speak_to_the_terminal(ask: Ask) -> None:
    shown = ask("SELECT 5 AS n, 'red\x1b[31m' AS colour UNION ALL SELECT 1234, 'x' ORDER BY n").stdout
    assert shown.splitlines() == ["   n  colour", "────  ────────", "   5  red·[31m", "1234  x", "(2 rows)"]


def test_no_rows_are_a_table_too(ask: Ask) -> None:
    assert ask("SELECT id, state FROM payments").stdout.splitlines() == ["id  state", "──  ─────", "(0 rows)"]
    assert json.loads(ask("SELECT id FROM payments", "--json").stdout) == []


@pytest.mark.parametrize(
    "query", ["DROP VIEW payments", "SELECT nothing FROM nowhere", "SELECT getenv('HOME')", "SELEC 1"]
)
def test_what_cannot_be_answered_is_one_line_and_exit_1(ask: Ask, query: str) -> None:
    result = ask(query)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: ")


def test_the_prompt_takes_statements_over_several_lines_and_goes_on_after_a_mistake(ask: Ask) -> None:
    result = ask("--json", typed="SELECT 1 AS a,\n2 AS b;\nDROP VIEW payments;\nSELECT 3 AS c")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ['[{"a":1,"b":2}]', '[{"c":3}]']
    assert result.stderr.startswith("Error: refused")


def test_a_script_ends_at_its_first_error(ask: Ask, tmp_path: Path) -> None:
    script = tmp_path / "questions.sql"
    script.write_text("SELECT 1 AS a;\n-- $b is given\nSELECT $b AS b;\n\nSELECT\n nothing;\nSELECT 4 AS d;\n")
    result = ask("--csv", "-f", str(script), "-p", "b=it's; two")
    assert (result.exit_code, result.stdout) == (1, "a\n1\nb\nit's; two\n")
    assert result.stderr.startswith(f"Error: {script}:5: ")
    assert len(result.stderr.splitlines()) == 1
    assert ask("--csv", "-f", "-", typed="SELECT 1 AS a; SELECT 2 AS a").stdout == "a\n1\na\n2\n"
    script.write_bytes("SELECT 'München'".encode("latin-1"))
    assert ask("-f", str(script)).stderr == f"Error: {script} is not UTF-8\n"
    assert ask(typed=script.read_bytes()).stderr == "Error: what comes by the pipe is not UTF-8\n"


def test_a_parameter_is_asked_for_in_one_line(ask: Ask) -> None:
    missing = ask("SELECT $least")
    assert (missing.exit_code, missing.stderr) == (1, "Error: no value for $least: give it with -p least=…\n")
    assert ask("SELECT 1", "-p", "least").exit_code == ask("SELECT 1", "-f", "-").exit_code == 2
    assert "card number" in ask("SELECT $card", "-p", "card=4111111111111111").stderr


def test_the_prompt_tells_what_there_is(ask: Ask) -> None:
    told = ask(
        typed=".views\n.columns labels\n.set least=2\n.set\n.mode lines\nSELECT $least\n AS n;\n.quit\nSELECT 3;"
    )
    assert "payments_by_hour" in told.stdout
    assert "duckdb_tables" not in told.stdout
    assert not re.search(r"^a\d+ ", told.stdout, re.MULTILINE)  # an answer that was just made
    assert re.search("label +VARCHAR +fraud or good", told.stdout)
    assert told.stdout.endswith("── 1\nleast  2\n(1 row)\n── 1\nn  2\n(1 row)\n")
    wrong = ask(typed=".nothing\n.columns nothing\n.set 1\n.mode pie\nSELECT 1 AS a;")
    assert wrong.stderr.count("Error: ") == len(wrong.stderr.splitlines()) == 4
    assert wrong.exit_code == 0


@pytest.mark.parametrize(
    "host",
    [
        "http://192.0.2.1:9494",
        "quack:localhost",
        "localhost:9494",
        "https://sql.example",
        "https://me@sql.example:1",
    ],
)
def test_another_host_is_asked_by_tls_alone(ask: Ask, host: str) -> None:
    refused = ask("SELECT 1", "--host", host)
    assert refused.exit_code == 1
    assert len(refused.stderr.splitlines()) == 1


def test_another_host_wants_the_token_of_who_asks(ask: Ask) -> None:
    assert "--token-file" in ask("SELECT 1", "--host", "https://192.0.2.1:9443").stderr


def test_a_file_without_a_token_is_refused(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("\n")
    assert "no token in it" in ask("SELECT 1", "--token-file", str(tmp_path / "token")).stderr
    monkeypatch.setenv("SLUICE_SQL_TOKEN_FILE", str(tmp_path / "token"))
    assert "no token in it" in ask("SELECT 1").stderr


def test_who_has_no_token_is_told_how_to_give_one(tmp_path: Path) -> None:
    environment = {"SLUICE_DATA": str(tmp_path), "SLUICE_PROFILE": "production"}
    result = CliRunner().invoke(main, ["sql", "SELECT 1"], env=environment)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "--token-file" in result.stderr


def test_a_warehouse_that_is_away_is_one_line_and_exit_1(settings: Settings) -> None:
    environment = {"SLUICE_DATA": str(settings.data), "SLUICE_PORT_OFFSET": str(settings.port_offset + 1)}
    result = CliRunner().invoke(main, ["sql", "SELECT 1"], env=environment)
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
