"""What a processor's answer means for its operation and its payment: pure functions, no clock, no database."""

import msgspec

from connectors.processors.contract import Answer
from gateway.books.operations import Operation, OperationStatus
from gateway.books.payments import PaymentRow
from gateway.payments.effect import Effect, Follow, anew, following
from gateway.payments.routing import next_processor
from gateway.payments.terms import Terms
from schemas.states import DeclineCode, PaymentState

AWAITING: tuple[PaymentState, ...] = ("processing", "unknown")  # an approval: in any other state it is too late
HOLDING: tuple[PaymentState, ...] = ("authorized", "in_review")


def close(before: Operation, answer: Answer, payment: PaymentRow, terms: Terms, now: int) -> Operation | None:
    """The operation as the answer leaves it; None where it says nothing that counts any more.

    After `failed` only a success counts: an approval is never dropped, however late it comes.
    """
    late = before.status == "failed" and answer.result != "succeeded"
    if late or before.status in ("succeeded", "declined"):
        return None
    status = _status(before, answer, payment)
    return msgspec.structs.replace(
        before,
        status=status,
        processor_reference=answer.processor_reference or before.processor_reference,
        decline_code=answer.decline_code,
        detail=answer.detail[:200],
        lease_until=_due(before, status, answer, terms, now),
        finished_at=None if status == "unknown" else now,
    )


def _status(before: Operation, answer: Answer, payment: PaymentRow) -> OperationStatus:
    if answer.result == "not_found" or (before.kind == "order" and answer.result == "unknown"):
        return "failed"
    # What has to be taken back is asked for until it is: a no to it leaves the money where it must not be.
    owed = before.kind == "reversal" or (before.kind == "void" and payment.state != "authorized")
    return "unknown" if owed and answer.result in ("declined", "failed") else answer.result


def _due(before: Operation, status: OperationStatus, answer: Answer, terms: Terms, now: int) -> int | None:
    if status == "unknown":
        return max(now, before.created_at + terms.call_timeout) + terms.unknown_window
    given_up = answer.result == "not_found" and before.kind in ("authorize", "sale", "capture")
    return now + terms.watch[0] if given_up else None


def consequence(
    payment: PaymentRow, closed: Operation, undone: Operation | None, beside: list[Operation], answer: Answer
) -> Effect:
    """What a closed operation makes of its payment.

    `undone`: the operation it follows or takes back. `beside`: the other operations of the payment that are open.
    """
    if closed.kind == "order":
        return _after_order(payment, closed, answer)
    if closed.kind == "reversal" and undone is not None:
        return _after_reversal(payment, closed, undone, beside)
    if closed.status == "succeeded" and any(o.kind == "reversal" and o.of == closed.id for o in beside):
        return Effect(payment)  # the reversal may have landed: its end is the payment's
    if closed.kind in ("authorize", "sale"):
        return _after_authorization(payment, closed, answer)
    return _after_follow_up(payment, closed, beside, answer)


def _after_order(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    # An order moves no money until its payer approves it: silence about it is no doubt, and one too late is lost.
    if payment.state != "processing":
        return Effect(payment)
    if closed.status == "succeeded":
        return Effect(_become(payment, "requires_action", redirect_url=answer.redirect_url))
    return Effect(_become(payment, "failed", decline_code="processor_unavailable"))


def _after_authorization(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    if closed.status == "succeeded":
        return _approved(payment, closed)
    if payment.state not in AWAITING:
        return Effect(payment)
    if closed.status == "unknown":
        return Effect(_become(payment, "unknown"))
    if closed.status == "declined":
        return _declined(payment, closed, answer)
    return _failed(payment, closed)


def _approved(payment: PaymentRow, closed: Operation) -> Effect:
    if payment.state not in AWAITING:
        return Effect(payment, following("void", closed))
    if closed.kind == "sale":
        return Effect(_become(payment, "captured", amount_captured=closed.amount))
    if payment.risk_outcome == "review":
        return Effect(_become(payment, "in_review"))
    capture = following("capture", closed) if payment.capture == "automatic" else None
    return Effect(_become(payment, "authorized"), capture)


def _declined(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    if answer.must_reverse:  # the bank approved, the processor's own checks did not: free the money first
        return Effect(payment, following("reversal", closed))
    return Effect(_become(payment, "declined", decline_code=closed.decline_code or "generic_decline"))


def _failed(payment: PaymentRow, closed: Operation) -> Effect:
    # Once a client was told `unknown` its CVC is gone, and nothing is tried anew behind its back.
    processor = next_processor(payment) if payment.state == "processing" else None
    if processor is not None:
        return Effect(payment, Follow(closed.kind, processor))
    return Effect(_become(payment, "failed", decline_code="processor_unavailable"))


def _after_follow_up(payment: PaymentRow, closed: Operation, beside: list[Operation], answer: Answer) -> Effect:
    if answer.result == "not_found":
        return Effect(payment, anew(closed))
    if closed.status != "succeeded":
        return Effect(payment)
    if closed.kind == "capture":
        return _captured(payment, closed, beside)
    return Effect(_become(payment, "voided") if payment.state in HOLDING else payment)


def _captured(payment: PaymentRow, closed: Operation, beside: list[Operation]) -> Effect:
    if payment.state != "authorized" or beside:  # found late, and done anew or given up since: nobody pays twice
        return Effect(payment, following("reversal", closed, closed.amount))
    return Effect(_become(payment, "captured", amount_captured=closed.amount))


def _after_reversal(payment: PaymentRow, closed: Operation, undone: Operation, beside: list[Operation]) -> Effect:
    if closed.status == "unknown":
        return Effect(payment)
    if undone.kind == "capture":
        return _after_captures_reversal(payment, closed, undone, beside)
    if payment.state not in AWAITING:
        return Effect(payment)
    if undone.status == "declined":
        return Effect(_become(payment, "declined", decline_code=undone.decline_code or "generic_decline"))
    if closed.status == "succeeded":
        return Effect(_become(payment, "voided"))
    # It found nothing to take back; an approval that came meanwhile has waited for that.
    return _approved(payment, undone) if undone.status == "succeeded" else Effect(payment)


def _after_captures_reversal(
    payment: PaymentRow, closed: Operation, capture: Operation, beside: list[Operation]
) -> Effect:
    if payment.state != "authorized" or beside:
        return Effect(payment)
    if closed.status == "succeeded":
        return Effect(payment, anew(capture))
    return _captured(payment, capture, beside) if capture.status == "succeeded" else Effect(payment)


def _become(
    payment: PaymentRow,
    state: PaymentState,
    *,
    decline_code: DeclineCode | None = None,
    redirect_url: str | None = None,
    amount_captured: int = 0,
) -> PaymentRow:
    return msgspec.structs.replace(
        payment,
        state=state,
        decline_code=decline_code or payment.decline_code,
        redirect_url=redirect_url or payment.redirect_url,
        amount_captured=amount_captured or payment.amount_captured,
    )
