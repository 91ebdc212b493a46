"""The chain of the books' audit, on either database: whole whoever writes beside whom, and listed by an index."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from gateway.books.audit import GENESIS, Act, ActLine, ActRow, hash_of, list_entries, newest_entry, record, sealing
from gateway.books.audit_list import AuditFilter, AuditPlace, list_audit
from gateway.books.engine import Books, run_sealed
from gateway.books.opening import open_books
from schemas.accounts import ActKind
from tests.gateway.books.things import names, put
from tests.gateway.databases import Kind

KEY = b"k" * 32
SEAL = sealing(KEY)


@pytest.fixture
async def two_gateways(url: str, database: Kind) -> AsyncIterator[list[Books]]:
    """Two that write the same books; of a SQLite file there is one."""
    opened = [open_books(url) for _ in range(2 if database == "postgres" else 1)]
    for books in opened:
        books.seal = SEAL
    yield opened
    for books in opened:
        await books.close()


def do(conn: Connection, *names: str, kind: ActKind = "login") -> None:
    for name in names:
        record(conn, Act(kind, f"acc_{name}", f"ses_{name}", {"client": "dashboard"}))


def is_whole(entries: list[ActRow]) -> bool:
    previous = GENESIS
    for n, entry in enumerate(entries, 1):
        if (entry.n, entry.hash) != (n, hash_of(KEY, previous, entry)):
            return False
        previous = entry.hash
    return True


async def test_whoever_writes_beside_whom_the_chain_is_one(two_gateways: list[Books]) -> None:
    many = [books.write(do, f"{i}", f"{i}_then") for i in range(40) for books in two_gateways]
    await asyncio.gather(*many)
    entries = await two_gateways[0].read(list_entries, 0, 1_000)
    assert len(entries) == 2 * len(many)
    assert is_whole(entries)
    assert all(  # what one transaction did stands together
        (first.actor_id + "_then") == then.actor_id for first, then in list(pairwise(entries))[::2]
    )


async def test_what_is_undone_was_not_done(two_gateways: list[Books]) -> None:
    (books, *_), heard = two_gateways, list[ActLine]()
    books.listener = heard.extend

    def refuse(conn: Connection) -> None:
        do(conn, "a")
        put(conn, "a")
        raise ValueError

    results = await asyncio.gather(books.write(refuse), books.write(do, "b"), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    entries = await books.read(list_entries, 0, 10)
    assert ([entry.actor_id for entry in entries], is_whole(entries)) == (["acc_b"], True)
    assert [(line.n, line.hash) for line in heard] == [(entry.n, entry.hash) for entry in entries]


async def test_who_forgot_the_key_records_nothing_and_does_nothing(url: str) -> None:
    books = open_books(url)

    def act(conn: Connection) -> None:
        put(conn, "a")
        do(conn, "a")

    with pytest.raises(RuntimeError, match="needs a key"):
        await books.write(act)
    assert (await books.read(names), await books.read(list_entries, 0, 1)) == ([], [])
    await books.close()


def test_a_flood_of_guesses_is_so_many_entries_and_the_next_one_counts_the_rest(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, seal = [0.0], sealing(KEY)
    monkeypatch.setattr("gateway.books.refusal_budget.monotonic", lambda: moment[0])
    for subject_id in ["acc_a"] * 80 + [""] * 100 + ["acc_b"] * 20:
        run_sealed(conn, lambda conn, subject_id=subject_id: refuse_login(conn, subject_id), seal)  # type: ignore[misc]
    assert [entry.subject_id for entry in list_entries(conn, 0, 1_000)] == ["acc_a"] * 60 + [""] * 10
    run_sealed(conn, lambda conn: do(conn, *["a"] * 100), seal)  # nothing else is ever left out
    moment[0] = 2.0
    for _ in range(2):
        run_sealed(conn, lambda conn: refuse_login(conn, "acc_c"), seal)
    told, then = list_entries(conn, 170, 10)
    assert (told.detail, then.detail) == ('{"left_out":"40","wrong":"password"}', '{"wrong":"password"}')


def refuse_login(conn: Connection, subject_id: str) -> None:
    record(conn, Act("login_refused", "", subject_id, {"wrong": "password"}))


def test_a_head_that_is_gone_is_taken_from_the_entries(conn: Connection) -> None:
    run_sealed(conn, lambda conn: do(conn, "a"), SEAL)
    conn.execute(text("DELETE FROM audit_heads"))
    run_sealed(conn, lambda conn: do(conn, "b"), SEAL)
    assert is_whole(list_entries(conn, 0, 10))
    assert newest_entry(conn).n == 2


def test_lists_show_what_fits_all_filters_page_by_page(conn: Connection) -> None:
    for name in ("a", "b", "a", "c", "a"):
        run_sealed(conn, lambda conn, name=name: do(conn, name), SEAL)  # type: ignore[misc]
    run_sealed(conn, lambda conn: do(conn, "a", kind="logout"), SEAL)
    assert numbers(conn, AuditFilter()) == [6, 5, 4, 3, 2, 1]
    assert numbers(conn, AuditFilter(actor_id="acc_a")) == [6, 5, 3, 1]
    assert numbers(conn, AuditFilter(subject_id="ses_c")) == [4]
    assert numbers(conn, AuditFilter(kind="logout")) == [6]
    assert numbers(conn, AuditFilter(actor_id="acc_a", kind="login")) == [5, 3, 1]
    assert numbers(conn, AuditFilter(subject_id="ses_a", actor_id="acc_b")) == []
    third = list_entries(conn, 2, 1)[0]
    assert numbers(conn, AuditFilter(at_from=third.at)) == [6, 5, 4, 3]
    assert numbers(conn, AuditFilter(at_before=third.at, actor_id="acc_a")) == [1]


def numbers(conn: Connection, wanted: AuditFilter) -> list[int]:
    """Two at a time, and no more than three entries are looked at for a page."""
    found, place = list[int](), None
    while True:
        page = list_audit(conn, place, 2, wanted, scan=3)
        found += [entry.n for entry in page.rows]
        place = page.reached
        if place is None:
            return found
        assert isinstance(place, AuditPlace)


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True, scope="module")
def test_a_role_that_may_only_add_does_all_that_the_gateway_does(conn: Connection, database: Kind) -> None:
    """The grants of docs/operators.md: who is let into the gateway's role changes nothing that was recorded."""
    for sql in (
        "CREATE ROLE recorder",
        "GRANT SELECT, INSERT ON audit TO recorder",
        "GRANT SELECT, INSERT, UPDATE ON audit_heads TO recorder",
        "SET LOCAL ROLE recorder",
    ):
        conn.execute(text(sql))
    run_sealed(conn, lambda conn: do(conn, "a", "b"), SEAL)
    assert is_whole(list_entries(conn, 0, 10))
    for sql in ("UPDATE audit SET at = 1", "DELETE FROM audit", "TRUNCATE audit"):
        conn.execute(text("SAVEPOINT tried"))
        with pytest.raises(DBAPIError, match="permission denied"):
            conn.execute(text(sql))
        conn.execute(text("ROLLBACK TO tried"))
