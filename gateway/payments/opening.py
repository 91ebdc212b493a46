"""Operations as they begin: written in the commit before their call goes out."""

import msgspec
from sqlalchemy import Connection

from gateway.books.operations import (
    Attempt,
    Operation,
    insert_attempt,
    insert_operation,
    select_reversal,
    update_operation,
)
from gateway.books.payments import PaymentRow, existing_payment
from gateway.payments.effect import Follow, following
from gateway.payments.terms import Terms
from schemas.ids import new_id
from schemas.payments import ProcessorName
from schemas.times import now_micros


def open_operation(conn: Connection, terms: Terms, payment: PaymentRow, follow: Follow, now: int) -> Operation:
    """Write the operation about to be sent; a reversal that was begun before is opened again.

    `now` in microseconds UTC. Raises `IntegrityError` where another operation of the payment is open.
    """
    begun = select_reversal(conn, follow.of) if follow.kind == "reversal" and follow.of else None
    if begun is not None:
        return _open_again(conn, begun, now + terms.lease)
    operation = Operation(
        id=new_id("op"),
        payment=payment.id,
        attempt=follow.attempt or _begin_attempt(conn, payment, follow.processor, now),
        processor=follow.processor,
        kind=follow.kind,
        of=follow.of,
        of_reference=follow.of_reference,
        amount=follow.amount or payment.amount,
        currency=payment.currency,
        worker=terms.worker,
        lease_until=now + terms.lease,
        created_at=now,
    )
    insert_operation(conn, operation)
    return operation


def _begin_attempt(conn: Connection, payment: PaymentRow, processor: ProcessorName, now: int) -> str:
    attempt = Attempt(new_id("att"), payment.id, payment.attempts + 1, processor, now)
    insert_attempt(conn, attempt)
    return attempt.id


def open_reversal(conn: Connection, terms: Terms, operation: Operation) -> Operation:
    """Write the reversal that takes an operation back by its id, or open the one begun before again."""
    payment = existing_payment(conn, operation.payment)
    return open_operation(conn, terms, payment, following("reversal", operation, operation.amount), now_micros())


def _open_again(conn: Connection, begun: Operation, lease_until: int) -> Operation:
    if begun.status == "succeeded":  # someone else was first; sent once more it does no harm
        return begun
    again = msgspec.structs.replace(begun, status="sending", lease_until=lease_until, finished_at=None)
    update_operation(conn, again, begun.status)
    return again
