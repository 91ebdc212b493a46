"""The money of an operation that succeeded, posted in the transaction that closes it."""

import msgspec
from sqlalchemy import Connection

from gateway.books.operations import Operation, update_operation
from gateway.books.payments import PaymentRow
from gateway.books.postings import entries, negated, post, select_entries


def book(
    conn: Connection, payment: PaymentRow, closed: Operation, undone: Operation | None, now: int
) -> Operation | None:
    """Post the money a succeeded operation moved; what a reversal took back is booked as having happened.

    Returns `undone`, the operation that `closed` follows or takes back, as it is now. `now` in
    microseconds UTC.
    """
    if closed.kind == "order":
        return undone
    if closed.kind not in ("void", "reversal") or undone is None:
        post(conn, closed, entries(closed, payment.merchant, _held(payment)), now)
        return undone
    if closed.kind == "reversal" and undone.status not in ("succeeded", "declined"):
        happened = msgspec.structs.replace(undone, status="succeeded", lease_until=None, finished_at=now)
        update_operation(conn, happened, undone.status)
        post(conn, happened, entries(happened, payment.merchant, _held(payment)), now)
        undone = happened
    post(conn, closed, negated(select_entries(conn, undone.id)), now)
    return undone


def _held(payment: PaymentRow) -> int:
    """What is still reserved for a capture to release: a second one finds nothing."""
    return payment.amount if payment.state == "authorized" else 0
