"""A change of a payment and the events that tell of it, in one transaction: neither without the other."""

import msgspec
from sqlalchemy import Connection

from gateway.books.idempotency import Replay, answer_payment
from gateway.books.outbox import OutboxRow, add_event
from gateway.books.payments import PaymentRow, insert_payment, update_payment
from gateway.payments.snapshot import snapshot, view_bytes
from schemas.events import payment_type
from schemas.ids import new_id
from schemas.payments import PaymentEvent, TransactionCompleted
from schemas.states import STATUS, PaymentState, can_become
from schemas.times import from_micros
from schemas.topics import PAYMENTS

UNANSWERED = ("processing", "requires_action")  # states that no `transaction_completed` tells of
WAITING = ("processing", "requires_action", "in_review", "unknown")


class ImpossibleTransition(AssertionError):
    """A state was about to become one that `schemas.states.TRANSITIONS` does not allow: a bug."""


def record_new(conn: Connection, row: PaymentRow) -> PaymentRow:
    """Write a new payment and `payment.initiated`."""
    new = msgspec.structs.replace(row, sequence=1)
    insert_payment(conn, new)
    _emit(conn, new, "payment.initiated", _event(new, None))
    return new


def record(
    conn: Connection, before: PaymentRow, after: PaymentRow, *, event: str = "", at_rest: bool = False
) -> PaymentRow:
    """Write what became of a payment, with an event where its state changed (or `event` names one).

    `at_rest`: nobody is working on it any more, so its clients are told what its `status` is now.
    Raises `ImpossibleTransition`, and `Outdated` where the row changed since `before` was read.
    """
    if after.state != before.state:
        if not can_become(before.state, after.state):
            raise ImpossibleTransition(f"{before.id}: {before.state} -> {after.state}")
        event = event or payment_type(after.state)
    if event:
        after = msgspec.structs.replace(after, sequence=after.sequence + 1)
        _emit(conn, after, event, _event(after, before.state))
    if at_rest and after.state not in UNANSWERED and STATUS[after.state] != after.announced:
        after = _announce_status(conn, before.state, after)
    return update_payment(conn, after)


def answer_request(conn: Connection, row: PaymentRow, *, waits: bool = False) -> Replay | None:
    """Answer the request that runs on a payment, if one does: 202 where the payment waits for someone."""
    still = waits or row.state in WAITING or (row.state == "authorized" and row.capture == "automatic")
    body = view_bytes(row, row.viewer)
    status = answer_payment(conn, row.id, body, waits=still)
    return Replay(status, body, row.id) if status else None


def _announce_status(conn: Connection, before: PaymentState, after: PaymentRow) -> PaymentRow:
    status = STATUS[after.state]
    told = msgspec.structs.replace(after, sequence=after.sequence + 1, announced=status)
    data = TransactionCompleted(
        told.sequence, before, from_micros(told.updated_at), status, after.announced, snapshot(told)
    )
    _emit(conn, told, "transaction_completed", data)
    return told


def _event(row: PaymentRow, before: PaymentState | None) -> PaymentEvent:
    return PaymentEvent(row.sequence, before, from_micros(row.updated_at), snapshot(row))


def _emit(conn: Connection, row: PaymentRow, kind: str, data: PaymentEvent | TransactionCompleted) -> None:
    add_event(
        conn,
        OutboxRow(
            id=0,
            event=new_id("evt"),
            topic=PAYMENTS.name,
            key=row.stream_key,
            type=kind,
            payment=row.id,
            sequence=row.sequence,
            value=msgspec.json.encode(data),
            traceparent=row.traceparent,
            recorded_at=row.updated_at,
        ),
    )
