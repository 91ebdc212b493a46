"""The log of statements: who asked what and what came of it, and nothing that stood in a text of theirs."""

import stat
from pathlib import Path

import msgspec
import pytest

from flows.analytics import query_log
from flows.analytics.query_log import Asked, QueryLog, asked, without_literals
from schemas.accounts import SqlReader

OWNER = SqlReader("sqt_1", "acc_1", "own", "acc_m")


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT id FROM payments WHERE last4 = '4242'", "SELECT id FROM payments WHERE last4 = ?"),
        ("SELECT 4111111111111111, 12.5e3", "SELECT ? , ?"),
        ("SELECT 'it''s', $$Ada$$, E'\\'x', x'ab'", "SELECT ? , ? , ? , ?"),
        ("SELECT 1 -- ada@example.com\n, 2 /* Ada */", "SELECT ? , ?"),
        ('SELECT 1 AS "ada@example.com", 2 AS "sum"', 'SELECT ? AS ? , ? AS "sum"'),
        ("SELECT a <= b, c->>'$.x', sum(ü)", "SELECT a <= b , c ->> ? , sum ( ü )"),
        ("SELECT 'Ada", "SELECT"),
        ("", ""),
    ],
)
def test_texts_and_numbers_are_left_out(statement: str, shown: str) -> None:
    assert without_literals(statement) == shown


@pytest.mark.parametrize(
    "cut", ["'Ada Lovelace'", "$$Ada Lovelace$$", "/* Ada Lovelace */", '"Ada Lovelace"', "4111111111111111"]
)
def test_of_a_long_statement_the_beginning_is_looked_at(cut: str) -> None:
    """Of what is cut in the middle nothing is shown."""
    filler = " " * (query_log.LOOKED_AT - len("SELECT 1,") - 6)
    shown = without_literals(f"SELECT 1,{filler}{cut}, 2" + ", sum(3)" * 10**6)
    assert shown.removesuffix(" ?") == "SELECT ? ,"


def test_a_line_says_who_what_and_how_long(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "queries.jsonl"
    log = QueryLog(path)
    log.write(asked(OWNER, "FROM payments LIMIT 3", "answered", 0.0123, rows=3))
    log.write(asked(OWNER, "FROM risk", "refused", 0, reason="you see no view risk"))
    log.close()
    answered, refused = (msgspec.json.decode(line, type=Asked) for line in path.read_bytes().splitlines())
    assert (answered.account, answered.token, answered.sees, answered.merchant) == (
        "acc_1",
        "sqt_1",
        "own",
        "acc_m",
    )
    assert (answered.outcome, answered.milliseconds, answered.rows) == ("answered", 12.3, 3)
    assert answered.statement == "FROM payments LIMIT ?"
    assert (refused.outcome, refused.reason) == ("refused", "you see no view risk")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_who_ends_after_it_was_closed_opens_it_not_again(tmp_path: Path) -> None:
    log = QueryLog(tmp_path / "queries.jsonl")
    log.close()
    log.write(asked(OWNER, "FROM payments", "answered", 0.1))
    assert (tmp_path / "queries.jsonl").read_text() == ""


def test_it_takes_no_more_room_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_log, "BYTES_MAX", 2_000)
    monkeypatch.setattr(query_log, "FILES", 3)
    log = QueryLog(tmp_path / "queries.jsonl")
    for _ in range(100):
        log.write(asked(OWNER, "FROM payments", "answered", 0.1))
    log.close()
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert all(file.stat().st_size <= 2_000 and stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
