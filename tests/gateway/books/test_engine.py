"""Transactions in groups: each stands or falls alone, all of a group are on disk before any caller goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError
from structlog.testing import capture_logs

from gateway.books.engine import Books, announce, sqlite_engine


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    engine = sqlite_engine(tmp_path / "books.sqlite3")
    with engine.connect() as conn, conn.begin():
        conn.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY) STRICT")
    books = Books(engine)
    yield books
    await books.close()


def put(conn: Connection, name: str) -> None:
    conn.exec_driver_sql("INSERT INTO things VALUES (?)", (name,))
    announce(conn, name)


def names(conn: Connection) -> list[Any]:
    return [row[0] for row in conn.exec_driver_sql("SELECT name FROM things ORDER BY name")]


async def test_what_one_transaction_breaks_is_undone_alone(books: Books) -> None:
    announced: list[str] = []
    books.listener = announced.extend
    results = await asyncio.gather(
        *[books.write(put, name) for name in ("a", "b", "a", "c")], return_exceptions=True
    )
    assert [type(r) for r in results] == [type(None), type(None), IntegrityError, type(None)]
    assert await books.read(names) == ["a", "b", "c"]
    assert announced == ["a", "b", "c"]


async def test_listeners_hear_of_a_group_before_its_callers(books: Books) -> None:
    heard: list[str] = []
    books.listener = lambda facts: heard.extend(facts)
    await books.write(put, "a")
    assert heard == ["a"]


async def test_a_listener_that_fails_undoes_nothing(books: Books) -> None:
    def refuse(_facts: list[str]) -> None:
        raise RuntimeError

    books.listener = refuse
    with capture_logs() as logged:
        await books.write(put, "a")
    assert await books.read(names) == ["a"]
    assert [line["event"] for line in logged] == ["listener.failed"]


async def test_a_cancelled_caller_does_not_undo_its_transaction(books: Books) -> None:
    call = asyncio.create_task(books.write(put, "a"))
    await asyncio.sleep(0)
    call.cancel()
    await books.write(put, "b")
    assert await books.read(names) == ["a", "b"]


async def test_a_disk_that_fails_the_commit_fails_the_whole_group(books: Books) -> None:
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


async def test_closing_finishes_what_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite3"
    engine = sqlite_engine(path)
    with engine.connect() as conn, conn.begin():
        conn.exec_driver_sql("CREATE TABLE things (name TEXT)")
    books = Books(engine)
    asked = [asyncio.create_task(books.write(put, str(n))) for n in range(300)]
    await asyncio.sleep(0)
    await books.close()
    await asyncio.gather(*asked)
    with sqlite_engine(path).connect() as conn:
        assert len(names(conn)) == 300


async def test_the_file_is_kept_as_money_needs_it(books: Books) -> None:
    def pragma(conn: Connection, name: str) -> Any:
        return conn.exec_driver_sql(f"PRAGMA {name}").scalar()

    assert await books.read(pragma, "journal_mode") == "wal"
    assert await books.read(pragma, "synchronous") == 2  # FULL
    assert await books.read(pragma, "foreign_keys") == 1


async def test_a_reader_cannot_write_past_the_group(books: Books) -> None:
    await books.write(put, "a")
    assert await books.read(names) == ["a"]
    with pytest.raises(OperationalError):
        await books.write(lambda conn: conn.exec_driver_sql("INSERT INTO nowhere VALUES (1)"))
