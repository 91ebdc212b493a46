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
    OPEN,
    Attempt,
    Operation,
    insert_attempt,
    insert_operation,
    select_operation,
    select_operations,
    select_reversal,
    update_operation,
)
from gateway.books.payments import PaymentRow, select_payment
from gateway.books.postings import entries, negated, post, select_entries
from gateway.books.reviews import insert_review
from gateway.payments.consequences import Effect, Follow, close, consequence, follow
from gateway.payments.record import answer as answer_request
from gateway.payments.record import record
from gateway.payments.terms import APPROVAL_MAX, Terms
from schemas.ids import new_id
from schemas.payments import Processor
from schemas.states import STATUS
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
    return apply_to(conn, terms, payment, before, answer)


def apply_to(conn: Connection, terms: Terms, payment: PaymentRow, before: Operation, answer: Answer) -> Step:
    """`apply` to rows at hand, such as a step has just written. Raises `Outdated` where either changed since."""
    now = now_micros()
    closed = close(before, answer, payment, terms, now)
    if closed is None:
        return Step(payment)
    update_operation(conn, closed, before.status)
    undone = select_operation(conn, closed.of) if closed.of else None
    if closed.status == "succeeded":
        undone = _book(conn, payment, closed, undone, now)
    late = before.status != "sending" or closed.kind == "reversal"  # else nothing else can be open
    beside = _open_beside(conn, closed) if late else []
    effect = consequence(payment, closed, undone, beside, answer)
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
        attempts=after.attempts + (follow.attempt is None),
        processor=sent.processor,
        worker=terms.worker,
        lease_until=None,  # from here on the operation's own lease counts
        updated_at=now,
    )
    return Step(record(conn, before, moved), sent)


def _open_operation(conn: Connection, terms: Terms, payment: PaymentRow, follow: Follow, now: int) -> Operation:
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


def _begin_attempt(conn: Connection, payment: PaymentRow, processor: Processor, now: int) -> str:
    attempt = Attempt(new_id("att"), payment.id, payment.attempts + 1, processor, now)
    insert_attempt(conn, attempt)
    return attempt.id


def open_reversal(conn: Connection, terms: Terms, operation: Operation) -> Operation:
    """The reversal that takes an operation back by its id, about to be sent: the one begun before, or a new one.

    Raises `LookupError` where there is no such payment.
    """
    payment = select_payment(conn, operation.payment)
    if payment is None:
        raise LookupError(operation.payment)
    taking_back = follow("reversal", operation, operation.amount)
    return _open_operation(conn, terms, payment, taking_back, now_micros())


def _open_again(conn: Connection, begun: Operation, lease_until: int) -> Operation:
    if begun.status == "succeeded":
        return begun
    again = msgspec.structs.replace(begun, status="sending", lease_until=lease_until, finished_at=None)
    update_operation(conn, again, begun.status)
    return again


def _book(
    conn: Connection, payment: PaymentRow, closed: Operation, undone: Operation | None, now: int
) -> Operation | None:
    """Post the money a succeeded operation moved; what a reversal took back is booked as having happened."""
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


def _open_beside(conn: Connection, closed: Operation) -> list[Operation]:
    every = select_operations(conn, closed.payment)
    return [o for o in every if o.status in OPEN and o.id != closed.id]


def _side_effects(conn: Connection, rest: PaymentRow, now: int) -> None:
    if rest.state == "in_review":
        insert_review(conn, new_id("rev"), rest.id, now)
    risk = rest.applied_risk()
    if STATUS[rest.state] == "failed" and risk and risk.source == "stand_in" and risk.outcome == "allow":
        day = from_micros(rest.created_at).date()
        for subject in (rest.stream_key, rest.merchant):
            give_back(conn, subject, rest.currency, day, rest.amount)
