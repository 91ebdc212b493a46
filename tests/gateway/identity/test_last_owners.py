"""Owners of a merchant who go at the same moment: one who can log in stays, in PostgreSQL too."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.books import merchant_people
from gateway.books.accounts import Account, add
from gateway.books.audit import sealing
from gateway.books.merchant_people import MerchantPerson
from gateway.books.personal_books import PersonalBooks
from gateway.books.postgres import PostgresBooks
from gateway.identity.erasure import Erased, erase_some
from gateway.identity.merchant_people import LastOwner, remove
from tests.gateway.databases import Databases, with_every_key

pytestmark = pytest.mark.postgres

SHOP = "acc_shop"
OWNERS = ("acc_anna", "acc_bert")
ROUNDS = 4


@pytest.fixture
def url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    url = databases.empty("postgres", tmp_path)
    yield url
    databases.drop(url)


@pytest.fixture
async def books(url: str) -> AsyncIterator[PersonalBooks]:
    books = with_every_key(PostgresBooks(url))
    books.seal = sealing(bytes(32))
    await books.write(add, Account(id=SHOP, role="merchant", name="Shop", created_at=1, updated_at=1))
    yield books
    await books.close()


async def appoint(books: PersonalBooks, number: int) -> list[str]:
    """Two owners of the shop who can log in."""
    ids = [f"{owner}{number}" for owner in OWNERS]
    for account_id in ids:
        account = Account(id=account_id, role="merchant", password_hash="x", name="", created_at=1, updated_at=1)
        await books.write(add, account)
        await books.write(merchant_people.put, MerchantPerson(account_id, SHOP, "owner", 1))
    return ids


def goes(books: PersonalBooks, account_id: str, how: str) -> Coroutine[Any, Any, Any]:
    """They are taken out, or erase themselves."""
    if how == "taken out":
        return books.write(remove, SHOP, account_id, "acc_admin")
    return books.write(erase_some, account_id, Erased(), account_id)


@pytest.mark.parametrize("ways", [("taken out", "taken out"), ("erased", "erased"), ("taken out", "erased")])
async def test_of_two_owners_who_go_at_once_one_stays(books: PersonalBooks, ways: tuple[str, str]) -> None:
    for number in range(ROUNDS):
        ids = await appoint(books, number)
        went = [goes(books, account_id, how) for account_id, how in zip(ids, ways, strict=True)]
        ends = await asyncio.gather(*went, return_exceptions=True)
        assert [type(end) for end in ends if isinstance(end, BaseException)] == [LastOwner], ends
        await books.write(merchant_people.remove, ids[0], 1)
        await books.write(merchant_people.remove, ids[1], 1)


async def test_an_owner_who_is_taken_out_while_they_erase_themselves_is_gone(books: PersonalBooks) -> None:
    """Each holds what the other waits for: PostgreSQL undoes one, which runs again."""
    leaver, _ = await appoint(books, 0)
    went = [goes(books, leaver, how) for how in ("erased", "taken out")]
    erased, _ = await asyncio.gather(*went, return_exceptions=True)
    person = await books.read(merchant_people.by_account, leaver)
    assert isinstance(erased, Erased)
    assert person
    assert person.removed_at is not None
