"""What must hold once a run has come to rest: books, twins, events and the model tell the same of each payment."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from benchmarks.machine.model import ENDED, PaymentModel
from benchmarks.machine.told import mistold
from connectors.processors.registry import CAPABILITIES
from connectors.sandbox.ledger import LedgerRow
from gateway.books.idempotency import idempotency_keys
from gateway.books.operations import OPEN, Operation, select_attempts, select_operations
from gateway.books.outbox import OutboxRow, list_history
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.postings import postings
from gateway.books.refunds import RefundFilter, RefundRow, list_refunds
from gateway.books.tasks import TaskRow, tasks
from schemas.states import can_become

TAKEN = ("captured", "partially_captured")
TAKEN_BACK = ("void", "reversal")


class Evidence(msgspec.Struct, frozen=True):
    """All that the books hold of a payment, and what the twins hold of its attempts, applied rows alone.

    `mistold`: what the topics tell otherwise than the books have it.
    """

    payment: PaymentRow
    operations: list[Operation]
    postings: list[Any]
    refunds: list[RefundRow]
    events: list[OutboxRow]
    unanswered: list[str]
    ledger: list[LedgerRow]
    tasks: list[TaskRow]
    mistold: list[str]

    def operation(self, request_id: str) -> Operation:
        """The operation a processor knows by this id. Raises `StopIteration`."""
        return next(o for o in self.operations if o.id == request_id)

    def standing(self, *kinds: str) -> list[LedgerRow]:
        """What a processor did and did not take back."""
        undone = {row.of for row in self.ledger if row.operation in TAKEN_BACK}
        return [row for row in self.ledger if row.operation in kinds and row.id not in undone]

    def stuck(self) -> bool:
        """Whether a person has to find out what became of its money."""
        return any(task.resolved_at is None for task in self.tasks)

    def lines(self) -> list[str]:
        """What happened, for whoever has to find out why."""
        ours = [
            f"  {o.kind} {o.id} {o.status} {o.amount} of {o.parent_id} for {o.replaces_id} final={o.final}"
            f" by={o.requested_by} ref={o.refund_id}: {o.detail}"
            for o in self.operations
        ]
        theirs = [f"  there: {r.id} {r.operation} {r.request_id} {r.amount} of {r.of}" for r in self.ledger]
        told = [f"  told: {event.sequence} {event.type}" for event in self.events]
        return [
            f"  {self.payment.state} {self.payment.amount_captured} of {self.payment.amount}",
            *ours,
            *theirs,
            *told,
        ]


def evidence_of(conn: Connection, payment_id: str, ledger: dict[str, list[LedgerRow]]) -> Evidence:
    """Everything there is of a payment. Takes its rows out of `ledger`, the twins' by our attempts' ids."""
    attempts = [attempt.id for attempt in select_attempts(conn, payment_id)]
    keys = idempotency_keys.c
    running = (keys.subject_id == payment_id) & keys.status.is_(None)
    return Evidence(
        payment=existing_payment(conn, payment_id),
        operations=select_operations(conn, payment_id),
        postings=list(conn.execute(select(postings).where(postings.c.payment_id == payment_id))),
        refunds=list_refunds(conn, None, 1000, RefundFilter(payment_id=payment_id)),
        events=list_history(conn, payment_id, 0, 1000),
        unanswered=[row.key for row in conn.execute(select(keys.key).where(running))],
        ledger=[row for id in attempts for row in ledger.pop(id, []) if row.status == "applied"],
        tasks=_tasks(conn, payment_id),
        mistold=list(mistold(conn, payment_id)),
    )


def open_tasks(conn: Connection, payment_id: str) -> list[TaskRow]:
    """What a person has to end of a payment."""
    return [task for task in _tasks(conn, payment_id) if task.resolved_at is None]


def _tasks(conn: Connection, payment_id: str) -> list[TaskRow]:
    found = conn.execute(select(tasks).where(tasks.c.payment_id == payment_id))
    return [TaskRow(**row._mapping) for row in found]


def complaints(model: PaymentModel, found: Evidence) -> Iterator[str]:
    """Everything that does not hold of a payment that came to rest, one line each."""
    yield from _at_rest(found)
    yield from _balanced(found)
    yield from _conserved(found)
    yield from _nothing_held(found)
    yield from _told_once(found)
    yield from found.mistold
    yield from _refunds_add_up(found)
    yield from _as_asked(model, found)


def _at_rest(found: Evidence) -> Iterator[str]:
    if found.unanswered:
        yield f"never answered: {found.unanswered}"
    if found.payment.state not in ENDED and not found.stuck():
        yield f"state {found.payment.state}"
    for operation in found.operations:
        if operation.status in OPEN or operation.lease_until is not None:
            yield f"{operation.kind} {operation.id} is {operation.status}, due {operation.lease_until}"


def _balanced(found: Evidence) -> Iterator[str]:
    sums: Counter[str] = Counter()
    for row in found.postings:
        sums[row.source_id] += row.amount
    for source_id, total in sums.items():
        if total:
            yield f"the postings of {source_id} sum to {total}"


def _conserved(found: Evidence) -> Iterator[str]:
    """Per processor: what it owes us and what it holds are the same in books and ledger."""
    posted: Counter[str] = Counter()
    for row in found.postings:
        posted[row.account] += row.amount
    for processor in CAPABILITIES:
        due, hold = _due(found, processor), _hold(found, processor)
        if posted[f"due:{processor}"] != due:
            yield f"due:{processor} is {posted[f'due:{processor}']}, and {due} there"
        if posted[f"hold:{processor}"] != hold:
            yield f"hold:{processor} is {posted[f'hold:{processor}']}, and {hold} there"
    taken = sum(_due(found, processor) for processor in CAPABILITIES)
    kept = found.payment.amount_captured - found.payment.amount_refunded
    if taken != kept:
        yield f"{kept} captured and not refunded, and {taken} there"
    twice = [id for id, times in Counter(row.request_id for row in found.ledger).items() if times > 1]
    if twice:
        yield f"applied twice: {twice}"


def _nothing_held(found: Evidence) -> Iterator[str]:
    if found.payment.state in ENDED and not found.stuck():
        held = {processor: hold for processor in CAPABILITIES if (hold := _hold(found, processor))}
        if held:
            yield f"held, and the payment is {found.payment.state}: {held}"


def _due(found: Evidence, processor: str) -> int:
    taken = sum(row.amount for row in found.standing("sale", "capture") if row.processor == processor)
    return taken - sum(row.amount for row in found.standing("refund") if row.processor == processor)


def _hold(found: Evidence, processor: str) -> int:
    """What the processor still reserves; what it has no call to release has lapsed once we say so."""
    return sum(
        max(_held_by(found, row), 0)
        for row in found.ledger
        if row.processor == processor and row.operation == "authorize"
    )


def _held_by(found: Evidence, authorization: LedgerRow) -> int:
    if any(task.about_id == authorization.request_id and task.outcome == "lapsed" for task in found.tasks):
        return 0
    able = CAPABILITIES[authorization.processor]
    captures = [row for row in found.standing("capture") if row.of == authorization.id]
    if able.final_capture_releases and any(found.operation(row.request_id).final for row in captures):
        return 0
    released = sum(r.amount for r in found.ledger if r.of == authorization.id and r.operation in TAKEN_BACK)
    lapsed = [] if able.releases_rest else _lapsed(found, authorization.request_id)
    return authorization.amount - sum(row.amount for row in captures) - released - sum(lapsed)


def _lapsed(found: Evidence, request_id: str) -> list[int]:
    """The rests that an authorization's processor was not told of, in minor units."""
    told = {row.request_id for row in found.ledger}
    voids = [o for o in found.operations if o.kind == "void" and o.parent_id == request_id and o.id not in told]
    return [void.amount for void in voids if void.status == "succeeded"]


def _told_once(found: Evidence) -> Iterator[str]:
    """Events count from 1 without gaps, go from state to state as the table allows, and end where it is."""
    payment = found.payment
    if [event.sequence for event in found.events] != list(range(1, payment.sequence + 1)):
        yield f"sequences {[event.sequence for event in found.events]}, and the payment has {payment.sequence}"
    shown = [msgspec.json.decode(event.value)["payment"] for event in found.events]
    for before, after in pairwise(shown):
        if before["state"] != after["state"] and not can_become(before["state"], after["state"]):
            yield f"told {before['state']} -> {after['state']}"
        if any(after[name] < before[name] for name in ("amount_captured", "amount_refunded")):
            yield f"told {before} -> {after}"
    if shown and shown[-1]["state"] != payment.state:
        yield f"last told {shown[-1]['state']}, and is {payment.state}"
    announced = [msgspec.json.decode(e.value) for e in found.events if e.type == "transaction_completed"]
    if any(event["status"] == event["previous_status"] for event in announced):
        yield "a status was told twice"


def _refunds_add_up(found: Evidence) -> Iterator[str]:
    given = sum(refund.amount_refunded for refund in found.refunds)
    told = [msgspec.json.decode(e.value)["refund"] for e in found.events if e.type == "refund.succeeded"]
    if given != found.payment.amount_refunded or sum(refund["amount"] for refund in told) != given:
        yield f"amount_refunded {found.payment.amount_refunded}, refunds {given}, told {told}"
    for refund in found.refunds:
        whole = refund.amount == refund.amount_refunded
        if refund.status == "pending" or (refund.status == "succeeded" and not whole):
            yield f"{refund.id} is {refund.status}: {refund.amount_refunded} of {refund.amount}"
    if not 0 <= found.payment.amount_refunded <= found.payment.amount_captured <= found.payment.amount:
        yield f"{found.payment.amount_refunded} of {found.payment.amount_captured} of {found.payment.amount}"


def _as_asked(model: PaymentModel, found: Evidence) -> Iterator[str]:
    """The model's own view: no more was taken, given back or released than was asked, and what was told holds."""
    payment = found.payment
    if payment.amount_captured not in (allowed := model.may_be_captured()):
        yield f"captured {payment.amount_captured}, and only {sorted(allowed)} may be"
    refundable = model.may_be_refunded()
    if refundable is not None and payment.amount_refunded not in refundable:
        yield f"refunded {payment.amount_refunded}, and only {sorted(refundable)} may be"
    if (payment.state in TAKEN) != (payment.amount_captured > 0):
        yield f"{payment.state} with {payment.amount_captured} captured"
    if payment.risk_outcome == "block" and (payment.state != "declined" or found.ledger):
        yield "blocked, and went on"
    if payment.state == "voided" and not _may_be_voided(model, found):
        yield "voided, and nobody asked for it"
    for request in [model.create, *model.requests]:
        told = request.said().get("state")
        if told in ENDED and told != payment.state:
            yield f"told {told}, and is {payment.state}"


def _may_be_voided(model: PaymentModel, found: Evidence) -> bool:
    """By a void, a reviewer, the payer who left, or a reversal of an authorization nobody answered.

    Or its time has run out: no issuer was asked of it, and no reviewer decided.
    """
    asked = any(request.happened() != "no" for request in model.of("void"))
    reversed_ = any(o.kind == "reversal" and o.status == "succeeded" for o in found.operations)
    expired = found.payment.is_unsent() and not found.operations
    return asked or bool(model.decided) or model.card is None or reversed_ or expired
