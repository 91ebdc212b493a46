"""`sluice outbox backfill`: tells of operations, reviews and accounts that an earlier release never told of."""

import asyncio
from collections.abc import Callable
from typing import Any

import click

from connectors.kafka_login import Bootstrap
from connectors.keyfiles import SecretMissing
from gateway.books.account_rights import list_untold
from gateway.books.clock import set_steady_clock
from gateway.books.engine import Books, UnknownCommit
from gateway.books.key_ring import KeyRing
from gateway.books.opening import check_existing, open_books
from gateway.books.outbox import Unpublished, any_unpublished, newest_id
from gateway.books.personal_books import PersonalBooks
from gateway.books.persons import LOOKUPS
from gateway.books.worker_lease import WorkerLease
from gateway.events.outbox_relay import OutboxRelay
from gateway.identity.account_events import tell_untold_account
from gateway.payments.backfill import BackfilledEvents, tell_untold
from gateway.policy import SECOND_US
from gateway.roles import Role
from gateway.settings import GatewaySettings
from schemas.ids import new_id
from schemas.settings import load
from sluice.kafka import reach
from sluice.momentary_vault import vault_at_hand

LOOK_S = 0.05
LEASE_US = 15 * SECOND_US  # what a run that was killed left is taken over after it
AT_ONCE = 1_000  # ids of a page
TOLD: tuple[Role, ...] = ("merchant", "analyst", "admin")


@click.command()
def backfill() -> None:
    """Write the events of operations and reviews that are on no topic yet, and of merchants and staff.

    Once, after the update to the first release that has them; the gateway may serve meanwhile. It may be stopped
    and run again: what is told is passed over.
    """
    settings = load(GatewaySettings)
    check_existing(settings.books_url())
    bootstrap = reach(settings, "gateway")
    try:
        told, accounts = asyncio.run(_backfill(settings, bootstrap))
    except SecretMissing as missing:
        raise click.ClickException(str(missing)) from None
    click.echo(f"told of {told.operations} operations, {told.reviews} reviews and {accounts} accounts")


async def _backfill(settings: GatewaySettings, bootstrap: Bootstrap) -> tuple[BackfilledEvents, int]:
    """With a relay of our own: a gateway's events do not wait behind these, and none has to run."""
    books = open_books(settings.books_url())
    await set_steady_clock(books)
    worker = WorkerLease(books, new_id("wrk"), "backfill", LEASE_US, lambda: None)
    await worker.open()
    relay = OutboxRelay(books, bootstrap, worker)
    books.listener = _listener(relay)

    async def published() -> None:
        until = await books.read(newest_id)
        while True:
            if not await books.read(any_unpublished, until):
                return
            await asyncio.sleep(LOOK_S)

    try:
        told = await tell_untold(books, published)
        accounts = await _tell_accounts(books, settings)
        await published()
        return told, accounts
    finally:
        await relay.close()
        await worker.close()
        await books.close()


async def _tell_accounts(books: Books, settings: GatewaySettings) -> int:
    """Of merchants and staff; customers are told of once somebody changes them. Names are opened by the vault."""
    untold = [account_id for role in TOLD for account_id in await _untold(books, role)]
    if not untold:
        return 0
    async with vault_at_hand(settings, None) as vault:
        opening = PersonalBooks(books, KeyRing(LOOKUPS), vault.person_keys)
        return sum([await opening.write(tell_untold_account, account_id) for account_id in untold])


async def _untold(books: Books, role: Role) -> list[str]:
    found: list[str] = []
    while page := await books.read(list_untold, role, found[-1] if found else "", AT_ONCE):
        found += page
    return found


def _listener(relay: OutboxRelay) -> Callable[[list[Any]], None]:
    def hear(facts: list[Any]) -> None:
        if any(isinstance(fact, UnknownCommit) for fact in facts):
            relay.leave_to_sweep()
        relay.publish([fact for fact in facts if isinstance(fact, Unpublished)])

    return hear
