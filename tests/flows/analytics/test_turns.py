"""Whose turn it is: one statement per account at a time, so many a minute, and who has to wait."""

from pathlib import Path

import pytest

from flows.analytics.statements import StatementRefused
from flows.analytics.turns import ENDED_MAX, Turns


def turns(path: Path, refuse_s: float = 600, per_minute: int = 100) -> Turns:
    return Turns(path, refuse_s, per_minute)


def asks(turns: Turns, account_id: str, *, counted: bool = True) -> None:
    with turns.taken(account_id, "SELECT 1", counted=counted):
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "readers.json"


def test_who_was_asking_when_the_process_died_waits_a_while(path: Path) -> None:
    held = turns(path).taken("ada", "SELECT 1")
    held.__enter__()
    after = turns(path)
    with pytest.raises(StatementRefused, match="try again in 600 s"):
        asks(after, "ada")
    asks(after, "bob")
    after.refuse("bob")
    again = turns(path)
    for account in ("ada", "bob"):
        with pytest.raises(StatementRefused, match="try again in"):
            asks(again, account)
    path.unlink()
    asks(turns(path, refuse_s=0), "ada")
    asks(turns(path), "ada")  # it was not asking when that one ended


def test_an_account_has_one_statement_at_a_time_whichever_token_it_comes_with(path: Path) -> None:
    one = turns(path)
    with one.taken("ada", "SELECT 1") as turn:
        with pytest.raises(StatementRefused, match="one statement at a time"):
            asks(one, "ada")
        asks(one, "bob")
        assert one.running() == [turn]
    assert one.running() == []
    asks(one, "ada")


def test_a_turn_ends_with_whatever_ends_its_statement(path: Path) -> None:
    one = turns(path)
    with pytest.raises(ZeroDivisionError), one.taken("ada", "SELECT 1"):
        raise ZeroDivisionError
    asks(one, "ada")


def test_an_account_has_so_many_statements_a_minute(path: Path) -> None:
    one = turns(path, per_minute=3)
    for _ in range(3):
        asks(one, "ada")
    for _ in range(5):
        with pytest.raises(StatementRefused, match="3 statements a minute"):
            asks(one, "ada")
    asks(one, "bob")
    for _ in range(10):
        asks(one, "sql", counted=False)
    one._lately["ada"][0] -= 60  # a minute later there is room for one: those that were refused do not count
    asks(one, "ada")


def test_who_takes_too_much_memory_again_and_again_waits_a_while(path: Path) -> None:
    one = turns(path)
    for _ in range(ENDED_MAX):
        asks(one, "ada")
        one.took_too_much("ada")
    with pytest.raises(StatementRefused, match="try again in 600 s"):
        asks(one, "ada")
    asks(one, "bob")


@pytest.mark.parametrize("half", [b"", b'["sq', b"\0\0\0\0"])
def test_half_a_file_of_who_was_asking_refuses_nobody(path: Path, half: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(half)
    asks(turns(path), "sql")
