"""A change of a payment: everything that one transaction writes about it, decided before anything is written.

Pure: no clock, no database. `transitions.settle` makes changes of processors' answers, the use cases make theirs
of verdicts, requests and decisions; `commit.commit` writes them.
"""

from collections import Counter
from collections.abc import Iterable
from typing import assert_never

import msgspec

from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from gateway.books.postings import Entries
from gateway.books.refunds import RefundRow
from gateway.books.tasks import TaskKind
from gateway.policy import Policy
from schemas.events import payment_type
from schemas.fraud import Hold
from schemas.operations import OperationKind, OperationStatus
from schemas.payments import ProcessorName
from schemas.states import STATUS, PaymentState, can_become


class ImpossibleTransition(AssertionError):
    """A state was about to become one that `schemas.states.TRANSITIONS` does not allow: a bug."""


class NextOperation(msgspec.Struct, frozen=True):
    """The operation to open next. `attempt_id` None: it begins a new attempt.

    `parent_id`: the operation it follows or takes back, `parent_reference` the processor's reference of that one.
    `amount` in minor units; 0: the whole payment. The others are as in `Operation`.
    """

    kind: OperationKind
    processor: ProcessorName
    attempt_id: str | None = None
    parent_id: str | None = None
    parent_reference: str | None = None
    amount: int = 0
    part: int = 1
    final: bool = True
    refund_id: str | None = None
    replaces_id: str | None = None
    requested_by: str | None = None
    checks: int = 0


class Effect(msgspec.Struct, frozen=True):
    """A payment as something leaves it, and the operation that must follow.

    `refund`: as it is left, where something was given back. `events`: told beside those of a new state. `refused`:
    the processor said no to what a request asked for. `task`: what a person has to end.
    """

    payment: PaymentRow
    next: NextOperation | None = None
    refund: RefundRow | None = None
    events: tuple[str, ...] = ()
    refused: bool = False
    task: TaskKind | None = None


class OperationUpdate(msgspec.Struct, frozen=True):
    """An operation as it becomes, and the status it was read in."""

    operation: Operation
    from_status: OperationStatus


class OperationPosting(msgspec.Struct, frozen=True):
    """What is posted because of an operation."""

    operation: Operation
    entries: Entries


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one transaction writes about a payment.

    `before`: None where it is new. `events`: types in order; each takes the payment's next sequence. `rests`:
    nothing is left to send, and the requests that run on it are answered, with 202 where it is `waiting` for
    somebody, and with 402 where the processor `refused`. `refund`: written with it, and what its request is
    answered with. `task`: opened about the operation of the first update. `opens_review`: it is held for a person.
    `returns_caps`: the stand-in let it through and it came to nothing, so its caps are given back.
    """

    before: PaymentRow | None
    payment: PaymentRow
    events: tuple[str, ...] = ()
    updates: tuple[OperationUpdate, ...] = ()
    postings: tuple[OperationPosting, ...] = ()
    next: NextOperation | None = None
    rests: bool = False
    waiting: bool = False
    refused: bool = False
    refund: RefundRow | None = None
    task: TaskKind | None = None
    opens_review: bool = False
    returns_caps: bool = False


def change_of(
    before: PaymentRow,
    effect: Effect,
    policy: Policy,
    now: int,
    *,
    waiting: bool = False,
    in_flight: bool = False,
    updates: tuple[OperationUpdate, ...] = (),
    postings: tuple[OperationPosting, ...] = (),
) -> Change:
    """The change that leaves a payment as `effect` says, at `now` (microseconds UTC).

    Leases count from `now`; `commit.commit` puts them on the steady clock, where they run out.

    `waiting`: something is open that decides it. `in_flight`: another call is out, and its answer is what the
    request that asked for it is answered with. Raises `ImpossibleTransition` (a bug).
    """
    rests = effect.next is None and not in_flight
    after = _left(effect, policy, now, in_flight=in_flight)
    moved = after.state != before.state
    events = effect.events + _state_events(before, after) + (_status_events(after) if rests else ())
    return Change(
        before=before,
        payment=_numbered(after, events),
        events=events,
        updates=updates,
        postings=postings,
        next=effect.next,
        rests=rests,
        waiting=rests and (waiting or _waits(after)),
        refused=rests and effect.refused,
        refund=effect.refund,
        task=effect.task,
        opens_review=rests and moved and after.state == "in_review",
        returns_caps=rests and moved and _passed_unjudged_for_nothing(after),
    )


def approval(before: PaymentRow, policy: Policy, now: int) -> Change:
    """The change `approved`: the payer agreed at the processor, and this worker goes on to the judge.

    Raises `ImpossibleTransition` (a bug) where the payment does not wait for its payer.
    """
    after = msgspec.structs.replace(
        before,
        state="processing",
        recovery_point="approved",
        worker_id=policy.worker_id,
        lease_until=now + policy.lease_us,
        updated_at=now,
    )
    _check(before, after)
    events = ("payment.approved",)
    return Change(before=before, payment=_numbered(after, events), events=events)


def following(kind: OperationKind, parent: Operation, amount: int = 0) -> NextOperation:
    """An operation on an earlier one, which it follows or takes back; `amount` in minor units, 0: all of it."""
    return NextOperation(kind, parent.processor, parent.attempt_id, parent.id, parent.processor_reference, amount)


def anew(operation: Operation) -> NextOperation:
    """The same operation under a new id, in place of one that was given up."""
    kept = {name: getattr(operation, name) for name in NextOperation.__struct_fields__}
    return NextOperation(**(kept | {"replaces_id": operation.id}))


def release_rest(payment: PaymentRow, capture: Operation) -> NextOperation:
    """The void of what the captures of an authorization left of it, after the final one."""
    c = capture
    return NextOperation("void", c.processor, c.attempt_id, c.parent_id, c.parent_reference, capturable(payment))


def refund_part(
    refund: RefundRow, operations: Iterable[Operation], requested_by: str | None
) -> NextOperation | None:
    """The next call of a refund: processors give back one capture at a time.

    It is the first one with enough left, else the oldest with anything left; None where nothing is.
    """
    wanted = refund.amount - refund.amount_refunded
    left = _refundable(operations)
    if not left:
        return None
    capture, most = next((part for part in left if part[1] >= wanted), left[0])
    part = following("refund", capture, min(wanted, most))
    return msgspec.structs.replace(part, refund_id=refund.id, requested_by=requested_by)


def standing(operations: Iterable[Operation]) -> list[Operation]:
    """The operations that happened and were not taken back, in their order.

    What a reversal is out for does not stand: it was done a second time.
    """
    known = tuple(operations)
    undone = {o.parent_id for o in known if o.kind == "reversal" and o.status != "failed"}
    return [o for o in known if o.status == "succeeded" and o.id not in undone]


def _refundable(operations: Iterable[Operation]) -> list[tuple[Operation, int]]:
    """The sales and captures that stand, the oldest first, each with what is left of it in minor units."""
    happened = standing(operations)
    back: Counter[str | None] = Counter()
    for refund in happened:
        if refund.kind == "refund":
            back[refund.parent_id] += refund.amount
    taken = [(o, o.amount - back[o.id]) for o in happened if o.kind in ("sale", "capture")]
    return [(capture, left) for capture, left in taken if left > 0]


def capture_at_once(payment: PaymentRow, authorization: Operation) -> NextOperation | None:
    """The capture that follows an authorization by itself; None where the merchant captures."""
    return following("capture", authorization) if payment.capture == "automatic" else None


def awaits_authorization(payment: PaymentRow) -> bool:
    """Whether an authorization's answer decides the payment: in any other state an approval comes too late."""
    match payment.state:
        case "processing" | "unknown":
            return True
        case "in_review":  # its reviewer let it through, and only then the issuer is asked
            return payment.is_unsent()
        case "requires_action" | "authorized" | "partially_captured" | "captured":
            return False
        case "voided" | "declined" | "failed":
            return False
        case _:
            assert_never(payment.state)


def capturable(payment: PaymentRow) -> int:
    """What may be captured of a payment, in minor units: what is reserved, unless a reviewer decides first."""
    match payment.state:
        case "authorized" | "partially_captured":
            return payment.amount - payment.amount_captured
        case "processing" | "requires_action" | "in_review" | "unknown":
            return 0
        case "captured" | "voided" | "declined" | "failed":
            return 0
        case _:
            assert_never(payment.state)


def holds_money(state: PaymentState, hold: Hold = "authorized") -> bool:
    """Whether the payer's money is reserved, all of it or what was not captured; `hold` is that of its review."""
    match state:
        case "authorized" | "partially_captured":
            return True
        case "in_review":
            return hold == "authorized"
        case "processing" | "requires_action" | "captured" | "voided" | "declined" | "failed" | "unknown":
            return False
        case _:
            assert_never(state)


def about(operation: Operation, task: TaskKind | None = None) -> str:
    """The id of the operation whose money one is about: that of its parent, where it takes or gives that back.

    What a refund of unknown end (no `task`, or another) is about is itself.
    """
    gives_back = operation.kind in ("void", "reversal") or task == "refund_refused"
    return (operation.parent_id if gives_back else None) or operation.id


def settled_by(change: Change) -> set[str]:
    """The ids of operations that a task may be open about, and whose end a change tells."""
    settled = set()
    for update in change.updates:
        closed = update.operation
        if update.from_status == "unknown" and closed.finished_at is not None:
            settled.add(closed.id)
        ends = _takes_all(closed, change.payment) or about(closed) != closed.id
        if closed.status == "succeeded" and closed.parent_id and ends:
            settled.add(closed.parent_id)
    return settled


def _takes_all(closed: Operation, payment: PaymentRow) -> bool:
    """Whether nothing is left to release after a capture, or to give back after a refund."""
    if closed.kind == "refund":
        return payment.amount_refunded == payment.amount_captured
    return closed.kind == "capture" and not holds_money(payment.state)


def _left(effect: Effect, policy: Policy, now: int, *, in_flight: bool) -> PaymentRow:
    """The payment as an effect leaves it: something is sent next, another call is out, or it rests."""
    if effect.next is not None:
        return _sending(effect.payment, effect.next, policy, now)
    if in_flight:
        return msgspec.structs.replace(effect.payment, updated_at=now)
    return _resting(effect.payment, policy, now)


def _sending(payment: PaymentRow, next: NextOperation, policy: Policy, now: int) -> PaymentRow:
    return msgspec.structs.replace(
        payment,
        recovery_point="judged",
        attempts=payment.attempts + (next.attempt_id is None),
        processor=payment.processor if next.attempt_id else next.processor,
        worker_id=policy.worker_id,
        lease_until=None,  # from here on the operation's own lease counts
        updated_at=now,
    )


def _resting(payment: PaymentRow, policy: Policy, now: int) -> PaymentRow:
    most_us = _rests_most_us(payment, policy)
    return msgspec.structs.replace(
        payment,
        recovery_point="finished",
        worker_id=None,
        lease_until=None if most_us is None else now + most_us,
        updated_at=now,
    )


def _rests_most_us(payment: PaymentRow, policy: Policy) -> int | None:
    """How long a payment may wait for somebody before recovery ends it; None: for ever."""
    match payment.state:
        case "in_review":
            return policy.review_max_us if payment.is_unsent() else None
        case "requires_action":  # its order says when its payer is asked after
            return None
        case "processing" | "authorized" | "partially_captured" | "captured" | "voided" | "declined":
            return None
        case "failed" | "unknown":
            return None
        case _:
            assert_never(payment.state)


def _state_events(before: PaymentRow, after: PaymentRow) -> tuple[str, ...]:
    """Each state, and each part that is captured: the state may stay."""
    if after.state == before.state and after.amount_captured == before.amount_captured:
        return ()
    _check(before, after)
    return (payment_type(after.state),)


def _check(before: PaymentRow, after: PaymentRow) -> None:
    if not can_become(before.state, after.state):
        raise ImpossibleTransition(f"{before.id}: {before.state} -> {after.state}")


def _status_events(after: PaymentRow) -> tuple[str, ...]:
    """`transaction_completed` tells clients each new status of a payment that rests."""
    tells = _tells_status(after.state) and STATUS[after.state] != after.announced
    return ("transaction_completed",) if tells else ()


def _tells_status(state: PaymentState) -> bool:
    match state:
        case "processing" | "requires_action":
            return False
        case "in_review" | "authorized" | "partially_captured" | "captured" | "voided" | "declined":
            return True
        case "failed" | "unknown":
            return True
        case _:
            assert_never(state)


def _numbered(payment: PaymentRow, events: tuple[str, ...]) -> PaymentRow:
    told = STATUS[payment.state] if "transaction_completed" in events else payment.announced
    return msgspec.structs.replace(payment, sequence=payment.sequence + len(events), announced=told)


def _waits(payment: PaymentRow) -> bool:
    """Whether somebody else's move decides the payment: the payer's, a reviewer's or the processor's."""
    match payment.state:
        case "processing" | "requires_action" | "in_review" | "unknown":
            return True
        case "authorized":
            return payment.capture == "automatic"
        case "partially_captured" | "captured" | "voided" | "declined" | "failed":
            return False
        case _:
            assert_never(payment.state)


def _passed_unjudged_for_nothing(payment: PaymentRow) -> bool:
    risk = payment.applied_risk()
    by_stand_in = risk is not None and risk.source == "stand_in" and risk.outcome == "allow"
    return by_stand_in and STATUS[payment.state] == "failed"
