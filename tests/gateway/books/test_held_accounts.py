"""An account that payments are made to all the time: what waits for them in PostgreSQL, and what does not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import Connection

from gateway.books.accounts import Account, AccountGone, add, erase, forget_failures, hold, to_change, to_erase
from gateway.books.postgres import PostgresBooks
from tests.gateway.databases import Databases

pytestmark = pytest.mark.postgres

SHOP = Account(id="acc_shop", role="merchant", name="Shop", created_at=1, updated_at=1)
HELD_S = 1.0
SOON_S = 0.2


@pytest.fixture
def url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    url = databases.empty("postgres", tmp_path)
    yield url
    databases.drop(url)


@pytest.fixture
async def books(url: str) -> AsyncIterator[PostgresBooks]:
    books = PostgresBooks(url)
    await books.write(add, SHOP)
    yield books
    await books.close()


def wait(conn: Connection) -> None:
    conn.exec_driver_sql(f"SELECT pg_sleep({HELD_S})")


def hold_long(conn: Connection) -> None:
    hold(conn, SHOP.id, SHOP.id)
    wait(conn)


def erase_slowly(conn: Connection) -> None:
    assert to_erase(conn, SHOP.id)
    wait(conn)
    erase(conn, SHOP.id, 2)


async def test_who_is_paid_logs_in_and_changes_details_meanwhile(books: PostgresBooks) -> None:
    paying = asyncio.create_task(books.write(hold_long))
    await asyncio.sleep(SOON_S)
    assert await books.write(forget_failures, SHOP.id, 1)
    assert await books.write(to_change, SHOP.id)
    assert not paying.done()
    await paying


async def test_who_is_paid_is_not_erased_meanwhile(books: PostgresBooks) -> None:
    began, paying = monotonic(), asyncio.create_task(books.write(hold_long))
    await asyncio.sleep(SOON_S)
    assert await books.write(to_erase, SHOP.id)
    assert monotonic() - began >= HELD_S
    await paying


async def test_what_comes_beside_an_erasure_waits_for_it_and_finds_nobody(books: PostgresBooks) -> None:
    erasing = asyncio.create_task(books.write(erase_slowly))
    await asyncio.sleep(SOON_S)
    with pytest.raises(AccountGone):
        await books.write(hold, SHOP.id, SHOP.id)
    assert await books.write(to_change, SHOP.id) is None
    await erasing
