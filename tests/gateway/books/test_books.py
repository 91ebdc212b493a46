"""Transactions on either database: each stands or falls alone, and is on disk before its caller goes on."""

import asyncio

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from structlog.testing import capture_logs

from gateway.books.engine import Books
from gateway.books.opening import open_books, run_once
from tests.gateway.books.things import names, number, put, set_number
from tests.patience import eventually


async def test_what_one_transaction_breaks_is_undone_alone(books: Books) -> None:
    announced: list[str] = []
    books.listener = announced.extend
    results = await asyncio.gather(
        *[books.write(put, name) for name in ("a", "b", "a", "c")], return_exceptions=True
    )
    assert sorted(type(r).__name__ for r in results) == ["IntegrityError", "NoneType", "NoneType", "NoneType"]
    assert await books.read(names) == ["a", "b", "c"]
    assert sorted(announced) == ["a", "b", "c"]


async def test_listeners_hear_of_a_transaction_before_its_caller(books: Books) -> None:
    heard: list[str] = []
    books.listener = lambda facts: heard.extend(facts)
    await books.write(put, "a")
    assert heard == ["a"]


async def test_what_a_function_refuses_is_undone_and_told_to_nobody(books: Books) -> None:
    def refuse(conn: Connection) -> None:
        put(conn, "a")
        raise ValueError

    heard: list[str] = []
    books.listener = heard.extend
    with pytest.raises(ValueError, match=r"^$"):
        await books.write(refuse)
    await books.write(put, "b")
    assert (await books.read(names), heard) == (["b"], ["b"])


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

    async def stand() -> bool:
        return await books.read(names) == ["a", "b"]

    await eventually(stand)
    assert call.cancelled()


async def test_what_one_transaction_writes_the_next_one_reads(books: Books) -> None:
    def add_one(conn: Connection) -> None:
        set_number(conn, "a", number(conn, "a") + 1)

    await books.write(put, "a")
    for _ in range(5):
        await books.write(add_one)
    assert await books.read(number, "a") == 5


async def test_closing_finishes_what_was_asked(url: str) -> None:
    books = open_books(url)
    asked = [asyncio.create_task(books.write(put, f"{n:03}")) for n in range(300)]
    await asyncio.sleep(0)
    await books.close()
    await asyncio.gather(*asked)
    assert len(await asyncio.to_thread(run_once, url, names)) == 300


async def test_a_statement_that_is_wrong_is_an_error_of_sqlalchemy(books: Books) -> None:
    with pytest.raises(DBAPIError):
        await books.write(lambda conn: conn.exec_driver_sql("INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(IntegrityError):
        await books.write(lambda conn: (put(conn, "a"), put(conn, "a")))
    assert await books.read(names) == []
