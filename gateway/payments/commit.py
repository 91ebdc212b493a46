"""The one writer of payments, operations and postings, with their outbox rows and the answers to their requests.

There is exactly one commit before every call that can move money, and each recovery point is one: `receive`
claims the key and writes the payment, `commit` writes any change of it. A processor's answer always comes through
`apply`.
"""

import msgspec
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.accounts import forbid_erasure
from gateway.books.engine import announce
from gateway.books.idempotency import (
    IdempotentAnswer,
    KeyedRequest,
    RequestRunning,
    claim,
    select_running,
    store_answer,
)
from gateway.books.operations import (
    OPEN,
    Attempt,
    Operation,
    insert_attempt,
    open_operation,
    select_operation,
    select_operations,
    update_operation,
)
from gateway.books.outbox import add_events
from gateway.books.payments import PaymentRow, existing_payment, insert_payment, update_payment
from gateway.books.postings import Entries, select_standing
from gateway.books.refunds import RefundRow, put_refund, select_refund
from gateway.books.stops import stops_met
from gateway.books.tasks import TaskRow, open_task, settle_task
from gateway.log_lines import LogLine
from gateway.payments.changes import Change, NextOperation, about, following, settled_by
from gateway.payments.closing import on_steady_clock, write_operations
from gateway.payments.effects import Situation
from gateway.payments.held import expected_loss, open_review
from gateway.payments.stand_in import return_caps
from gateway.payments.telling import payment_events
from gateway.payments.transitions import settle, takes_back, watched
from gateway.payments.views import answer_to
from gateway.policy import Policy
from schemas.ids import new_id
from schemas.payments import ProcessorName
from schemas.times import from_micros, now_micros, steady_micros


class Committed(msgspec.Struct, frozen=True):
    """Where a transaction left a payment: with an operation to send, or at rest, its requests answered.

    `answers`: by account id and key.
    """

    payment: PaymentRow
    to_send: Operation | None = None
    answers: dict[tuple[str, str], IdempotentAnswer] = {}

    def answer_to(self, request: KeyedRequest) -> IdempotentAnswer | None:
        """What a request was answered; None where it was not, or before."""
        return self.answers.get((request.account_id, request.key))


class TaskLine(LogLine, frozen=True, kw_only=True):
    """The log line of a task that is opened or resolved. `resolved_by`: the account that did."""

    task_id: str
    kind: str
    payment_id: str
    operation_id: str
    tried: int
    outcome: str | None
    resolved_by: str | None


def receive(
    conn: Connection, policy: Policy, request: KeyedRequest, row: PaymentRow
) -> PaymentRow | IdempotentAnswer:
    """Commit `received`: claim the key and write the payment, or take over one whose worker went away.

    Raises `KeyReused`, `AccountGone` where payer or merchant were erased meanwhile, and `RequestRunning` where the
    earlier one was judged already: then recovery answers it.
    """
    now = steady_micros()
    lease_until = now + policy.lease_us
    claimed = claim(conn, request, now, lease_until, subject_id=row.id)
    if isinstance(claimed, IdempotentAnswer):
        return claimed
    if claimed.subject_id is None:
        forbid_erasure(conn, row.customer_id, row.merchant_id)
        payment = msgspec.structs.replace(
            row, worker_id=policy.worker_id, lease_until=lease_until, sequence=row.sequence + 1
        )
        written = insert_payment(conn, payment)
        begun = Change(before=None, payment=written, events=("payment.initiated",))
        add_events(conn, payment_events(begun))
        return written
    earlier = existing_payment(conn, claimed.subject_id)
    if earlier.recovery_point != "received":
        raise RequestRunning(retry_after_s=1)
    return take_over(conn, policy, earlier)


def claim_for(
    conn: Connection,
    policy: Policy,
    request: KeyedRequest,
    payment_id: str,
    ok_status: int = 200,
    body: bytes | None = None,
) -> PaymentRow | IdempotentAnswer:
    """Claim the key of a request on a payment that exists. `body`: of its answer, where it is known already.

    Raises `KeyReused`, and `RequestRunning` where it was claimed before: with the operation that it asked for,
    whose end answers it, whoever hears of that.
    """
    now = steady_micros()
    claimed = claim(conn, request, now, now + policy.lease_us, payment_id, ok_status, body)
    if isinstance(claimed, IdempotentAnswer):
        return claimed
    if claimed.subject_id is not None:
        raise RequestRunning(retry_after_s=1)
    return existing_payment(conn, payment_id)


def take_over(conn: Connection, policy: Policy, payment: PaymentRow) -> PaymentRow:
    """Make a payment this worker's for the length of a lease. Raises `Outdated` where someone else did."""
    lease_until = steady_micros() + policy.lease_us
    return update_payment(
        conn, msgspec.structs.replace(payment, worker_id=policy.worker_id, lease_until=lease_until)
    )


def apply(conn: Connection, policy: Policy, operation_id: str, answer: Answer) -> Committed:
    """Apply a processor's answer to an operation; one that was applied before changes nothing.

    Raises `LookupError` for an operation that does not exist.
    """
    operation = select_operation(conn, operation_id)
    if operation is None:
        raise LookupError(operation_id)
    return apply_to(conn, policy, existing_payment(conn, operation.payment_id), operation, answer)


def apply_to(
    conn: Connection, policy: Policy, payment: PaymentRow, operation: Operation, answer: Answer
) -> Committed:
    """`apply` to rows at hand, such as a commit has just written. Raises `Outdated` where either changed since."""
    change = settle(_situation(conn, payment, operation, answer), answer, policy, now_micros())
    return Committed(payment) if change is None else commit(conn, policy, change)


def commit(conn: Connection, policy: Policy, change: Change) -> Committed:
    """Write a change: operations, postings, events, the payment, and the operation to send next or the answers.

    Raises `Outdated` where a row changed since it was read, `OperationOpen` where another operation is.
    """
    now, payment = change.payment.updated_at, change.payment
    events = write_operations(conn, change)
    to_send = open_operation(conn, _next(conn, policy, payment, change.next, now)) if change.next else None
    if change.refund:
        put_refund(conn, msgspec.structs.replace(change.refund, updated_at=now))
    add_events(conn, [*payment_events(change), *events])
    _keep_tasks(conn, change)
    if change.opens_review:
        open_review(conn, payment, now, loss=expected_loss(conn, policy.rates, payment, payment.amount))
    if change.returns_caps:
        return_caps(conn, payment)
    leased_until = on_steady_clock(payment.lease_until, now)
    written = update_payment(conn, msgspec.structs.replace(payment, lease_until=leased_until))
    return Committed(written, to_send, _answer(conn, policy, change, written) if change.rests else {})


def schedule_watch(conn: Connection, policy: Policy, operation_id: str, answer: Answer) -> None:
    """Set when an operation that was given up is looked for again, after a look that did not find it."""
    operation = select_operation(conn, operation_id)
    if operation is not None and operation.status == "failed":
        update_operation(conn, watched(operation, answer, policy, steady_micros()), "failed")


def open_reversal(conn: Connection, policy: Policy, operation: Operation) -> Operation | None:
    """Write the reversal that takes an `unknown` operation back by its id, or open the one begun before again.

    None where its end is known by now: what it took counts, and nothing would count its reversal.
    """
    payment = existing_payment(conn, operation.payment_id)
    known = select_operation(conn, operation.id)
    if known is None or known.status != "unknown":
        return None
    reversal = following("reversal", known, known.amount)
    opened = open_operation(conn, _next(conn, policy, payment, reversal, now_micros()))
    update_payment(conn, payment)  # an answer that is applied beside this is applied again, and finds the reversal
    return opened


def task_line(event: str, task: TaskRow, now: int) -> TaskLine:
    """What is logged of a task at `now` (microseconds UTC); its reason is a person's own text and stays out."""
    shown = {name: getattr(task, name) for name in ("kind", "payment_id", "operation_id", "tried", "outcome")}
    line = {"task_id": task.id, "resolved_by": task.resolved_by, **shown}
    return TaskLine(event=event, level="warning", timestamp=from_micros(now), **line)


def _situation(conn: Connection, payment: PaymentRow, operation: Operation, answer: Answer) -> Situation:
    """What `settle` needs to know; nothing is read that cannot matter."""
    parent: Operation | None = None
    parent_entries: Entries = ()
    if operation.parent_id is not None:
        parent = select_operation(conn, operation.parent_id)
        if takes_back(operation.kind):
            parent_entries = select_standing(conn, payment.id, operation.parent_id)
    refund_id = operation.refund_id or (parent.refund_id if parent else None)
    refund = select_refund(conn, refund_id) if refund_id else None
    # Beside a call that is out only reversals of earlier ones can be open: they decide nothing about it.
    alone = operation.status == "sending" and operation.kind != "reversal"
    others = () if alone and not _is_a_part(operation, refund) else tuple(select_operations(conn, payment.id))
    taken_back = operation.parent_id if operation.kind == "reversal" else operation.id
    return Situation(
        payment=payment,
        operation=operation,
        parent=parent,
        parent_entries=parent_entries,
        other_open=tuple(o for o in others if o.status in OPEN and o.id != operation.id and not alone),
        replaced=any(o.replaces_id == taken_back for o in others),
        refund=refund,
        operations=others,
        stopped=_stopped(conn, payment, operation, answer),
    )


def _stopped(conn: Connection, payment: PaymentRow, operation: Operation, answer: Answer) -> frozenset[str]:
    asks_another = operation.kind in ("authorize", "sale") and answer.result not in ("succeeded", "declined")
    return stops_met(conn, payment.merchant_id) if asks_another else frozenset()


def _is_a_part(operation: Operation, refund: RefundRow | None) -> bool:
    return refund is not None and operation.amount < refund.amount


def _next(conn: Connection, policy: Policy, payment: PaymentRow, next: NextOperation, now: int) -> Operation:
    """The operation to open, with its attempt where it begins one."""
    return Operation(
        id=new_id("op"),
        payment_id=payment.id,
        attempt_id=next.attempt_id or _begin_attempt(conn, payment, next.processor, now),
        processor=next.processor,
        kind=next.kind,
        parent_id=next.parent_id,
        parent_reference=next.parent_reference,
        amount=next.amount or payment.amount,
        currency=payment.currency,
        part=next.part,
        final=next.final,
        refund_id=next.refund_id,
        replaces_id=next.replaces_id,
        requested_by=next.requested_by,
        ordinal=payment.version,
        checks=next.checks,
        worker_id=policy.worker_id,
        lease_until=steady_micros() + policy.lease_us,
        created_at=now,
    )


def _begin_attempt(conn: Connection, payment: PaymentRow, processor: ProcessorName, now: int) -> str:
    attempt = Attempt(new_id("att"), payment.id, payment.attempts, processor, now)
    insert_attempt(conn, attempt)
    return attempt.id


def _keep_tasks(conn: Connection, change: Change) -> None:
    """Open the task that a change leaves to a person, and end those that its operations have settled."""
    now = change.payment.updated_at
    for about_id in settled_by(change):
        settle_task(conn, about_id, now)
    if change.task is None:
        return
    operation = change.updates[0].operation
    task = TaskRow(
        id=new_id("tsk"),
        kind=change.task,
        payment_id=operation.payment_id,
        operation_id=operation.id,
        about_id=about(operation, change.task),
        tried=operation.checks + (operation.finished_at is not None),
        opened_at=now,
    )
    if open_task(conn, task):
        announce(conn, task_line("task.opened", task, now))


def _answer(
    conn: Connection, policy: Policy, change: Change, written: PaymentRow
) -> dict[tuple[str, str], IdempotentAnswer]:
    """Answer the requests that run on a payment, each in the view of who sent it."""
    answers = {}
    for request in select_running(conn, written.id):
        answer = answer_to(request, change, written, policy.prints)
        if store_answer(conn, request, answer):
            answers[request.account_id, request.key] = answer
    return answers
