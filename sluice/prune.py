"""The command `sluice prune`: deletes what nobody asks for any more from the books, while the gateway serves."""

import asyncio
from datetime import timedelta

import click

from gateway.books.clock import set_steady_clock
from gateway.books.opening import check_existing, open_books
from gateway.books.pruning import prune as prune_books
from gateway.settings import GatewaySettings
from schemas.settings import load
from sluice.cli import DURATION


@click.command()
@click.option(
    "--events-older-than",
    "age",
    type=DURATION,
    default="30d",
    show_default=True,
    help="Events that Kafka has had for longer go; `sluice outbox resend` cannot send them again.",
)
def prune(age: timedelta) -> None:
    """Delete old events, answered Idempotency-Keys and ended sessions; the gateway does it daily by itself."""
    settings = load(GatewaySettings)
    check_existing(settings.books_url())
    for name, rows in asyncio.run(_prune(settings.books_url(), age)).items():
        click.echo(f"{name:18}{rows:>12} rows")


async def _prune(url: str, age: timedelta) -> dict[str, int]:
    books = open_books(url)
    try:
        await set_steady_clock(books)  # keys and sessions end by the books' clock, not by the wall's
        return await prune_books(books, age // timedelta(microseconds=1))
    finally:
        await books.close()
