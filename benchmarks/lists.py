"""`python -m benchmarks.lists`: what a page of each list costs the event loop, in books full of payments.

Fills the books of each database, then reads the first pages of every list under every filter, as its route does.
Prints JSON: by database and list, of the dearest page, the CPU of the loop's thread, the longest the loop stood
still (read once more beside a ticking clock; for whatever else the machine does, too), and the time until the page
was there. Ends with 1 where a page costs the loop more than it may.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from time import perf_counter, thread_time
from types import SimpleNamespace
from typing import Any, assert_never, get_args

import click
import msgspec

from benchmarks.full_books import BIG_CUSTOMER, BIG_MERCHANT, EVERY_US, FIRST_US, fill
from benchmarks.postgres import serving
from benchmarks.stack import Database
from gateway.books import cards
from gateway.books.engine import Books, Slice
from gateway.books.opening import migrate, open_books, run_once
from gateway.books.operations import Operation, OperationPlace, list_operations
from gateway.books.payment_lists import PaymentFilter, list_payments
from gateway.books.payments import PaymentRow
from gateway.books.refunds import RefundFilter, list_refunds
from gateway.books.review_lists import ReviewFilter, list_reviews, place_of
from gateway.payments.views import payment_view, refund_view
from gateway.prints import Prints
from gateway.routes.cards import card_view
from gateway.routes.reviews import review_view
from gateway.web.call import Call, Caller
from gateway.web.paging import Page, read_slice
from schemas.ids import earliest_id

LOOP_MS_MAX = 5.0
PAGES = 5
TICK_S = 0.002
PRINTS = Prints(bytes(32))
FIRST_PAYMENT = earliest_id("pay", FIRST_US)


class ListFigures(msgspec.Struct, frozen=True):
    """Milliseconds of the dearest page; `items` of all pages that were read."""

    loop_ms: float
    stood_still_ms: float
    page_ms: float
    items: int


class List(msgspec.Struct, frozen=True):
    """A list as its route reads and shows it."""

    select: Callable[..., Slice[Any, Any]]
    place: Callable[[Any], Any]
    kind: type[Any]
    view: Callable[[Any], Any]


@click.command()
@click.option("--payments", default=1_000_000, help="In the books.")
@click.option("--database", type=click.Choice(get_args(Database)), multiple=True, help="Default: each.")
def main(payments: int, database: tuple[Database, ...]) -> None:
    """Measure every list; with a million payments it takes three minutes for each database."""
    found = {}
    for each in database or get_args(Database):
        with _filled(each, payments) as url:
            found[each] = asyncio.run(_measured(url, payments))
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    if any(figures.loop_ms > LOOP_MS_MAX for lists in found.values() for figures in lists.values()):
        sys.exit(1)


@contextmanager
def _filled(database: Database, payments: int) -> Iterator[str]:
    """The URL of books with so many payments."""
    match database:
        case "sqlite":
            with tempfile.TemporaryDirectory(prefix="sluice-lists-") as folder:
                yield _fill(f"sqlite:///{Path(folder) / 'books.sqlite3'}", payments)
        case "postgres":
            with serving(durable=False) as server:
                yield _fill(server.url(), payments)
        case _:
            assert_never(database)


def _fill(url: str, payments: int) -> str:
    migrate(url)
    run_once(url, lambda conn: fill(conn, payments))
    return url


async def _measured(url: str, payments: int) -> dict[str, ListFigures]:
    books = open_books(url)
    try:
        for _, listed in _lists(payments):  # compiles, connects, prepares
            await _page(books, listed, None)
        return {name: await _pages(books, listed) for name, listed in _lists(payments)}
    finally:
        await books.close()


def _lists(payments: int) -> Iterator[tuple[str, List]]:
    for name, wanted in _filters(payments):
        yield f"payments {name}", _payments(wanted)
    for party_id in (None, BIG_CUSTOMER):
        select = _whole(partial(list_refunds, wanted=RefundFilter(party_id=party_id)))
        yield f"refunds of {party_id}", List(select, attrgetter("id"), str, lambda row: refund_view(row, "admin"))
    for name, queue in _queues():
        select = partial(list_reviews, wanted=queue)
        place = partial(place_of, order=queue.order)
        yield f"reviews {name}", List(select, place, tuple[bool, int, str], review_view)
    own_cards = _whole(partial(cards.select_cards, owner_id=BIG_CUSTOMER))
    yield "cards", List(own_cards, lambda c: cards.CardPlace(c.created_at, c.id), cards.CardPlace, _card_view)
    calls = _whole(partial(list_operations, payment_id=FIRST_PAYMENT))
    yield (
        "operations",
        List(calls, _place_of_operation, OperationPlace, msgspec.to_builtins),
    )


def _queues() -> Iterator[tuple[str, ReviewFilter]]:
    yield "all", ReviewFilter()
    yield "by expected loss", ReviewFilter(is_open=True, order="expected_loss")
    yield "of nobody and no reason", ReviewFilter(kind="late", reason="none", order="expected_loss")


def _place_of_operation(operation: Operation) -> OperationPlace:
    return OperationPlace(operation.ordinal, operation.id)


def _filters(payments: int) -> Iterator[tuple[str, PaymentFilter]]:
    """Every filter by itself, and such as are never fulfilled together, for staff and for both parties."""
    middle = FIRST_US + payments // 2 * EVERY_US
    single: list[dict[str, Any]] = [
        {},
        *[{"state": state} for state in ("captured", "declined", "in_review", "unknown")],
        *[{"status": status} for status in ("succeeded", "failed", "pending")],
        {"status": "pending", "currency": "EUR", "amount": 3000, "last4": "0042"},
        *[{"risk_outcome": outcome} for outcome in ("allow", "block", "flag")],
        *[{"processor": name} for name in ("visa", "paypal")],
        *[{"currency": code} for code in ("EUR", "KWD", "JPY")],
        *[{"last4": last4} for last4 in ("0000", "0042")],
        *[{"amount": amount} for amount in (1, 3000)],
        *[{"reference": text} for text in ("order 0", "none")],
        *[{"customer_id": BIG_CUSTOMER}, {"merchant_id": BIG_MERCHANT}],
        *[
            {"created_before": middle},
            {"created_from": middle},
            {"created_from": middle, "created_before": middle + 1},
        ],
        {"state": "declined", "currency": "EUR", "merchant_id": BIG_MERCHANT},
        {"state": "captured", "risk_outcome": "block"},
        {"state": "captured", "risk_outcome": "allow", "created_before": middle},
        {"state": "declined", "currency": "KWD", "amount": 3000, "last4": "0042"},
        {"currency": "EUR", "processor": "visa", "merchant_id": BIG_MERCHANT, "last4": "9999", "amount": 2},
    ]
    for values in single:
        for party_id in (None, BIG_CUSTOMER, BIG_MERCHANT):
            yield f"{values or 'all'} for {party_id or 'staff'}", PaymentFilter(party_id=party_id, **values)


def _payments(wanted: PaymentFilter) -> List:
    return List(partial(list_payments, wanted=wanted), attrgetter("id"), str, _payment_view)


def _payment_view(row: PaymentRow) -> Any:
    merchant = Caller(
        row.merchant_id, row.merchant_id, "merchant", frozenset()
    )  # the dearest: a print is made for each
    return payment_view(row, merchant, PRINTS)


def _card_view(card: cards.CardRow) -> Any:
    return card_view(card, PRINTS)


def _whole(select: Callable[..., Any]) -> Callable[..., Slice[Any, Any]]:
    return lambda conn, after, most: Slice(select(conn, after, most))


async def _pages(books: Books, listed: List) -> ListFigures:
    cursor: str | None = None
    items, loop_ms, page_ms, still_ms = 0, 0.0, 0.0, 0.0
    for _ in range(PAGES):
        async with _ticking() as gaps:
            await _page(books, listed, cursor)
        began, spent = perf_counter(), thread_time()
        shown, cursor = await _page(books, listed, cursor)
        loop_ms = max(loop_ms, (thread_time() - spent) * 1000)
        page_ms = max(page_ms, (perf_counter() - began) * 1000)
        items, still_ms = items + shown, max(still_ms, *gaps, 0.0)
        if cursor is None:
            break
    return ListFigures(round(loop_ms, 2), round(still_ms, 2), round(page_ms, 2), items)


async def _page(books: Books, listed: List, cursor: str | None) -> tuple[int, str | None]:
    """A page as a route answers it: read, shown, encoded."""
    runtime: Any = SimpleNamespace(books=books, key=bytes(32))
    call = Call(
        runtime, Caller("acc_1", "acc_1", "admin", frozenset()), None, Page(cursor, 100), None, b"", "", ""
    )
    shown, following = await read_slice(call, listed.select, listed.place, listed.kind)
    msgspec.json.encode([listed.view(item) for item in shown])
    return len(shown), following


@asynccontextmanager
async def _ticking() -> AsyncIterator[list[float]]:
    """How late each tick came, in milliseconds."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            before = perf_counter()
            await asyncio.sleep(TICK_S)
            late.append((perf_counter() - before - TICK_S) * 1000)

    ticks = asyncio.create_task(tick())
    try:
        yield late
    finally:
        ticks.cancel()


if __name__ == "__main__":
    main()
