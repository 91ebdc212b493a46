"""Groups of transactions: each commits or fails alone, all share one wait for the disk."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.vault.writer import GROUP_MAX, Writer, transaction


@pytest.fixture
def conn(tmp_path: Path) -> sqlite3.Connection:
    """A connection to a table of unique numbers."""
    made = sqlite3.connect(tmp_path / "file", isolation_level=None, check_same_thread=False)
    made.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    return made


@pytest.fixture
def writer(conn: sqlite3.Connection) -> Iterator[Writer]:
    """A writer on it."""
    made = Writer(conn, "cards")
    yield made
    made.close()


def insert(conn: sqlite3.Connection, n: int) -> int:
    conn.execute("INSERT INTO numbers VALUES (?)", (n,))
    return n


def numbers(conn: sqlite3.Connection) -> list[int]:
    return [n for (n,) in conn.execute("SELECT n FROM numbers ORDER BY n")]


async def test_what_fails_undoes_itself_alone(writer: Writer) -> None:
    def insert_two(conn: sqlite3.Connection, n: int) -> None:
        insert(conn, n)
        insert(conn, 1)  # there already

    writes = [writer.write(insert, 1), writer.write(insert_two, 2), writer.write(insert, 3)]
    first, second, third = await asyncio.gather(*writes, return_exceptions=True)
    assert (first, third) == (1, 3)
    assert isinstance(second, sqlite3.IntegrityError)
    assert await writer.between(numbers) == [1, 3]


async def test_what_waits_together_is_committed_together(writer: Writer, conn: sqlite3.Connection) -> None:
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    await asyncio.gather(*(writer.write(insert, n) for n in range(3 * GROUP_MAX)))
    assert statements.count("COMMIT") == 3


async def test_a_commit_that_fails_failed_for_everyone(writer: Writer, conn: sqlite3.Connection) -> None:
    def break_the_transaction(conn: sqlite3.Connection) -> None:
        conn.execute("ROLLBACK")  # as SQLite itself does when the disk is full

    writes = [writer.write(insert, 1), writer.write(break_the_transaction), writer.write(insert, 2)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [sqlite3.OperationalError] * 3
    assert await writer.between(numbers) == []
    await writer.write(insert, 4)
    assert await writer.between(numbers) == [4]


async def test_a_caller_that_gives_up_does_not_disturb_the_others(writer: Writer) -> None:
    first, second = (asyncio.ensure_future(writer.write(insert, n)) for n in (1, 2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 2
    assert await writer.between(numbers) == [1, 2]


def test_a_transaction_leaves_nothing_where_it_fails(conn: sqlite3.Connection) -> None:
    def insert_and_fail() -> None:
        with transaction(conn):
            insert(conn, 1)
            raise LookupError

    with pytest.raises(LookupError):
        insert_and_fail()
    assert not conn.in_transaction
    assert numbers(conn) == []
    conn.close()
