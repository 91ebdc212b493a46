"""What becomes of a payment by one of its operations as an answer leaves it: pure functions.

An `Effect` says the payment's new state and amounts, and which operation must follow. A refund's operations change
no state. A capture or refund that was given up and done anew, and is found after all, is taken back: what was
asked for happens once.
"""

from typing import assert_never

import msgspec

from connectors.processors.contract import Answer
from connectors.processors.registry import CAPABILITIES
from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from gateway.books.postings import Entries
from gateway.books.refunds import RefundRow
from gateway.payments.changes import (
    Effect,
    NextOperation,
    anew,
    awaits_authorization,
    capturable,
    capture_at_once,
    following,
    refund_part,
    release_rest,
)
from gateway.payments.routing import next_processor
from schemas.events import refund_type
from schemas.payments import LastRefusal, RefusedKind
from schemas.states import STATUS, DeclineCode, PaymentState
from schemas.times import from_micros


class Situation(msgspec.Struct, frozen=True):
    """What is known of a payment when the answer to one of its operations arrives.

    `parent`: the operation that this one follows or takes back, `parent_entries` what is still posted for it.
    `other_open`: the other operations of the payment whose end is not known. `replaced`: the operation, or the one
    that a reversal takes back, was given up and done anew. `refund`: the one it belongs to, `operations` those of
    the payment, where the next part of it may have to be found. `stopped`: what takes no new payments, where that
    decides who is asked next.
    """

    payment: PaymentRow
    operation: Operation
    parent: Operation | None = None
    parent_entries: Entries = ()
    other_open: tuple[Operation, ...] = ()
    replaced: bool = False
    refund: RefundRow | None = None
    operations: tuple[Operation, ...] = ()
    stopped: frozenset[str] = frozenset()


def effect_of(found: Situation, closed: Operation, answer: Answer) -> Effect:
    """What becomes of the payment by `closed`, its operation as `answer` leaves it."""
    payment = found.payment
    if closed.status == "succeeded" and any(_reverses(other, closed) for other in found.other_open):
        return Effect(payment, refund=found.refund)  # its reversal may have landed: what that is answered decides
    match closed.kind:
        case "order":
            return _after_order(payment, closed, answer)
        case "authorize" | "sale":
            return _after_authorization(found, closed, answer)
        case "capture":
            return _after_capture(found, closed, answer)
        case "void":
            return _after_void(payment, closed, answer)
        case "refund":
            return _after_refund(found, closed, answer)
        case "reversal":
            assert found.parent is not None, "a reversal names the operation it takes back"
            effect = _after_reversal(found, closed, found.parent)
            refused = closed.status != "unknown" and answer.result in ("declined", "failed")
            return _left_to_a_person(found, found.parent, effect) if refused else effect
        case _:
            assert_never(closed.kind)


def _reverses(operation: Operation, parent: Operation) -> bool:
    return operation.kind == "reversal" and operation.parent_id == parent.id


def _done_elsewhere(found: Situation) -> bool:
    """Whether a capture or refund is not wanted any more: it was done anew, or another call is in its place.

    An open reversal is of a call that came late, and in nobody's way.
    """
    return found.replaced or is_busy(found)


def is_busy(found: Situation) -> bool:
    """Whether another call is open that no second one may be sent beside. A reversal may."""
    return any(other.kind != "reversal" for other in found.other_open)


# --- authorizations -----------------------------------------------------------------------------------------


def _after_order(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    if payment.state != "processing":  # answered too late: an order nobody approves moves nothing
        return Effect(payment)
    if closed.status == "succeeded":
        return Effect(_become(payment, "requires_action", redirect_url=answer.redirect_url))
    return Effect(_become(payment, "failed", decline_code="processor_unavailable"))


def _after_authorization(found: Situation, closed: Operation, answer: Answer) -> Effect:
    payment = found.payment
    if closed.status == "succeeded":
        return _found_too_late(found, closed) or _approved(payment, closed)
    if answer.must_reverse:  # the bank approved, the processor's own checks did not: free the money first
        return Effect(payment, following("reversal", closed))
    if not awaits_authorization(payment):
        return Effect(payment)
    match closed.status:
        case "unknown" | "sending":
            return Effect(_become(payment, "unknown"))
        case "declined":
            return Effect(_become(payment, "declined", decline_code=closed.decline_code or "generic_decline"))
        case "failed":
            return _failed(found, closed)
        case _:
            assert_never(closed.status)


def _found_too_late(found: Situation, closed: Operation) -> Effect | None:
    """An approval after the end of its payment that is taken back by a reversal; a void does for any other.

    Its reversal had found nothing and may have landed too: then a void would be refused. Or another call is open,
    perhaps for days, and a void would have to wait for its end.
    """
    sent = any(_reverses(other, closed) for other in found.operations)
    if awaits_authorization(found.payment) or not (sent or is_busy(found)):
        return None
    return Effect(found.payment, following("reversal", closed, closed.amount))


def _approved(payment: PaymentRow, closed: Operation) -> Effect:
    if not awaits_authorization(payment):
        return Effect(payment, following("void", closed))
    if closed.kind == "sale":
        return Effect(_become(payment, "captured", amount_captured=closed.amount))
    if payment.risk_outcome == "review" and not payment.is_unsent():
        return Effect(_become(payment, "in_review"))
    return Effect(_become(payment, "authorized"), capture_at_once(payment, closed))


def _failed(found: Situation, closed: Operation) -> Effect:
    payment = found.payment
    # Once a client was told `unknown`, nothing is tried anew behind its back.
    is_open = payment.state in ("processing", "in_review")
    processor = next_processor(payment, found.stopped) if is_open else None
    if processor is not None:
        return Effect(payment, NextOperation(closed.kind, processor))
    return Effect(_become(payment, "failed", decline_code="processor_unavailable"))


# --- captures and voids -------------------------------------------------------------------------------------


def _after_capture(found: Situation, closed: Operation, answer: Answer) -> Effect:
    match closed.status:
        case "unknown" | "sending":
            return Effect(found.payment)
        case "succeeded":
            return _captured(found, closed)
        case "declined" | "failed":
            return _capture_refused(found.payment, closed, found.parent, answer)
        case _:
            assert_never(closed.status)


def _captured(found: Situation, capture: Operation) -> Effect:
    payment = found.payment
    rest = capturable(payment) - capture.amount
    if rest < 0 or _done_elsewhere(found):
        return Effect(payment, following("reversal", capture, capture.amount))
    taken = payment.amount_captured + capture.amount
    if rest == 0 or (capture.final and CAPABILITIES[capture.processor].final_capture_releases):
        return Effect(_become(payment, "captured", amount_captured=taken))
    held = _become(payment, "partially_captured", amount_captured=taken)
    return Effect(held, release_rest(held, capture) if capture.final else None)


def _capture_refused(payment: PaymentRow, closed: Operation, parent: Operation | None, answer: Answer) -> Effect:
    if answer.result == "not_found":
        return Effect(payment, anew(closed))
    told = _refused(payment, "capture", closed)
    if closed.requested_by is not None:
        return Effect(told, events=("payment.capture_declined",), refused=True)
    assert parent is not None, "a capture names its authorization"
    return Effect(told, following("void", parent), events=("payment.capture_declined",))


def _after_void(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    match closed.status:
        case "unknown" | "sending":
            return Effect(payment)
        case "succeeded" if closed.processor != payment.processor:
            return Effect(payment)  # of an approval that came too late, after another processor's
        case "succeeded":
            return Effect(_released(payment, closed))
        case "declined" | "failed":
            return _void_refused(payment, closed, answer)
        case _:
            assert_never(closed.status)


def _released(payment: PaymentRow, closed: Operation) -> PaymentRow:
    """A payment whose hold is gone; one that holds nothing stays as it is."""
    match payment.state:
        case "in_review":
            return _become(payment, "voided")
        case "authorized" if closed.requested_by is None and payment.capture == "automatic":  # it was refused
            refusal = payment.refused()
            return _become(payment, "declined", decline_code=refusal.decline_code if refusal else None)
        case "authorized":
            return _become(payment, "voided")
        case "partially_captured":
            return _become(payment, "captured")
        case "processing" | "requires_action" | "unknown" | "captured" | "voided" | "declined" | "failed":
            return payment
        case _:
            assert_never(payment.state)


def _void_refused(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    if answer.result == "not_found":
        return Effect(payment, _of_what_is_held(payment, anew(closed)))
    owed = is_owed(closed)
    if owed and payment.state != "partially_captured":
        return Effect(payment, task="void_refused")
    told = Effect(_refused(payment, "void", closed), events=("payment.void_declined",), refused=not owed)
    return msgspec.structs.replace(told, task="void_refused") if owed else told


def _of_what_is_held(payment: PaymentRow, void: NextOperation) -> NextOperation:
    """A void as far as it goes: before a person had it tried again, a part may have been captured."""
    left = capturable(payment) if void.processor == payment.processor else 0
    return msgspec.structs.replace(void, amount=min(left or void.amount, void.amount))


def is_owed(operation: Operation) -> bool:
    """Whether an operation lets go of what must not stay, so that a refusal does not end it.

    What somebody asked for may be refused.
    """
    match operation.kind:
        case "reversal":
            return True
        case "void":
            return operation.requested_by is None
        case "order" | "authorize" | "sale" | "capture" | "refund":
            return False
        case _:
            assert_never(operation.kind)


def _refused(payment: PaymentRow, kind: RefusedKind, closed: Operation) -> PaymentRow:
    assert closed.finished_at is not None, "what was refused has ended"
    refusal = LastRefusal(kind, closed.decline_code or "processor_unavailable", from_micros(closed.finished_at))
    return msgspec.structs.replace(payment, last_refusal=msgspec.json.encode(refusal).decode())


# --- refunds ------------------------------------------------------------------------------------------------


def _after_refund(found: Situation, closed: Operation, answer: Answer) -> Effect:
    assert found.refund is not None, "an operation of a refund names it"
    match closed.status:
        case "unknown" | "sending":
            return Effect(found.payment, refund=found.refund)
        case "succeeded":
            return _given_back(found, closed, found.refund)
        case "failed" if answer.result == "not_found":
            return Effect(found.payment, anew(closed), found.refund)
        case "declined" | "failed":
            return _refund_refused(found.payment, closed, found.refund)
        case _:
            assert_never(closed.status)


def _given_back(found: Situation, part: Operation, refund: RefundRow) -> Effect:
    payment = found.payment
    given = refund.amount_refunded + part.amount
    if _done_elsewhere(found) or refund.status != "pending" or given > refund.amount:
        return Effect(payment, following("reversal", part, part.amount), refund)
    total = payment.amount_refunded + part.amount
    payment = msgspec.structs.replace(payment, amount_refunded=total)
    refund = msgspec.structs.replace(refund, amount_refunded=given)
    known = [part if operation.id == part.id else operation for operation in found.operations]
    next = refund_part(refund, known, part.requested_by) if given < refund.amount else None
    if next is not None:
        return Effect(payment, next, refund, ("refund.pending",))
    ended = msgspec.structs.replace(refund, status="succeeded", amount=given)
    return Effect(payment, None, ended, ("refund.succeeded",))


def _refund_refused(payment: PaymentRow, closed: Operation, refund: RefundRow) -> Effect:
    """The refund ends with what was given back before: nothing, unless it took several calls.

    Where money moved, its request is not told that it was refused. One of ours is a person's to end.
    """
    told = _refused(payment, "refund", closed)
    code = closed.decline_code or "processor_unavailable"
    if refund.amount_refunded:
        ended = msgspec.structs.replace(refund, status="succeeded", amount=refund.amount_refunded)
    else:
        ended = msgspec.structs.replace(refund, status="failed")
    ended = msgspec.structs.replace(ended, decline_code=code)
    effect = Effect(told, None, ended, (refund_type(ended.status),), refused=ended.status == "failed")
    return msgspec.structs.replace(effect, task="refund_refused") if closed.requested_by is None else effect


# --- reversals ----------------------------------------------------------------------------------------------


def _after_reversal(found: Situation, closed: Operation, parent: Operation) -> Effect:
    if closed.status == "unknown":
        return Effect(found.payment, refund=found.refund)
    match parent.kind:
        case "capture":
            return _after_captures_reversal(found, closed, parent)
        case "refund":
            return _after_refunds_reversal(found, closed, parent)
        case "authorize" | "sale":
            return _after_authorizations_reversal(found.payment, closed, parent)
        case "order" | "void" | "reversal":
            raise ValueError(f"{parent.id}: no {parent.kind} is reversed")
        case _:
            assert_never(parent.kind)


def _left_to_a_person(found: Situation, parent: Operation, effect: Effect) -> Effect:
    """A reversal that was refused for good: unless its parent counts after all, its money stays where it is.

    A void of it would be refused as well. Where the parent's own end is not known, a look-up will tell.
    """
    counts = parent.status == "succeeded" and effect.payment != found.payment
    if counts or parent.status not in ("succeeded", "declined"):
        return effect
    return msgspec.structs.replace(effect, next=None, task="reversal_refused")


def _after_authorizations_reversal(payment: PaymentRow, closed: Operation, parent: Operation) -> Effect:
    # It found nothing to take back, or was refused; an approval that came meanwhile has waited for that.
    approved = closed.status != "succeeded" and parent.status == "succeeded"
    if approved and (awaits_authorization(payment) or STATUS[payment.state] == "failed"):
        return _approved(payment, parent)
    if approved or not awaits_authorization(payment):
        return Effect(payment)
    if parent.status == "declined":
        return Effect(_become(payment, "declined", decline_code=parent.decline_code or "generic_decline"))
    return Effect(_become(payment, "voided") if closed.status == "succeeded" else payment)


def _after_captures_reversal(found: Situation, closed: Operation, capture: Operation) -> Effect:
    if _done_elsewhere(found) or not capturable(found.payment):
        return Effect(found.payment)
    if closed.status == "succeeded":
        return Effect(found.payment, anew(capture))
    return _captured(found, capture) if capture.status == "succeeded" else Effect(found.payment)


def _after_refunds_reversal(found: Situation, closed: Operation, part: Operation) -> Effect:
    refund = found.refund
    assert refund is not None, "an operation of a refund names it"
    if _done_elsewhere(found) or refund.status != "pending":
        return Effect(found.payment, refund=refund)
    if closed.status == "succeeded":
        return Effect(found.payment, anew(part), refund)
    if part.status == "succeeded":
        return _given_back(found, part, refund)
    return Effect(found.payment, refund=refund)


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
