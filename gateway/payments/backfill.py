"""Events of operations and reviews of before this release, so that what is made of the topics equals the books.

What the gateway tells of meanwhile, it tells whole: an operation that was never told of carries all that was ever
posted for it in its first event.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from sqlalchemy import Connection

from gateway.books.engine import Books
from gateway.books.operations import Operation, attempt_number
from gateway.books.outbox import NewEvent, add_events
from gateway.books.payments import existing_payment
from gateway.books.postings import select_posted
from gateway.books.reviews import ENDED, OPENED
from gateway.books.untold import list_untold, lock_operations, lock_reviews, mark_told
from gateway.payments.telling import operation_event, review_events
from schemas.times import now_micros

LOOKED_AT = 1_000  # rows per look, and so events at most that wait for Kafka
AT_ONCE = 100  # per transaction: no payment waits for more
PAUSE_S = 0.01  # between two of them


class BackfilledEvents(msgspec.Struct):
    """How many operations and reviews were told of."""

    operations: int = 0
    reviews: int = 0


async def tell_untold(books: Books, published: Callable[[], Awaitable[None]]) -> BackfilledEvents:
    """Write the missing events, in pages. `published` returns once those that were written are on Kafka.

    It may be stopped at any time, and run again.
    """
    done = BackfilledEvents()
    done.operations = await _walk(books, "operations", tell_operations, published)
    done.reviews = await _walk(books, "reviews", tell_reviews, published)
    return done


async def _walk(
    books: Books,
    table: str,
    tell: Callable[[Connection, str, str], int],
    published: Callable[[], Awaitable[None]],
) -> int:
    past, told = "", 0
    while True:
        untold, further = await books.browse(list_untold, table, past, LOOKED_AT)
        for start in range(0, len(untold), AT_ONCE):
            some = untold[start : start + AT_ONCE]
            told += await books.write(tell, some[0], some[-1])
            await asyncio.sleep(PAUSE_S)
        if untold:
            await published()
        if further is None:
            return told
        past = further


def tell_operations(conn: Connection, first_id: str, last_id: str) -> int:
    """Tell of the untold operations from one id to another, both included, as they are; how many."""
    found, now = lock_operations(conn, first_id, last_id), now_micros()
    mark_told(conn, "operations", [(operation.id, 1) for operation in found])
    add_events(conn, [_event(conn, operation, now) for operation in found])
    return len(found)


def _event(conn: Connection, operation: Operation, now: int) -> NewEvent:
    payment = existing_payment(conn, operation.payment_id)
    told = msgspec.structs.replace(operation, sequence=1)
    number = attempt_number(conn, operation.attempt_id) if payment.attempts > 1 else 1
    happened_at = operation.finished_at or operation.created_at
    entries = select_posted(conn, operation.id)
    return operation_event(payment, told, number, entries, happened_at=happened_at, now=now)


def tell_reviews(conn: Connection, first_id: str, last_id: str) -> int:
    """Tell of the untold reviews from one id to another, both included: opened, and ended where they are."""
    found, now = lock_reviews(conn, first_id, last_id), now_micros()
    sequences = [(review.id, OPENED if review.decision is None else ENDED) for review in found]
    mark_told(conn, "reviews", sequences)
    for review in found:
        add_events(conn, review_events(existing_payment(conn, review.payment_id), review, now))
    return len(found)
