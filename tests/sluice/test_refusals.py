"""What the command says to files, options and stacks that are not there: one clear line, and never a traceback."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sluice.cli import main


def sluice(*arguments: str, data: Path) -> Result:
    known = {"SLUICE_DATA": str(data), "SLUICE_PORT_OFFSET": "56000"}  # where nobody listens
    return CliRunner().invoke(main, arguments, env=known)


def test_a_bad_file_is_one_line_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "text.parquet").write_text("tx_id,ts\n1,2018-04-01\n")
    for name in ("empty.parquet", "text.parquet", "none.parquet", "."):
        for command in ("replay", "evaluate"):
            ran = sluice(command, str(tmp_path / name), data=tmp_path)
            assert ran.exit_code == 1
            (line,) = ran.output.splitlines()
            assert line.startswith(f"Error: {tmp_path / name}: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "f", "--currency", "XAU"),
        ("evaluate", "f", "--currency", "BGN"),
        ("replay", "f", "--offset", "9" * 30),
        ("replay", "f", "--label-delay", "9" * 9 + "d"),
        ("evaluate", "f", "--label-delay", "soon"),
        ("prune", "--events-older-than", "9" * 9 + "d"),
        ("outbox", "resend", "--since", "0001-01-01T00:00:00+05:00"),
        ("outbox", "resend", "--since", "yesterday"),
    ],
)
def test_an_option_that_cannot_be_meant_is_a_usage_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = sluice(*arguments, data=tmp_path)
    assert ran.exit_code == 2
    assert "Error: Invalid value for '--" in ran.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("sql", "SELECT 1"),
        ("reconcile", "--wait", "1"),
        ("prune",),
        ("keys", "rotate"),
        ("outbox", "resend", "--since", "2026-01-01"),
        ("run", "nobody"),
        ("ready", "nobody"),
    ],
)
def test_what_needs_a_stack_says_so_where_there_is_none(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = sluice(*arguments, data=tmp_path / "none")
    assert ran.exit_code == 1
    (line,) = ran.output.splitlines()
    assert line.startswith("Error: ")
