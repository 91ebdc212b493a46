"""What the gateway owes persons beside its requests: old rows are sealed, and keys of the erased destroyed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog
from sqlalchemy.exc import OperationalError

from gateway.books import destructions, sealing
from gateway.books.engine import Books
from gateway.books.key_ring import KeyRing
from gateway.vault.client import VaultAway, VaultClient
from schemas.times import now_micros

LOOKS_EVERY_S = 60.0  # for keys to destroy: an erasure destroys its own, unless it was killed or the vault away
AT_ONCE = 100
PAUSE_S = 0.01  # between two transactions: payments do not wait for old rows

log = structlog.get_logger()


async def keep_persons(books: Books, vault: VaultClient, ring: KeyRing) -> NoReturn:
    """Seal what stands in clear, then destroy what is due, for as long as the gateway runs."""
    at_start = [lambda: _seal_all(books), lambda: _destroy_again(books, vault, ring)]
    while True:
        while at_start and await _borne(at_start[0]):
            at_start.pop(0)
        await _borne(lambda: _destroy_due(books, vault, ring))
        await asyncio.sleep(LOOKS_EVERY_S)


async def destroy_key(books: Books, vault: VaultClient, ring: KeyRing, account_id: str) -> None:
    """Destroy the key of a person who was erased. Raises `VaultAway`: then it is due still."""
    ring.forget(account_id)
    await vault.destroy_person_key(account_id)
    await books.write(destructions.end, account_id, now_micros())
    log.info("person_key.destroyed", account_id=account_id)


async def _borne(chore: Callable[[], Awaitable[None]]) -> bool:
    """Whether a chore was done; False where the vault or the books were away."""
    try:
        await chore()
    except (VaultAway, OperationalError) as error:
        log.warning("persons.postponed", reason=type(error).__name__)
        return False
    return True


async def _seal_all(books: Books) -> None:
    left = list(sealing.TABLES)
    while left:
        if not await books.write(sealing.seal_some, left[0]):
            left.pop(0)
        await asyncio.sleep(PAUSE_S)


async def _destroy_again(books: Books, vault: VaultClient, ring: KeyRing) -> None:
    """Keys that were destroyed once are there again where an earlier copy of the vault's file was put back."""
    asked = await books.read(destructions.asked_after, "", AT_ONCE)
    while asked:
        for account_id in await vault.person_keys(asked):
            await destroy_key(books, vault, ring, account_id)
        asked = await books.read(destructions.asked_after, asked[-1], AT_ONCE)


async def _destroy_due(books: Books, vault: VaultClient, ring: KeyRing) -> None:
    for account_id in await books.read(destructions.due, AT_ONCE):
        await destroy_key(books, vault, ring, account_id)
