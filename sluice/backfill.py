"""`sluice outbox backfill`: tells of operations and reviews that books of an earlier release never told of."""

import asyncio
from collections.abc import Callable
from typing import Any

import click

from connectors.kafka import is_listening
from gateway.books.engine import UnknownCommit
from gateway.books.opening import check_existing, open_books
from gateway.books.outbox import OutboxRow, newest_id, select_unpublished
from gateway.events.outbox_relay import OutboxRelay
from gateway.payments.backfill import BackfilledEvents, tell_untold
from gateway.settings import GatewaySettings
from schemas.settings import load

LOOK_S = 0.05


@click.command()
def backfill() -> None:
    """Write the events of operations and reviews that are on no topic yet.

    Once, after the update to the first release that has them; the gateway may serve meanwhile. It may be stopped
    and run again: what is told is passed over.
    """
    settings = load(GatewaySettings)
    check_existing(settings.books_url())
    if not is_listening(settings.bootstrap()):
        raise click.ClickException(f"nobody listens at {settings.bootstrap()}")
    told = asyncio.run(_backfill(settings.books_url(), settings.bootstrap()))
    click.echo(f"told of {told.operations} operations and {told.reviews} reviews")


async def _backfill(url: str, bootstrap: str) -> BackfilledEvents:
    """With a relay of our own: a gateway's events do not wait behind these, and none has to run."""
    books = open_books(url)
    relay = OutboxRelay(books, bootstrap)
    books.listener = _listener(relay)

    async def published() -> None:
        until = await books.read(newest_id)
        while True:
            if not await books.read(select_unpublished, until, 1):
                return
            await asyncio.sleep(LOOK_S)

    try:
        return await tell_untold(books, published)
    finally:
        await relay.close()
        await books.close()


def _listener(relay: OutboxRelay) -> Callable[[list[Any]], None]:
    def hear(facts: list[Any]) -> None:
        if any(isinstance(fact, UnknownCommit) for fact in facts):
            relay.leave_to_sweep()
        relay.publish([fact for fact in facts if isinstance(fact, OutboxRow)])

    return hear
