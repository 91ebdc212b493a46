"""What a processor's answer makes of a payment: pure functions, no clock, no database.

`settle` says, given a payment, one of its operations and the processor's answer, how both are left, what is
posted, which events tell of it and which operation is sent next. `commit.py` writes exactly that. Every branch
over a closed set ends in `assert_never`: a new kind or state makes mypy name each place to decide.
"""

from typing import assert_never

import msgspec

from connectors.processors.contract import Answer
from gateway.books.operations import Operation, OperationKind, OperationStatus
from gateway.books.payments import PaymentRow
from gateway.books.postings import Entries, entries_of, negated
from gateway.payments.changes import (
    Change,
    Effect,
    NextOperation,
    OperationPosting,
    OperationUpdate,
    anew,
    awaits_authorization,
    capture_at_once,
    change_of,
    following,
    holds_money,
)
from gateway.payments.routing import next_processor
from gateway.policy import Policy
from schemas.states import STATUS, DeclineCode, PaymentState

DETAIL_MAX = 200  # characters of a processor's words that are kept


class Situation(msgspec.Struct, frozen=True):
    """What is known of a payment when the answer to one of its operations arrives.

    `parent`: the operation that this one follows or takes back, `parent_entries` what is still posted for it.
    `other_open`: the other operations of the payment whose end is not known.
    """

    payment: PaymentRow
    operation: Operation
    parent: Operation | None = None
    parent_entries: Entries = ()
    other_open: tuple[Operation, ...] = ()


# --- an answer ----------------------------------------------------------------------------------------------


def settle(found: Situation, answer: Answer, policy: Policy, now: int) -> Change | None:
    """What an answer makes of its operation and payment at `now` (microseconds UTC).

    None where it says nothing that counts any more. Raises `ImpossibleTransition` (a bug).
    """
    closed = close(found.operation, answer, found.payment.state, policy, now)
    if closed is None:
        return None
    booked = _reversed_parent(found, closed, now)
    updates = [OperationUpdate(closed, found.operation.status)]
    if booked and found.parent:
        updates.append(OperationUpdate(booked, found.parent.status))
        others = tuple(other for other in found.other_open if other.id != booked.id)  # its end is known now
        found = msgspec.structs.replace(found, other_open=others)
    return change_of(
        found.payment,
        _effect(found, closed, answer),
        policy,
        now,
        waiting=closed.status == "unknown" or bool(found.other_open),
        updates=tuple(updates),
        postings=_postings(found, closed, booked),
    )


def close(operation: Operation, answer: Answer, state: PaymentState, policy: Policy, now: int) -> Operation | None:
    """The operation of a payment in `state` as the answer leaves it; None where the answer no longer counts."""
    if not _counts(operation.status, answer):
        return None
    status = _status(operation, answer, state)
    return msgspec.structs.replace(
        operation,
        status=status,
        processor_reference=answer.processor_reference or operation.processor_reference,
        decline_code=answer.decline_code,
        detail=answer.detail[:DETAIL_MAX],
        lease_until=_due(operation, status, answer, policy, now),
        finished_at=None if status == "unknown" else now,
    )


def _counts(status: OperationStatus, answer: Answer) -> bool:
    match status:
        case "sending" | "unknown":
            return True
        case "failed":  # given up: an approval is never dropped, however late it comes
            return answer.result == "succeeded"
        case "succeeded" | "declined":
            return False
        case _:
            assert_never(status)


def _status(operation: Operation, answer: Answer, state: PaymentState) -> OperationStatus:
    match answer.result:
        case "succeeded":
            return "succeeded"
        case "not_found":
            return "failed"
        case "unknown":  # an order moves no money before its payer approves it: silence leaves no doubt
            return "failed" if operation.kind == "order" else "unknown"
        case "declined" | "failed":  # what has to be taken back is asked for until it is
            return "unknown" if _must_succeed(operation.kind, state) else answer.result
        case _:
            assert_never(answer.result)


def _must_succeed(kind: OperationKind, state: PaymentState) -> bool:
    """Whether a refusal leaves money where it must not be: a merchant's void may be refused, others may not."""
    match kind:
        case "reversal":
            return True
        case "void":
            return state != "authorized"
        case "order" | "authorize" | "sale" | "capture":
            return False
        case _:
            assert_never(kind)


def _due(operation: Operation, status: OperationStatus, answer: Answer, policy: Policy, now: int) -> int | None:
    """When recovery asks for a closed operation (microseconds UTC); None: never."""
    if status == "unknown":
        return max(now, operation.created_at + policy.call_timeout_us) + policy.unknown_window_us
    watched = answer.result == "not_found" and _can_land_late(operation.kind)
    return now + policy.watch_us[0] if watched else None


def watched(operation: Operation, answer: Answer, policy: Policy, now: int) -> Operation:
    """An operation that was given up, after a look that did not find it: looked for again, after the last never.

    A look that nobody answered does not count.
    """
    checks = operation.checks + (answer.result != "unknown")
    due = now + policy.watch_us[checks] if checks < len(policy.watch_us) else None
    return msgspec.structs.replace(operation, checks=checks, lease_until=due)


def _can_land_late(kind: OperationKind) -> bool:
    """Whether a call that was given up can still take money."""
    match kind:
        case "authorize" | "sale" | "capture":
            return True
        case "order" | "void" | "reversal":
            return False
        case _:
            assert_never(kind)


# --- what is posted -----------------------------------------------------------------------------------------


def _reversed_parent(found: Situation, closed: Operation, now: int) -> Operation | None:
    """The parent that a reversal took back, as it is booked: having happened. None where its own end is known."""
    if closed.kind != "reversal" or closed.status != "succeeded" or found.parent is None:
        return None
    if found.parent.status in ("succeeded", "declined"):
        return None
    return msgspec.structs.replace(found.parent, status="succeeded", lease_until=None, finished_at=now)


def _postings(found: Situation, closed: Operation, booked: Operation | None) -> tuple[OperationPosting, ...]:
    """What a closed operation posts. `booked`: its parent, where the reversal shows that it had happened."""
    if closed.status != "succeeded":
        return ()
    match closed.kind:
        case "order" | "authorize" | "sale" | "capture":
            posted = [OperationPosting(closed, _entries(found.payment, closed))]
        case "reversal" if booked:
            entries = _entries(found.payment, booked)
            posted = [OperationPosting(booked, entries), OperationPosting(closed, negated(entries))]
        case "void" | "reversal":
            posted = [OperationPosting(closed, negated(found.parent_entries))]
        case _:
            assert_never(closed.kind)
    return tuple(posting for posting in posted if posting.entries)


def _entries(payment: PaymentRow, operation: Operation) -> Entries:
    held = payment.amount if payment.state == "authorized" else 0  # a second capture finds nothing to release
    return entries_of(operation, payment.merchant_id, held)


def takes_back(kind: OperationKind) -> bool:
    """Whether an operation undoes what was posted for its parent."""
    match kind:
        case "void" | "reversal":
            return True
        case "order" | "authorize" | "sale" | "capture":
            return False
        case _:
            assert_never(kind)


# --- what becomes of the payment ----------------------------------------------------------------------------


def _effect(found: Situation, closed: Operation, answer: Answer) -> Effect:
    payment, parent, other_open = found.payment, found.parent, found.other_open
    if closed.status == "succeeded" and any(_reverses(other, closed) for other in other_open):
        return Effect(payment)  # its reversal may have landed: what that is answered decides
    match closed.kind:
        case "order":
            return _after_order(payment, closed, answer)
        case "authorize" | "sale":
            return _after_authorization(payment, closed, answer)
        case "capture":
            return _after_capture(payment, closed, other_open, answer)
        case "void":
            return _after_void(payment, closed, answer)
        case "reversal":
            assert parent is not None, "a reversal names the operation it takes back"
            return _after_reversal(payment, closed, parent, other_open)
        case _:
            assert_never(closed.kind)


def _reverses(operation: Operation, parent: Operation) -> bool:
    return operation.kind == "reversal" and operation.parent_id == parent.id


def _after_order(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    if payment.state != "processing":  # answered too late: an order nobody approves moves nothing
        return Effect(payment)
    if closed.status == "succeeded":
        return Effect(_become(payment, "requires_action", redirect_url=answer.redirect_url))
    return Effect(_become(payment, "failed", decline_code="processor_unavailable"))


def _after_authorization(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    if closed.status == "succeeded":
        return _approved(payment, closed)
    if not awaits_authorization(payment.state):
        return Effect(payment)
    match closed.status:
        case "unknown" | "sending":
            return Effect(_become(payment, "unknown"))
        case "declined":
            return _declined(payment, closed, answer)
        case "failed":
            return _failed(payment, closed)
        case _:
            assert_never(closed.status)


def _approved(payment: PaymentRow, closed: Operation) -> Effect:
    if not awaits_authorization(payment.state):
        return Effect(payment, following("void", closed))
    if closed.kind == "sale":
        return Effect(_become(payment, "captured", amount_captured=closed.amount))
    if payment.risk_outcome == "review":
        return Effect(_become(payment, "in_review"))
    return Effect(_become(payment, "authorized"), capture_at_once(payment, closed))


def _declined(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    if answer.must_reverse:  # the bank approved, the processor's own checks did not: free the money first
        return Effect(payment, following("reversal", closed))
    return Effect(_become(payment, "declined", decline_code=closed.decline_code or "generic_decline"))


def _failed(payment: PaymentRow, closed: Operation) -> Effect:
    # Once a client was told `unknown` its CVC is gone, and nothing is tried anew behind its back.
    processor = next_processor(payment) if payment.state == "processing" else None
    if processor is not None:
        return Effect(payment, NextOperation(closed.kind, processor))
    return Effect(_become(payment, "failed", decline_code="processor_unavailable"))


def _after_capture(
    payment: PaymentRow, closed: Operation, other_open: tuple[Operation, ...], answer: Answer
) -> Effect:
    if answer.result == "not_found":
        return Effect(payment, anew(closed))
    return _captured(payment, closed, other_open) if closed.status == "succeeded" else Effect(payment)


def _captured(payment: PaymentRow, closed: Operation, other_open: tuple[Operation, ...]) -> Effect:
    if payment.state != "authorized" or other_open:  # found late, and done anew or given up since: taken once only
        return Effect(payment, following("reversal", closed, closed.amount))
    return Effect(_become(payment, "captured", amount_captured=closed.amount))


def _after_void(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    if answer.result == "not_found":
        return Effect(payment, anew(closed))
    released = closed.status == "succeeded" and holds_money(payment.state)
    return Effect(_become(payment, "voided") if released else payment)


def _after_reversal(
    payment: PaymentRow, closed: Operation, parent: Operation, other_open: tuple[Operation, ...]
) -> Effect:
    if closed.status == "unknown":
        return Effect(payment)
    match parent.kind:
        case "capture":
            return _after_captures_reversal(payment, closed, parent, other_open)
        case "authorize" | "sale":
            return _after_authorizations_reversal(payment, closed, parent)
        case "order" | "void" | "reversal":
            raise ValueError(f"{parent.id}: no {parent.kind} is reversed")
        case _:
            assert_never(parent.kind)


def _after_authorizations_reversal(payment: PaymentRow, closed: Operation, parent: Operation) -> Effect:
    # It found nothing to take back; an approval that came meanwhile has waited for that.
    approved = closed.status == "failed" and parent.status == "succeeded"
    if approved and (awaits_authorization(payment.state) or STATUS[payment.state] == "failed"):
        return _approved(payment, parent)
    if approved or not awaits_authorization(payment.state):
        return Effect(payment)
    if parent.status == "declined":
        return Effect(_become(payment, "declined", decline_code=parent.decline_code or "generic_decline"))
    return Effect(_become(payment, "voided") if closed.status == "succeeded" else payment)


def _after_captures_reversal(
    payment: PaymentRow, closed: Operation, capture: Operation, other_open: tuple[Operation, ...]
) -> Effect:
    if payment.state != "authorized" or other_open:
        return Effect(payment)
    if closed.status == "succeeded":
        return Effect(payment, anew(capture))
    return _captured(payment, capture, other_open) if capture.status == "succeeded" else Effect(payment)


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
