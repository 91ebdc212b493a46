"""What a processor's answer makes of an operation and what it posts: pure functions, no clock, no database.

`settle` says, given a payment, one of its operations and the processor's answer, how both are left, what is
posted, which events tell of it and which operation is sent next. `commit.py` writes exactly that. Every branch
over a closed set ends in `assert_never`: a new kind or state makes mypy name each place to decide.
"""

from typing import assert_never

import msgspec

from connectors.processors.contract import Answer
from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from gateway.books.postings import entries_of, negated, off_hold
from gateway.payments.changes import Change, Effect, OperationPosting, OperationUpdate, capturable, change_of
from gateway.payments.effects import Situation, effect_of, is_busy, is_owed
from gateway.policy import PENDING_MAX_US, Policy
from schemas.operations import OperationKind, OperationStatus

DETAIL_MAX = 200  # characters of a processor's words that are kept
PAUSES_MAX = 20  # how often a pause is doubled


def settle(found: Situation, answer: Answer, policy: Policy, now: int) -> Change | None:
    """What an answer makes of its operation and payment at `now` (microseconds UTC).

    None where it says nothing that counts any more. Raises `ImpossibleTransition` (a bug).
    """
    closed = close(found.operation, answer, policy, now)
    if closed is None:
        return None
    booked = _reversed_parent(found, closed, now)
    updates = [OperationUpdate(closed, found.operation.status)]
    if booked and found.parent:
        updates.append(OperationUpdate(booked, found.parent.status))
        others = tuple(other for other in found.other_open if other.id != booked.id)  # its end is known now
        found = msgspec.structs.replace(found, other_open=others)
    effect = _with_what_stays_open(found, effect_of(found, closed, answer), closed)
    if closed.status == "unknown" and answer.doubt in ("duplicate", "mismatch"):
        asked_enough = closed.checks > len(policy.release_us)
        effect = msgspec.structs.replace(effect, task="mismatch" if asked_enough else None)
    return change_of(
        found.payment,
        effect,
        policy,
        now,
        waiting=closed.status == "unknown" or bool(found.other_open),
        in_flight=any(o.status == "sending" and o.kind != "reversal" for o in found.other_open),
        updates=tuple(updates),
        postings=_postings(found, closed, booked) + _off_hold(found, closed, effect.payment),
    )


def close(operation: Operation, answer: Answer, policy: Policy, now: int) -> Operation | None:
    """The operation as the answer leaves it; None where the answer no longer counts."""
    if not _counts(operation.status, answer):
        return None
    status = _status(operation, answer, policy)
    return msgspec.structs.replace(
        operation,
        status=status,
        checks=_checks(operation, status, answer),
        pending_reason=_pending_reason(operation, status, answer),
        processor_reference=answer.processor_reference or operation.processor_reference,
        decline_code=answer.decline_code,
        detail=answer.detail[:DETAIL_MAX],
        audit_head=answer.audit_head or operation.audit_head,
        lease_until=_due(operation, status, answer, policy, now),
        finished_at=None if status == "unknown" else now,
    )


def _counts(status: OperationStatus, answer: Answer) -> bool:
    match status:
        case "sending" | "unknown":
            return True
        case "failed":  # given up: an approval is never dropped, however late it comes
            return moved_money(answer)
        case "succeeded" | "declined":
            return False
        case _:
            assert_never(status)


def moved_money(answer: Answer) -> bool:
    """Whether an answer tells that the bank moved or holds money, also behind a decline."""
    return answer.result == "succeeded" or answer.must_reverse


def _status(operation: Operation, answer: Answer, policy: Policy) -> OperationStatus:
    match answer.result:
        case "succeeded":
            return "succeeded"
        case "not_found":
            return "failed"
        case "unknown":  # an order moves no money before its payer approves it: silence leaves no doubt
            return "failed" if operation.kind == "order" else "unknown"
        case "declined" | "failed":  # so often what we owe is asked for again
            again = _goes_on(operation, answer) and operation.checks < len(policy.release_us)
            return "unknown" if again else answer.result
        case _:
            assert_never(answer.result)


def _goes_on(operation: Operation, answer: Answer) -> bool:
    """Whether a no does not end a call: it must succeed, or it is a refund of ours that reached nobody."""
    ours = operation.kind == "refund" and operation.requested_by is None
    return is_owed(operation) or (ours and not answer.sent)


def _checks(operation: Operation, status: OperationStatus, answer: Answer) -> int:
    """How often an answer left an operation open; where it is watched from here on, no look was taken yet."""
    match status:
        case "unknown":
            return operation.checks + _says_something(answer)
        case "failed" if _can_land_late(operation.kind):
            return 0
        case "sending" | "succeeded" | "declined" | "failed":
            return operation.checks
        case _:
            assert_never(status)


def _pending_reason(operation: Operation, status: OperationStatus, answer: Answer) -> str | None:
    """Why the processor has not decided a call: its last word, which silence leaves as it was."""
    if status != "unknown":
        return None
    return answer.pending_reason if _says_something(answer) else operation.pending_reason


def _says_something(answer: Answer) -> bool:
    return answer.doubt is not None or answer.result != "unknown"


def _with_what_stays_open(found: Situation, effect: Effect, closed: Operation) -> Effect:
    """The effect with what its payment and refund wait for: the one call besides reversals that may be open."""
    if closed.kind == "reversal" or is_busy(found):
        return effect
    payment = msgspec.structs.replace(effect.payment, pending_reason=closed.pending_reason)
    refund = effect.refund and msgspec.structs.replace(effect.refund, pending_reason=closed.pending_reason)
    return msgspec.structs.replace(effect, payment=payment, refund=refund)


def _due(operation: Operation, status: OperationStatus, answer: Answer, policy: Policy, now: int) -> int | None:
    """When recovery asks for a closed operation, counted from `now`; None: never."""
    if status == "unknown" and answer.result != "unknown":  # refused
        return now + policy.release_us[operation.checks]
    if status == "unknown":
        pause = policy.unknown_window_us << min(operation.checks, PAUSES_MAX)
        pause = max(policy.unknown_window_us, min(pause, PENDING_MAX_US))
        over = operation.created_at + policy.call_timeout_us
        return min(max(now, over), now + policy.call_timeout_us) + pause
    if operation.kind == "order" and status == "succeeded":
        return now + policy.ask_payer_us[0]
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
    """Whether a call that was given up can still move money."""
    match kind:
        case "authorize" | "sale" | "capture" | "refund":
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
    merchant_id = found.payment.merchant_id
    match closed.kind:
        case "order" | "authorize" | "sale" | "capture" | "refund":
            posted = [OperationPosting(closed, entries_of(closed, merchant_id))]
        case "reversal" if booked:
            entries = entries_of(booked, merchant_id)
            posted = [OperationPosting(booked, entries), OperationPosting(closed, negated(entries))]
        case "void" | "reversal":
            posted = [OperationPosting(closed, negated(found.parent_entries))]
        case _:
            assert_never(closed.kind)
    return tuple(posting for posting in posted if posting.entries)


def _off_hold(found: Situation, closed: Operation, after: PaymentRow) -> tuple[OperationPosting, ...]:
    """What a capture takes off the hold, once it counts: nothing while it may be taken back."""
    capture = found.parent if closed.kind == "reversal" else closed
    released = capturable(found.payment) - capturable(after)
    if capture is None or capture.kind != "capture" or not released:
        return ()
    return (OperationPosting(capture, off_hold(capture, found.payment.merchant_id, released)),)


def takes_back(kind: OperationKind) -> bool:
    """Whether an operation undoes what is posted for its parent."""
    match kind:
        case "void" | "reversal":
            return True
        case "order" | "authorize" | "sale" | "capture" | "refund":
            return False
        case _:
            assert_never(kind)
