"""The one way to apply a processor's answer: a payment's path, reviews, polls and recovery all end in `apply`.

One transaction closes the operation, moves the payment, posts the money and writes the operation to send next,
so that there is exactly one commit before every call to a processor.
"""

import msgspec
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.caps import give_back
from gateway.books.idempotency import Replay
from gateway.books.operations import (
    Attempt,
    Operation,
    insert_attempt,
    insert_operation,
    select_operation,
    select_reversal,
    update_operation,
)
from gateway.books.payments import PaymentRow, select_payment
from gateway.books.postings import entries, post
from gateway.books.reviews import insert_review
from gateway.payments.consequences import ENDED, Effect, Follow, close, consequence
from gateway.payments.record import answer as answer_request
from gateway.payments.record import record
from gateway.payments.terms import APPROVAL_MAX, Terms
from schemas.ids import new_id
from schemas.times import from_micros, now_micros


class Step(msgspec.Struct, frozen=True):
    """Where a transaction left a payment: with an operation to send, or at rest, its request answered."""

    payment: PaymentRow
    send: Operation | None = None
    reply: Replay | None = None


def apply(conn: Connection, terms: Terms, operation: str, answer: Answer) -> Step:
    """Apply what a processor said of an operation; what was applied before changes nothing.

    Raises `LookupError` for an operation that does not exist.
    """
    before = select_operation(conn, operation)
    payment = select_payment(conn, before.payment) if before else None
    if before is None or payment is None:
        raise LookupError(operation)
    now = now_micros()
    closed = close(before, answer, payment, terms, now)
    if closed is None or not update_operation(conn, closed, before.status):
        return Step(payment)
    undone = select_operation(conn, closed.of) if closed.of else None
    if closed.status == "succeeded":
        undone = _book(conn, payment, closed, undone, now)
    effect = consequence(payment, closed, undone, answer)
    if closed.status == "succeeded" and before.status != "sending" and _is_being_taken_back(conn, closed):
        effect = Effect(payment)  # the reversal may have landed: its end is the payment's
    return proceed(conn, terms, payment, effect, waits=closed.status == "unknown")


def proceed(conn: Connection, terms: Terms, before: PaymentRow, effect: Effect, *, waits: bool = False) -> Step:
    """Write a payment as an effect leaves it, and the operation that follows or else the answer of its request."""
    now = now_micros()
    if effect.follow is not None:
        return _send_next(conn, terms, before, effect.payment, effect.follow, now)
    due = now + APPROVAL_MAX if effect.payment.state == "requires_action" else None
    rest = msgspec.structs.replace(
        effect.payment, recovery_point="finished", worker=None, lease_until=due, updated_at=now
    )
    if rest.state != before.state:
        _side_effects(conn, rest, now)
    done = record(conn, before, rest, at_rest=True)
    return Step(done, reply=answer_request(conn, done, waits=waits))


def _send_next(
    conn: Connection, terms: Terms, before: PaymentRow, after: PaymentRow, follow: Follow, now: int
) -> Step:
    sent = _open_operation(conn, terms, after, follow, now)
    moved = msgspec.structs.replace(
        after,
        recovery_point="judged",
        attempts=after.attempts + (follow.of is None),
        processor=sent.processor,
        worker=terms.worker,
        lease_until=None,  # from here on the operation's own lease counts
        updated_at=now,
    )
    return Step(record(conn, before, moved), sent)


def _open_operation(conn: Connection, terms: Terms, payment: PaymentRow, follow: Follow, now: int) -> Operation:
    of = follow.of
    if of is not None:
        attempt, processor = of.attempt, of.processor
    else:
        assert follow.processor is not None, "a new attempt names its processor"
        attempt, processor = new_id("att"), follow.processor
        insert_attempt(conn, Attempt(attempt, payment.id, payment.attempts + 1, processor, now))
    operation = Operation(
        id=new_id("op"),
        payment=payment.id,
        attempt=attempt,
        processor=processor,
        kind=follow.kind,
        of=of.id if of else None,
        of_reference=of.processor_reference if of else None,
        amount=follow.amount or payment.amount,
        currency=payment.currency,
        worker=terms.worker,
        lease_until=now + terms.lease,
        created_at=now,
    )
    insert_operation(conn, operation)
    return operation


def open_reversal(conn: Connection, terms: Terms, operation: Operation) -> Operation:
    """The reversal that takes an operation back by its id: the one begun before, or a new one."""
    begun = select_reversal(conn, operation.id)
    if begun is not None:
        return begun
    payment = select_payment(conn, operation.payment)
    assert payment is not None
    return _open_operation(
        conn, terms, payment, Follow("reversal", of=operation, amount=operation.amount), now_micros()
    )


def _book(
    conn: Connection, payment: PaymentRow, closed: Operation, undone: Operation | None, now: int
) -> Operation | None:
    """Post the money a succeeded operation moved; what a reversal took back is booked as having happened."""
    if closed.kind == "order":
        return undone
    if closed.kind == "reversal" and undone is not None:
        if undone.status == "declined":  # never booked, so there is nothing to take back
            return undone
        happened = msgspec.structs.replace(undone, status="succeeded", lease_until=None, finished_at=now)
        if undone.status != "succeeded" and update_operation(conn, happened, undone.status):
            post(conn, happened, entries(happened, None, payment.merchant, payment.amount), now)
        undone = happened
    kind = undone.kind if undone else None
    post(conn, closed, entries(closed, kind, payment.merchant, payment.amount), now)
    return undone


def _is_being_taken_back(conn: Connection, closed: Operation) -> bool:
    reversal = select_reversal(conn, closed.id) if closed.kind in ("authorize", "sale") else None
    return reversal is not None and reversal.status in ("sending", "unknown")


def _side_effects(conn: Connection, rest: PaymentRow, now: int) -> None:
    if rest.state == "in_review":
        insert_review(conn, new_id("rev"), rest.id, now)
    risk = rest.applied_risk()
    if rest.state in ENDED and risk and risk.source == "stand_in" and risk.outcome == "allow":
        day = from_micros(rest.created_at).date()
        for subject in (rest.stream_key, rest.merchant):
            give_back(conn, subject, rest.currency, day, rest.amount)
