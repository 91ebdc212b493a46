"""The path of one payment: three commits, each a named recovery point.

received  the key is claimed, payment and `payment.initiated` are written; nothing was sent
judged    the verdict is applied, and the operation about to be sent is written
finished  the processor's answer is applied (`outcome.py`), the money posted, the client's answer stored

PayPal's payer approves in between: `approved` is the point from which such a payment goes on to `judged`.
"""

from time import perf_counter

import msgspec
from sqlalchemy import Connection

from gateway.books.idempotency import Replay, claim
from gateway.books.operations import select_operation
from gateway.books.payments import Outdated, PaymentRow, existing_payment, update_payment
from gateway.errors import RequestInProgress
from gateway.parts import Parts
from gateway.payments.calls import send
from gateway.payments.effect import Effect, Follow
from gateway.payments.judging import judge
from gateway.payments.outcome import Step, apply, apply_to, proceed
from gateway.payments.record import record, record_new
from gateway.payments.terms import Terms
from schemas.times import now_micros


class Request(msgspec.Struct, frozen=True):
    """Whose request an Idempotency-Key stands for."""

    account: str
    key: str
    fingerprint: bytes


async def create(parts: Parts, request: Request, payment: PaymentRow, cvc: str | None) -> Replay | None:
    """Take a payment from a request to its answer; None where someone else answered it meanwhile."""
    received = await parts.books.write(receive, parts.terms, request, payment)
    if isinstance(received, Replay):
        return received
    step = await advance(parts, received, cvc)
    return step.reply


def receive(conn: Connection, terms: Terms, request: Request, payment: PaymentRow) -> PaymentRow | Replay:
    """Commit `received`: claim the key and write the payment, or take over one whose worker went away.

    Raises `RequestInProgress` where that one was judged already: then recovery answers it.
    """
    now = now_micros()
    until = now + terms.lease
    claimed = claim(conn, request.account, request.key, request.fingerprint, now, until, payment=payment.id)
    if isinstance(claimed, Replay):
        return claimed
    if claimed.payment is None:
        return record_new(conn, msgspec.structs.replace(payment, worker=terms.worker, lease_until=until))
    earlier = existing_payment(conn, claimed.payment)
    if earlier.recovery_point != "received":
        raise RequestInProgress(retry_after=1)
    return take_over(conn, terms, earlier)


def take_over(conn: Connection, terms: Terms, payment: PaymentRow) -> PaymentRow:
    """Make a payment ours for the length of a lease. Raises `Outdated` where someone else did."""
    until = now_micros() + terms.lease
    return update_payment(conn, msgspec.structs.replace(payment, worker=terms.worker, lease_until=until))


async def advance(parts: Parts, payment: PaymentRow, cvc: str | None) -> Step:
    """Go on from `received` or `approved` until the payment rests."""
    if payment.method == "paypal" and payment.recovery_point == "received":
        step = await parts.books.write(open_order, parts.terms, payment.id)
        return await drive(parts, step, cvc)
    began = perf_counter()
    verdict = await parts.verdicts.wait(payment.id, parts.settings.verdict_budget_ms / 1000)
    waited_ms = (perf_counter() - began) * 1000
    step = await parts.books.write(judge, parts.terms, payment.id, verdict, waited_ms)
    return await drive(parts, step, cvc)


async def drive(parts: Parts, step: Step, cvc: str | None = None) -> Step:
    """Send what a commit left to send, apply the answer, and again, until nothing is left to send."""
    while step.send is not None:
        operation = step.send
        of = await parts.books.read(select_operation, operation.of) if operation.of else None
        answer = await send(parts, step.payment, operation, of, cvc)
        try:
            step = await parts.books.write(apply_to, parts.terms, step.payment, operation, answer)
        except Outdated:  # recovery came to it meanwhile; an answer is never dropped
            step = await parts.books.write(apply, parts.terms, operation.id, answer)
    return step


def open_order(conn: Connection, terms: Terms, payment: str) -> Step:
    """Write the operation that opens a PayPal order; whether to let the payment through is judged later."""
    before = existing_payment(conn, payment)
    if before.recovery_point != "received" or before.state != "processing":
        return Step(before)
    return proceed(conn, terms, before, Effect(before, Follow("order", "paypal")))


def approve(conn: Connection, terms: Terms, payment: str) -> PaymentRow | None:
    """Commit `approved`: the payer agreed at PayPal. None where the payment was not waiting for that."""
    before = existing_payment(conn, payment)
    if before.state != "requires_action":
        return None
    now = now_micros()
    approved = msgspec.structs.replace(
        before,
        state="processing",
        recovery_point="approved",
        worker=terms.worker,
        lease_until=now + terms.lease,
        updated_at=now,
    )
    return record(conn, before, approved, event="payment.approved")


def cancel(conn: Connection, terms: Terms, payment: str) -> Step | None:
    """Void a payment whose payer refused, or never came. None where it was not waiting for its payer."""
    before = existing_payment(conn, payment)
    if before.state != "requires_action":
        return None
    return proceed(conn, terms, before, Effect(msgspec.structs.replace(before, state="voided")))
