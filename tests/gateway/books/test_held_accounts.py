"""An account that payments are made to all the time: what waits for them in PostgreSQL, and what does not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from gateway.books.accounts import (
    Account,
    AccountGone,
    add,
    erase,
    forbid_erasure,
    forget_failures,
    to_change,
    to_erase,
)
from gateway.books.personal_books import PersonalBooks
from gateway.books.postgres import PostgresBooks
from tests.gateway.databases import Databases, with_every_key

pytestmark = pytest.mark.postgres

SHOP = Account(id="acc_shop", role="merchant", name="Shop", created_at=1, updated_at=1)
HELD_S = 0.5


@pytest.fixture
def url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    url = databases.empty("postgres", tmp_path)
    yield url
    databases.drop(url)


@pytest.fixture
async def books(url: str) -> AsyncIterator[PersonalBooks]:
    books = with_every_key(PostgresBooks(url))
    await books.write(add, SHOP)
    yield books
    await books.close()


class Slow:
    """A transaction that takes an account, and keeps it for a while. `steps`: what was done, in order."""

    def __init__(self, books: PersonalBooks) -> None:
        self.steps: list[str] = []
        self._books, self._taken = books, asyncio.Event()

    async def forbid_erasure(self) -> "asyncio.Task[None]":
        """Begin a payment to the shop."""
        return await self._begin(self._hold)

    async def erase(self) -> "asyncio.Task[None]":
        """Begin the shop's erasure."""
        return await self._begin(self._erase)

    async def _begin(self, work: Callable[[Connection], None]) -> "asyncio.Task[None]":
        begun = asyncio.create_task(self._books.write(work))
        await self._taken.wait()
        return begun

    def _hold(self, conn: Connection) -> None:
        forbid_erasure(conn, SHOP.id, SHOP.id)
        self._wait(conn)

    def _erase(self, conn: Connection) -> None:
        assert to_erase(conn, SHOP.id)
        self._wait(conn)
        erase(conn, SHOP.id, 2)

    def _wait(self, conn: Connection) -> None:
        self._taken.set()
        conn.exec_driver_sql(f"SELECT pg_sleep({HELD_S})")
        self.steps.append("waited")


@pytest.fixture
def slow(books: PersonalBooks) -> Slow:
    return Slow(books)


def change_at_once(conn: Connection) -> None:
    """Raises where that has to wait."""
    conn.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
    assert forget_failures(conn, SHOP.id, 1)
    assert to_change(conn, SHOP.id)


async def test_who_is_paid_logs_in_and_changes_details_meanwhile(books: PersonalBooks, slow: Slow) -> None:
    paying = await slow.forbid_erasure()
    await books.write(change_at_once)
    await paying


async def test_who_is_paid_is_not_erased_meanwhile(books: PersonalBooks, slow: Slow) -> None:
    paying = await slow.forbid_erasure()
    assert await books.write(to_erase, SHOP.id)
    slow.steps.append("erased")
    assert slow.steps == ["waited", "erased"]
    await paying


async def test_what_comes_beside_an_erasure_waits_for_it_and_finds_nobody(
    books: PersonalBooks, slow: Slow
) -> None:
    erasing = await slow.erase()
    with pytest.raises(AccountGone):
        await books.write(forbid_erasure, SHOP.id, SHOP.id)
    assert await books.write(to_change, SHOP.id) is None
    await erasing
