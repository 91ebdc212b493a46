"""The page SQL: what a person asks runs in the process `sql` in their name, and what comes of it."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from connectors.records import Record
from dashboards import door, sql_asking, sql_chart
from dashboards.sql_answer import ROWS_SHOWN, KeptAnswer
from dashboards.sql_aside import TEXT, questions
from dashboards.sql_asking import NoAnswer, asking, mistake
from dashboards.sql_tokens import commands
from dashboards.views.sql import GIVEN_UP, OUTCOME, RUNNING
from flows.analytics.ingest import ingest
from flows.analytics.readers import Readers
from flows.analytics.settings import SqlSettings
from flows.analytics.warehouse import Warehouse
from schemas.settings import PORTS
from tests.conftest import unused_ports
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble
from tests.flows.analytics.conftest import lives
from tests.patience import until

DOCS = Path(__file__).parents[2] / "docs" / "sql.md"
CARD = "4111111111111111"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlSettings]:
    """A copy of the warehouse with 20 payments, asked by who has the token `analyst`."""
    data = tmp_path_factory.mktemp("sql")
    port = unused_ports(1)[0]
    settings = SqlSettings(
        data=data, port_offset=port - PORTS["sql"], statement_s=10_000, sql_process_mb=1_000_000
    )
    warehouse = Warehouse(settings.file(), lambda letters: None)
    sent = [
        Record(each.topic, 0, number, each.key, each.headers, each.value, 0)
        for number, each in enumerate(lives(20))
    ]
    warehouse.write([ingest(record) for record in sent])
    warehouse.serve_guarded(f"quack:localhost:{settings.port('sql')}", Readers({"ana": "analyst"}), settings)
    yield settings
    warehouse.close()


@pytest.fixture(autouse=True)
def around(
    copy: SqlSettings, gateway: GatewayDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GatewayDouble]:
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
    monkeypatch.setenv("SLUICE_GATEWAY", gateway.url)
    monkeypatch.setenv("SLUICE_SQL", copy.sql_url())
    monkeypatch.setattr(door, "_browser", lambda: "one")
    monkeypatch.setattr(sql_asking, "AT_ONCE_WAITED_S", 30)
    monkeypatch.setattr("dashboards.views.sql.AT_ONCE_WAITED_S", 30)
    yield gateway
    st.cache_resource.clear()


def answer(statement: str, token: str = "analyst") -> KeptAnswer:
    running = asking().ask(statement, token, "acc_analyst")
    until(running.is_done)
    ended = running.ended()
    assert isinstance(ended, KeptAnswer), ended
    return ended


def refused(statement: str, token: str = "analyst") -> NoAnswer:
    running = asking().ask(statement, token, "acc_analyst")
    until(running.is_done)
    ended = running.ended()
    assert isinstance(ended, NoAnswer)
    return ended


def ask(page: AppTest, statement: str) -> AppTest:
    page.text_area(key=TEXT).set_value(statement)
    return press(page, "Run")


def test_a_statement_of_a_link_is_run_by_a_press_alone_and_can_be_sent_on() -> None:
    page = opened("analyst", "sql", q="SELECT count(*) AS payments FROM payments")
    assert page.text_area(key=TEXT).value == "SELECT count(*) AS payments FROM payments"
    assert OUTCOME not in page.session_state
    page = press(page, "Run")
    assert re.search(r"payments<small>bigint</small>", words(page), re.IGNORECASE)
    page = ask(page, "SELECT currency, count(*) AS n FROM payments GROUP BY ALL")
    assert page.query_params["q"] == "SELECT currency, count(*) AS n FROM payments GROUP BY ALL"


def test_types_are_kept_and_money_and_times_can_be_read() -> None:
    found = answer(
        "SELECT id, amount, currency, created_at, sum(amount) OVER () AS whole, amount / 3 AS third, [1, 2] AS l,"
        " NULL AS nothing FROM payments WHERE id = 'pay_1' OR id = 'pay_3' ORDER BY id"
    )
    types = [column.type for column in found.columns]
    assert types[:5] == ["VARCHAR", "BIGINT", "VARCHAR", "TIMESTAMP", "HUGEINT"]
    first, second = found.page(0)
    shown = [cell.text for cell in first]
    assert shown[:4] == ["pay_1", "1.01", "EUR", "2026-11-23 12:00:30"]
    assert shown[6:] == ["[1, 2]", "–"]
    assert first[0].href == "payments?payment=pay_1"
    assert second[1].text == "103", "yen have no decimals"


def test_files_have_every_row_and_type_and_no_formula() -> None:
    found = answer("SELECT '=1+1' AS text, i::HUGEINT AS whole, TIMESTAMP '2026-01-01' AS at FROM range(250) t(i)")
    assert len(found.page(0)) == ROWS_SHOWN
    assert len(found.page(225)) == 25
    lines = found.csv().decode().splitlines()
    assert (lines[0], lines[1], len(lines)) == ("text,whole,at", "'=1+1,0,2026-01-01 00:00:00", 251)
    con = duckdb.connect()
    path = found._path.with_suffix(".test")
    path.write_bytes(found.parquet())
    types = [row[1] for row in con.execute(f"DESCRIBE FROM read_parquet('{path}')").fetchall()]
    assert types == ["VARCHAR", "DECIMAL(38,0)", "TIMESTAMP"]
    assert con.execute(f"SELECT sum(whole) FROM read_parquet('{path}')").fetchall() == [(sum(range(250)),)]
    path.unlink()


def test_an_answer_goes_with_who_had_it() -> None:
    found = answer("SELECT 1 AS one")
    path = found._path
    assert path.exists()
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    del found
    assert not path.exists()


def test_what_another_person_may_not_ask_is_refused_to_them() -> None:
    assert "log in again" in refused("SELECT 1", "nobodys").words


def test_no_error_and_no_history_has_the_token(around: GatewayDouble) -> None:
    token = "analyst"
    around.accounts[token]["name"] = "Ana"
    page = ask(opened(token, "sql"), "SELECT nothing FROM payments")
    said = words(page)
    assert "nothing" in said
    assert "quack_query" not in said


@pytest.mark.parametrize(
    ("statement", "line", "sign"),
    [
        ("SELECT *\nFROM payments\nWHERE amout > 3", 3, "amout"),
        ("SELECT 1\nFROM payments\nWHRE id = 'x'", 3, "id"),
    ],
)
def test_a_mistake_is_shown_where_it_is(statement: str, line: int, sign: str) -> None:
    said = words(ask(opened("analyst", "sql"), statement))
    assert f"{line} │ " in said
    assert f"<mark>{sign}</mark>" in said
    assert "Error:" not in said


def test_a_statement_that_cannot_be_read_is_not_sent() -> None:
    found = mistake("SELECT (")
    assert found is not None
    assert found.words == "Syntax error at end of input."


def test_a_card_number_is_neither_sent_nor_kept() -> None:
    page = ask(opened("analyst", "sql"), f"SELECT id FROM payments WHERE card = '{CARD}'")
    assert "It was not sent" in words(page)
    assert "q" not in page.query_params
    page.segmented_control(key="sql-aside-part").set_value("History").run()
    assert CARD not in words(page) + "".join(button.label for button in page.button)


def test_only_reading_is_done() -> None:
    for statement in ("DROP TABLE payments", "SELECT 1; SELECT 2", "SELECT * FROM read_csv('/etc/passwd')"):
        assert refused(statement).words


def test_a_statement_that_runs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.views.sql.AT_ONCE_WAITED_S", 0)
    monkeypatch.setattr(sql_asking.AskedStatement, "is_done", lambda self, wait_s=0: False)
    page = ask(opened("analyst", "sql"), "SELECT 1")
    assert "SELECT 1" in words(page)
    page = press(page, "Give up")
    assert RUNNING not in page.session_state
    assert page.session_state[OUTCOME].words == GIVEN_UP
    assert "You do not wait for it any more" in words(page)


def test_what_was_asked_and_sample_questions_come_back_into_the_editor() -> None:
    page = ask(opened("analyst", "sql"), "SELECT 41 AS first")
    page = ask(page, "SELECT 42 AS second")
    page = page.segmented_control(key="sql-aside-part").set_value("History").run()
    (past,) = [button for button in page.button if "first" in button.label]
    page = past.click().run()
    assert page.text_area(key=TEXT).value == "SELECT 41 AS first"
    page = page.segmented_control(key="sql-aside-part").set_value("Questions").run()
    page = page.button(key="put-question-0").click().run()
    assert page.text_area(key=TEXT).value == questions(True)[0][1]


def test_sample_questions_are_those_of_the_docs() -> None:
    told = DOCS.read_text()
    assert [title for title, statement in questions(True) if statement not in told] == []


def test_questions_are_saved_and_deleted_by_the_gateway(around: GatewayDouble) -> None:
    around.say("GET", "/v1/me/saved", [{"name": "Mine 1", "content": "SELECT 7"}])
    around.say("PUT", "/v1/me/saved/sql_question/Taken", {})
    around.say("DELETE", "/v1/me/saved/sql_question/Mine%201", None, 204)
    page = opened("analyst", "sql", q="SELECT 1 AS one")
    page = page.segmented_control(key="sql-aside-part").set_value("Saved").run()
    assert around.asked[-1] == ("GET", "/v1/me/saved", {"kind": "sql_question", "limit": "100"})
    page.text_input(key="sql-save-name-0").set_value("..")  # no path may end so
    page = press(page, "Save what stands in the editor")
    assert not around.acts()
    page.text_input(key="sql-save-name-0").set_value("Taken")
    page = press(page, "Save what stands in the editor")
    page = page.button(key="saved-Mine 1").click().run()
    assert page.text_area(key=TEXT).value == "SELECT 7"
    press(page, "Delete now")
    assert around.acts() == [
        ("PUT", "/v1/me/saved/sql_question/Taken", {"content": "SELECT 1 AS one"}),
        ("DELETE", "/v1/me/saved/sql_question/Mine%201", {}),
    ]


def test_a_token_of_ones_own_is_shown_once_and_revoked(around: GatewayDouble) -> None:
    token = {"id": "stk_1", "name": "Notebook", "expires_at": "2036-01-01T00:00:00Z", "created_at": AT}
    around.say("GET", "/v1/sql-tokens", [token])
    around.say("POST", "/v1/sql-tokens", token | {"token": "sqt_secret"}, 201)
    around.say("DELETE", "/v1/sql-tokens/stk_1", None, 204)
    page = opened("analyst", "sql").segmented_control(key="sql-aside-part").set_value("Tokens").run()
    page.text_input(key="sql-token-name-0").set_value("Notebook")
    page = press(page, "Make a token")
    assert "your password" in words(page)
    assert around.acts() == []
    page.text_input(key="sql-token-password-0").set_value("hunter2")
    page = press(page, "Make a token")
    codes = [code.value for code in page.code]
    assert codes[0] == "sqt_secret"
    assert not any("sqt_secret" in code for code in codes[1:])
    assert not page.run().code
    press(page, "Revoke now")
    (made, revoked) = around.acts()
    assert (made[2]["name"], made[2]["password"], revoked[:2]) == (
        "Notebook",
        "hunter2",
        ("DELETE", "/v1/sql-tokens/stk_1"),
    )


@pytest.mark.parametrize(("url", "plain"), [("https://sql.example:9443", False), ("http://localhost:9494", True)])
def test_commands_say_the_way_and_no_token(url: str, plain: bool) -> None:
    said = " ".join(commands(url).values())
    assert "$" not in said
    assert ("disable_ssl" in said, "--host" in said) == (plain, not plain)


def test_a_chart_is_offered_over_time_and_by_currency() -> None:
    found = answer(
        "SELECT date_trunc('minute', created_at) AS minute, currency, sum(amount)::BIGINT AS amount"
        " FROM payments GROUP BY ALL ORDER BY ALL"
    )
    along, up, each = sql_chart.first_choice(found.columns)
    assert (along.name, up.name, each and each.name) == ("minute", "amount", "currency")
    drawing = sql_chart.Drawing("line", along, up, each)
    charts = sql_chart.by_currency(drawing, sql_chart._rows(found, drawing))
    assert {
        code: [line["name"] for line in sql_chart.options(drawing, rows)["series"]]
        for code, rows in charts.items()
    } == {
        "EUR": ["EUR"],
        "JPY": ["JPY"],
    }
    (euros,) = found.values([up], 1)
    assert charts["EUR"][0].height == euros[0] / 100


def test_amounts_of_two_currencies_share_no_axis_whatever_each_line_is_of() -> None:
    found = answer("SELECT currency, processor, sum(amount)::BIGINT AS amount FROM payments GROUP BY ALL")
    currency, processor, amount = found.columns
    assert sql_chart.first_choice(found.columns) == (currency, amount, processor)
    rows = sql_chart._rows(found, sql_chart.Drawing("bar", currency, amount, processor))
    charts = sql_chart.by_currency(sql_chart.Drawing("bar", processor, amount), rows)
    assert {code: {row.currency for row in drawn} for code, drawn in charts.items()} == {
        code: {code} for code in ("EUR", "JPY")
    }


def test_a_file_that_is_taken_is_that_of_the_page() -> None:
    page = press(opened("analyst", "sql", q="SELECT 1 AS one"), "Run")
    assert [button.proto.label for button in page.get("download_button")] == ["CSV", "Parquet"]
    assert io.BytesIO(page.session_state[OUTCOME].parquet()).read(4) == b"PAR1"
