"""The one way to apply a processor's answer: a payment's path, reviews, polls and recovery all end in `apply`.

One transaction closes the operation, moves the payment, posts the money and writes the operation to send next,
so that there is exactly one commit before every call to a processor.
"""

import msgspec
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.caps import give_back
from gateway.books.idempotency import Replay
from gateway.books.operations import Operation, select_open, select_operation, update_operation
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.reviews import insert_review
from gateway.payments.booking import book
from gateway.payments.consequences import close, consequence
from gateway.payments.effect import Effect, Follow
from gateway.payments.opening import open_operation
from gateway.payments.record import answer_request, record
from gateway.payments.terms import APPROVAL_MAX, Terms
from schemas.ids import new_id
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
    if before is None:
        raise LookupError(operation)
    return apply_to(conn, terms, existing_payment(conn, before.payment), before, answer)


def apply_to(conn: Connection, terms: Terms, payment: PaymentRow, before: Operation, answer: Answer) -> Step:
    """`apply` to rows at hand, such as a step has just written. Raises `Outdated` where either changed since."""
    now = now_micros()
    closed = close(before, answer, payment, terms, now)
    if closed is None:
        return Step(payment)
    update_operation(conn, closed, before.status)
    undone = select_operation(conn, closed.of) if closed.of else None
    if closed.status == "succeeded":
        undone = book(conn, payment, closed, undone, now)
    late = before.status != "sending" or closed.kind == "reversal"  # else nothing else can be open
    beside = [o for o in select_open(conn, payment.id) if o.id != closed.id] if late else []
    effect = consequence(payment, closed, undone, beside, answer)
    return proceed(conn, terms, payment, effect, waits=closed.status == "unknown" or bool(beside))


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
    sent = open_operation(conn, terms, after, follow, now)
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


def _side_effects(conn: Connection, rest: PaymentRow, now: int) -> None:
    if rest.state == "in_review":
        insert_review(conn, new_id("rev"), rest.id, now)
    risk = rest.applied_risk()
    if STATUS[rest.state] == "failed" and risk and risk.source == "stand_in" and risk.outcome == "allow":
        day = from_micros(rest.created_at).date()
        for subject in (rest.stream_key, rest.merchant):
            give_back(conn, subject, rest.currency, day, rest.amount)
