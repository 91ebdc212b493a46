"""What is PostgreSQL's own: transactions side by side, tried again, and a server that goes away."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from benchmarks.postgres import Server, serving
from gateway.books.engine import Outdated, UnknownCommit
from gateway.books.opening import run_once
from gateway.books.postgres import CONNECTIONS, CommitLost, PostgresBooks
from gateway.books.postgres_link import Link
from tests.gateway.books.things import names, number, put, set_number
from tests.patience import eventually

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of these tests alone: they kill it."""
    with serving(durable=False) as server:
        run_once(server.url(), _make_things)
        yield server


def _make_things(conn: Connection) -> None:
    conn.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY, number INTEGER NOT NULL DEFAULT 0)")


@pytest.fixture
async def books(server: Server) -> AsyncIterator[PostgresBooks]:
    books = PostgresBooks(server.url())
    await books.write(lambda conn: conn.exec_driver_sql("DELETE FROM things") and None)
    yield books
    await books.close()


def add_one(conn: Connection) -> None:
    """Raise the number of `a` from what was read, as a payment is changed from its version."""
    before = number(conn, "a")
    changed = conn.exec_driver_sql(f"UPDATE things SET number = {before + 1} WHERE number = {before}")
    if not changed.rowcount:
        raise Outdated("a")


async def test_who_read_what_has_changed_meanwhile_reads_anew(books: PostgresBooks) -> None:
    await books.write(put, "a")
    done = await asyncio.gather(*[books.write(add_one) for _ in range(3)])
    assert len(done) == await books.read(number, "a") == 3


async def test_who_is_always_too_late_is_told_so(books: PostgresBooks) -> None:
    tried = 0

    def be_late(conn: Connection) -> None:
        nonlocal tried
        tried += 1
        raise Outdated("a")

    with pytest.raises(Outdated):
        await books.write(be_late)
    assert tried == 4


async def test_who_loses_a_race_for_a_name_reads_anew(books: PostgresBooks) -> None:
    def put_once(conn: Connection) -> str:
        if "a" in names(conn):
            return "was there"
        put(conn, "a")
        return "put"

    heard: list[str] = []
    books.listener = heard.extend
    found = await asyncio.gather(*[books.write(put_once) for _ in range(CONNECTIONS)])
    assert sorted(found) == ["put"] + ["was there"] * (CONNECTIONS - 1)
    assert heard == ["a"]  # nothing of those who failed
    with pytest.raises(IntegrityError):
        await books.write(put, "a")


async def test_of_a_deadlock_both_come_through(books: PostgresBooks) -> None:
    def set_both(conn: Connection, first: str, second: str) -> None:
        set_number(conn, first, 1)
        conn.exec_driver_sql("SELECT pg_sleep(0.05)")
        set_number(conn, second, 1)

    for name in "ab":
        await books.write(put, name)
    await asyncio.gather(books.write(set_both, "a", "b"), books.write(set_both, "b", "a"))
    assert await books.read(number, "b") == 1


async def test_what_goes_on_after_a_failed_statement_does_not_stand(books: PostgresBooks) -> None:
    def swallow(conn: Connection) -> None:
        put(conn, "a")
        try:
            put(conn, "a")
        except IntegrityError:
            return

    with pytest.raises(RuntimeError, match="nothing of it stands"):
        await books.write(swallow)
    assert await books.read(names) == []


async def test_connections_that_were_cut_are_replaced(books: PostgresBooks) -> None:
    await asyncio.gather(*[books.write(put, f"{n}") for n in range(CONNECTIONS)])
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice'"
    await asyncio.gather(books.read(lambda conn: conn.exec_driver_sql(cut) and None), return_exceptions=True)
    await asyncio.gather(*[books.write(put, f"after {n}") for n in range(CONNECTIONS)])
    assert len(await books.read(names)) == 2 * CONNECTIONS


async def test_a_restart_in_the_middle_costs_nothing_where_it_is_short(
    books: PostgresBooks, server: Server
) -> None:
    await books.write(put, "before")
    asked = [asyncio.create_task(books.write(put, f"{n:03}")) for n in range(100)]
    await asyncio.sleep(0)
    await asyncio.to_thread(server.kill)
    server.begin()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(error, OperationalError) for error in told if error is not None)
    stand = set(await books.read(names))
    assert {f"{n:03}" for n, error in enumerate(told) if error is None} | {"before"} <= stand
    unsure = {f"{n:03}" for n, error in enumerate(told) if isinstance(error, CommitLost)}
    assert stand - {f"{n:03}" for n, error in enumerate(told) if error is None} - {"before"} <= unsure


async def test_a_commit_without_an_answer_is_not_tried_again(
    books: PostgresBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []
    books.listener = heard.extend
    say = Link.say

    async def lose(link: Link, sql: str) -> str:
        said = await say(link, sql)
        if sql == "COMMIT":
            await link.end()
            raise OperationalError(sql, None, ConnectionResetError())
        return said

    monkeypatch.setattr(Link, "say", lose)
    with pytest.raises(CommitLost):
        await books.write(put, "a")
    monkeypatch.undo()
    assert heard == [UnknownCommit()]
    assert await books.read(names) == ["a"]


async def test_a_server_that_is_away_is_not_waited_for_long(books: PostgresBooks, server: Server) -> None:
    server.kill()
    try:
        with pytest.raises(OperationalError):
            await asyncio.wait_for(books.read(names), 5)
    finally:
        server.begin()

    async def is_back() -> bool:
        try:
            return await books.read(names) is not None
        except OperationalError:
            return False

    await eventually(is_back)


async def test_a_database_that_takes_no_writes_is_away(books: PostgresBooks, server: Server) -> None:
    await _set_read_only(server, "on")
    try:
        with pytest.raises(OperationalError):
            await asyncio.wait_for(books.write(put, "while it is on"), 10)
        writing = asyncio.create_task(books.write(put, "while it is off"))
    finally:
        await _set_read_only(server, "off")
    await writing
    assert await books.read(names) == ["while it is off"]


async def _set_read_only(server: Server, setting: str) -> None:
    """Wait until it holds: the server hears of a new setting by a signal, some time after the statement."""
    server.sql(f"ALTER SYSTEM SET default_transaction_read_only = {setting}")
    server.sql("SELECT pg_reload_conf()")
    await eventually(lambda: server.sql("SHOW default_transaction_read_only").strip() == setting)


async def test_nothing_is_left_open_after_all_that(books: PostgresBooks) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice' AND state <> 'idle'"
    await asyncio.gather(*[books.read(names) for _ in range(3 * CONNECTIONS)])
    assert await books.read(lambda conn: conn.exec_driver_sql(count).scalar_one()) == 1  # who asks
    assert len(books._idle) <= CONNECTIONS
