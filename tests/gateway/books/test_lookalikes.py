"""Of the numbers that share BIN and last four few are taken a day, and no answer tells which is known."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from benchmarks.guesses import WAYS, Tried, tries
from gateway.books.engine import Books
from gateway.books.lookalikes import Scope, ScopeKind, admit
from gateway.payments.tokenizing import Sender, scopes_of
from gateway.policy import Lookalikes, Policy, policy_of
from gateway.settings import GatewaySettings
from tests.gateway.payments.situations import POLICY

FAMILY, DAY, NEXT_DAY = "4111111111", "2026-11-27", "2026-11-28"
HOME, OFFICE = "203.0.113.7", "198.51.100.7"
SMALL = msgspec.structs.replace(POLICY, lookalikes=Lookalikes(overall=4, per_account=2, per_address=3))
SHARED = msgspec.structs.replace(SMALL, lookalikes=msgspec.structs.replace(SMALL.lookalikes, are_shared=True))

Given = tuple[Scope, list[Scope]]


def given(number: str, account: str, place: str = HOME, policy: Policy = SMALL) -> Given:
    return scopes_of(policy, number, Sender(account, place))


def send(
    conn: Connection, number: str, account: str = "acc_1", *, day: str = DAY, family: str = FAMILY, **more: Any
) -> ScopeKind | None:
    return admit(conn, day, family, *given(number, account, **more))


def test_an_account_has_so_many_distinct_numbers_a_day(conn: Connection) -> None:
    assert [send(conn, number) for number in ("a", "b", "a", "b", "a")] == [None] * 5
    assert send(conn, "c") == "account"
    assert send(conn, "c", family="4111111112") is None
    assert send(conn, "c", day=NEXT_DAY) is None
    assert send(conn, "c", "acc_2") is None


def test_once_one_is_refused_a_known_number_is_refused_too(conn: Connection) -> None:
    """Else 201 and 429 would tell somebody in the account which of all candidates its card has."""
    assert [send(conn, number) for number in ("a", "b", "c")] == [None, None, "account"]
    assert {send(conn, number) for number in ("a", "b", "c", "d")} == {"account"}
    assert {send(conn, number, place=OFFICE) for number in ("a", "d")} == {"account"}
    assert send(conn, "a", day=NEXT_DAY) is None


def test_an_address_has_so_many_whatever_the_accounts(conn: Connection) -> None:
    assert [send(conn, "a", f"acc_{n}") for n in range(3)] == [None] * 3, "each account's number is one"
    assert send(conn, "b", "acc_9") == "address"
    assert send(conn, "a", "acc_0") is None, "it is known to this account, which was refused nothing"
    assert send(conn, "b", "acc_0") == "address"
    assert send(conn, "a", "acc_0", place=OFFICE) == "account"
    assert send(conn, "b", "acc_8", place=OFFICE) is None


def test_all_accounts_and_addresses_together_have_so_many(conn: Connection) -> None:
    for n in range(4):
        assert send(conn, f"{n}", f"acc_{n}", place=f"203.0.113.{n}") is None
    for number in ("0", "new"):  # somebody's number and nobody's: no answer tells them apart
        assert send(conn, number, f"acc_{number}_9", place=OFFICE) == "all"
    assert send(conn, "0", "acc_0") is None


@pytest.mark.parametrize("known", [True, False])
def test_what_others_sent_changes_no_answer(conn: Connection, known: bool) -> None:
    """Somebody else's card of the day is one of the numbers tried, or is not: it is told by nothing."""
    send(conn, "b" if known else "z", "acc_victim", place=OFFICE)
    told = [send(conn, number, f"acc_{n // 2}", place="") for n, number in enumerate("abcdef")]
    assert told == [None, None, None, "all", "all", "account"]


def test_in_the_local_profile_the_sandboxs_numbers_are_everybodys(conn: Connection) -> None:
    for n in range(20):
        assert send(conn, "4111", f"acc_{n}", policy=SHARED) is None
    assert send(conn, "b", "acc_0", policy=SHARED) is None
    assert send(conn, "c", "acc_0", policy=SHARED) == "account"


def test_elsewhere_each_account_counts(tmp_path: Path) -> None:
    made = [policy_of(GatewaySettings(data=tmp_path, profile=name)) for name in ("local", "production")]
    assert [policy.lookalikes.are_shared for policy in made] == [True, False]


def test_what_is_kept_names_no_address_and_no_number(conn: Connection) -> None:
    send(conn, "a-number")
    rows = conn.exec_driver_sql("SELECT day, subject, family, numbers FROM lookalikes").all()
    assert {row[1] for row in rows} > {"acc_1", "all"}
    assert "203.0.113" not in str(rows)
    assert "a-number" not in str(rows)


@pytest.mark.parametrize(("name", "a_day"), list(zip(WAYS, (10, 10, 10, 50, 10), strict=True)))
def test_so_many_of_100_000_candidates_can_be_tried(conn: Connection, name: str, a_day: int) -> None:
    assert tries(conn, WAYS[name]) == Tried(a_day, a_day, 100_000 // a_day)


async def test_no_more_are_taken_when_all_come_at_once(books: Books) -> None:
    asked = [given(f"{n}", f"acc_{n}", f"203.0.113.{n}") for n in range(12)]
    told = await asyncio.gather(*[books.write(admit, DAY, FAMILY, *each) for each in asked])
    assert sorted(told, key=str) == [None] * 4 + ["all"] * 8
    same = [given(f"{n}", "acc_one", "") for n in range(8)]
    told = await asyncio.gather(*[books.write(admit, NEXT_DAY, FAMILY, *each) for each in same])
    assert told.count(None) == 2
