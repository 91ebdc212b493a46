"""What the topics tell of the operations and reviews of a payment: exactly what the books have of them.

It holds after every commit: what was committed until then stands in the outbox until then, so at any id of it.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, select

from gateway.books.operations import Operation, select_operations
from gateway.books.outbox import list_history
from gateway.books.postings import postings
from gateway.books.reviews import reviews
from schemas.operations import OperationEvent
from schemas.reviews import ReviewEvent
from schemas.times import from_micros

MOST = 1000  # events of one subject

Moved = tuple[str, str, int]  # operation id, ledger account, minor units


def mistold(conn: Connection, payment_id: str) -> Iterator[str]:
    """Whatever was told otherwise than it is, or not at all, or twice; one line each."""
    moved: Counter[Moved] = Counter()
    for operation in select_operations(conn, payment_id):
        rows = list_history(conn, operation.id, 0, MOST)
        events = [msgspec.json.decode(row.value, type=OperationEvent) for row in rows]
        moved.update((operation.id, entry.account, entry.amount) for event in events for entry in event.entries)
        yield from _of_operation(operation, events)
    found = conn.execute(select(postings).where(postings.c.payment_id == payment_id))
    posted = Counter[Moved]((row.source_id, row.account, row.amount) for row in found)
    if moved != posted:
        yield f"told {moved - posted} that was not posted, and not {posted - moved}"
    yield from _of_reviews(conn, payment_id)


def _of_operation(operation: Operation, events: list[OperationEvent]) -> Iterator[str]:
    o, sequences = operation, [event.sequence for event in events]
    if sequences != list(range(1, o.sequence + 1)):
        yield f"{o.kind} {o.id} has {o.sequence} events, and {sequences} were told"
    if any(sum(entry.amount for entry in event.entries) for event in events):
        yield f"{o.kind} {o.id} was told to have moved what does not add up to zero"
    if any(event.operation.status == "sending" for event in events):
        yield f"{o.kind} {o.id} was told of before it came to anything"
    if o.status == "sending":  # what it came to is told then
        return
    ended_at = None if o.finished_at is None else from_micros(o.finished_at)
    last = events[-1].operation if events else None
    if last is None or (last.status, last.finished_at) != (o.status, ended_at):
        yield f"{o.kind} {o.id} is {o.status}, and told to be {last and last.status}"


def _of_reviews(conn: Connection, payment_id: str) -> Iterator[str]:
    for review in conn.execute(select(reviews).where(reviews.c.payment_id == payment_id)):
        rows = list_history(conn, review.id, 0, MOST)
        told = [msgspec.json.decode(row.value, type=ReviewEvent).review.decision for row in rows]
        expected = [None] if review.decision is None else [None, review.decision]
        if told != expected or [row.sequence for row in rows] != list(range(1, review.sequence + 1)):
            yield f"review {review.id} is {review.decision}, and told: {told}"
