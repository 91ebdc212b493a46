"""Operations as a transaction leaves them: written, posted for, and told of in the same transaction.

Each posting stands in exactly one event of its operation: who adds them up at any place of the topic has what the
books had then.
"""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from gateway.books.engine import announce
from gateway.books.operations import Operation, attempt_number, update_operation
from gateway.books.outbox import NewEvent
from gateway.books.payments import PaymentRow
from gateway.books.postings import Entries, post, select_posted
from gateway.log_lines import LogLine
from gateway.payments.changes import Change, OperationPosting
from gateway.payments.telling import operation_event
from gateway.payments.views import milliseconds
from schemas.events import trace_id
from schemas.operations import OperationStatus
from schemas.times import from_micros, steady_micros


class OperationLine(LogLine, frozen=True, kw_only=True):
    """The log line of an operation, announced with the commit that closes it. `detail` holds no card data."""

    event: str = "operation.closed"
    operation_id: str
    payment_id: str
    kind: str
    processor: str
    status: str
    milliseconds: float | None
    decline_code: str | None
    detail: str


def write_operations(conn: Connection, change: Change) -> list[NewEvent]:
    """Write what a change makes of operations, and post for them; the events that tell of it.

    Raises `Outdated` where one changed since it was read.
    """
    payment, now = change.payment, change.payment.updated_at
    posted = _post(conn, change.postings, now)
    events = []
    for update in change.updates:
        closed = msgspec.structs.replace(
            update.operation, lease_until=on_steady_clock(update.operation.lease_until, now)
        )
        events += put_operation(conn, payment, closed, update.from_status, posted.pop(closed.id, ()), now)
        if closed.finished_at is not None:
            announce(conn, _line(closed, payment))
    for posting in change.postings:  # for one that is as it was: a capture counts once its reversal was refused
        o = posting.operation
        if entries := posted.pop(o.id, ()):
            events += put_operation(conn, payment, o, o.status, entries, now)
    return events


def put_operation(
    conn: Connection,
    payment: PaymentRow,
    operation: Operation,
    from_status: OperationStatus,
    entries: Entries,
    now: int,
) -> list[NewEvent]:
    """Write an operation for which `entries` were posted; the event of that, unless it is still in doubt.

    Raises `Outdated` where it changed since it was read.
    """
    ended_anew = operation.status != from_status or operation.finished_at is not None
    told = bool(entries) or ended_anew
    written = update_operation(conn, operation, from_status, told=told)
    if not told:
        return []
    if operation.sequence == 0 and from_status != "sending":  # it ended before this release: nothing was told
        entries = select_posted(conn, operation.id)
    number = attempt_number(conn, operation.attempt_id) if payment.attempts > 1 else 1
    return [operation_event(payment, written, number, entries, happened_at=now, now=now)]


def on_steady_clock(due: int | None, now: int) -> int | None:
    """When something is due that was counted from `now`, the wall clock's time, on the clock that it waits by."""
    return None if due is None else steady_micros() + due - now


def _post(conn: Connection, postings: Iterable[OperationPosting], now: int) -> dict[str, Entries]:
    """Post, and what was posted by the operation's id."""
    posted: dict[str, Entries] = {}
    for posting in postings:
        post(conn, posting.operation, posting.entries, now)
        posted[posting.operation.id] = posted.get(posting.operation.id, ()) + posting.entries
    return posted


def _line(operation: Operation, payment: PaymentRow) -> OperationLine:
    return OperationLine(
        timestamp=from_micros(payment.updated_at),
        trace=trace_id(payment.traceparent),
        operation_id=operation.id,
        payment_id=payment.id,
        kind=operation.kind,
        processor=operation.processor,
        status=operation.status,
        milliseconds=milliseconds(operation),
        decline_code=operation.decline_code,
        detail=operation.detail,
    )
