"""What is SQLite's own: transactions in groups, all of a group on disk before any caller goes on."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from gateway.books.engine import overwrite
from gateway.books.opening import migrate
from gateway.books.sqlite import BROWSERS, SqliteBooks, sqlite_engine
from tests.gateway.books.things import names, put


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[SqliteBooks]:
    path = tmp_path / "books.sqlite3"
    await asyncio.to_thread(migrate, f"sqlite:///{path}")
    engine = sqlite_engine(path)
    with engine.connect() as conn, conn.begin():
        conn.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY) STRICT")
    books = SqliteBooks(engine)
    yield books
    await books.close()


async def test_a_disk_that_fails_the_commit_fails_the_whole_group(books: SqliteBooks) -> None:
    announced: list[str] = []
    books.listener = announced.extend

    def break_foreign_keys(conn: Connection) -> None:  # checked at COMMIT only
        conn.exec_driver_sql("CREATE TABLE parts (of TEXT REFERENCES things DEFERRABLE INITIALLY DEFERRED)")
        conn.exec_driver_sql("INSERT INTO parts VALUES ('missing')")

    results = await asyncio.gather(books.write(put, "a"), books.write(break_foreign_keys), return_exceptions=True)
    assert all(isinstance(result, IntegrityError) for result in results)
    assert announced == []
    await books.write(put, "b")
    assert await books.read(names) == ["b"]


async def test_the_facts_of_a_group_are_told_in_the_order_of_its_transactions(books: SqliteBooks) -> None:
    announced: list[str] = []
    books.listener = announced.extend
    await asyncio.gather(*[books.write(put, name) for name in "bac"])
    assert announced == ["b", "a", "c"]


async def test_what_is_browsed_leaves_the_event_loop(books: SqliteBooks) -> None:
    begun, go_on = threading.Barrier(BROWSERS + 1), threading.Event()

    def slow(conn: Connection) -> list[str]:
        begun.wait(10)
        go_on.wait(10)
        return names(conn)

    slowly = [asyncio.create_task(books.browse(slow)) for _ in range(BROWSERS)]
    await asyncio.to_thread(begun.wait, 10)
    await books.write(put, "a")  # nobody waits for them
    assert await books.read(names) == ["a"]
    waits = asyncio.create_task(books.browse(names))
    go_on.set()
    await asyncio.gather(*slowly)
    assert await waits == ["a"]


async def test_what_is_browsed_writes_nothing(books: SqliteBooks) -> None:
    with pytest.raises(OperationalError):
        await books.browse(put, "a")
    assert await books.browse(names) == []


async def test_the_file_is_kept_as_money_needs_it(books: SqliteBooks) -> None:
    def pragma(conn: Connection, name: str) -> Any:
        return conn.exec_driver_sql(f"PRAGMA {name}").scalar()

    assert await books.read(pragma, "journal_mode") == "wal"
    assert await books.read(pragma, "synchronous") == 2  # FULL
    assert await books.read(pragma, "foreign_keys") == 1
    assert await books.read(pragma, "secure_delete") == 1


@pytest.mark.parametrize("in_the_way", [False, True])
async def test_what_is_overwritten_leaves_the_log_too_unless_a_reader_needs_it(
    books: SqliteBooks, tmp_path: Path, in_the_way: bool
) -> None:
    def forget(conn: Connection) -> None:
        overwrite(conn)
        conn.exec_driver_sql("DELETE FROM things")

    await books.write(put, "Wilhelmina")
    with closing(sqlite3.connect(tmp_path / "books.sqlite3", isolation_level=None)) as reader:
        if in_the_way:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM things").fetchall()
        await books.write(forget)
        left = all_bytes(tmp_path)
    assert (b"Wilhelmina" in left) is in_the_way
    await books.write(put, "a")  # whoever is in the way holds up nobody
    assert await books.read(names) == ["a"]


def all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())
