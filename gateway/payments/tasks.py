"""Tasks resolved: a person has asked the processor what became of money that no machine could end.

released  the processor says that nothing is held or taken any more: the books follow
lapsed    the hold has run out, or will, and no record of the processor tells: the books follow. What it will not
          give back stays taken
retry     it is asked for again, as often as before

A refund that was refused has ended: what was owed by it is given back by another one.
"""

from typing import assert_never

import msgspec
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.audit import Act, record
from gateway.books.engine import announce
from gateway.books.operations import Operation, select_open, select_operation
from gateway.books.outbox import add_events
from gateway.books.payments import existing_payment, update_payment
from gateway.books.tasks import Resolution, TaskRow, resolve_task, select_task
from gateway.payments.captures import WrongState, check_at_rest, open_now
from gateway.payments.changes import about
from gateway.payments.closing import put_operation
from gateway.payments.commit import Committed, apply, task_line
from gateway.payments.refunds import give_back_rest
from gateway.policy import Policy
from gateway.refusals import NoSuchObject
from schemas.times import now_micros, steady_micros


def resolve(
    conn: Connection, policy: Policy, task_id: str, outcome: Resolution, reason: str, resolved_by: str
) -> tuple[TaskRow, Committed]:
    """Resolve a task for an account: the task as it is left, and what is to be sent then.

    Raises `NoSuchObject`, `WrongState` where it is resolved already, and `OperationOpen` while another operation
    of its payment is.
    """
    task, now = select_task(conn, task_id), now_micros()
    if task is None:
        raise NoSuchObject
    if not resolve_task(conn, task.id, outcome, reason, resolved_by, now):
        raise WrongState("It is resolved already.")
    record(conn, Act("task_decided", resolved_by, task.id, {"outcome": outcome, "payment": task.payment_id}))
    if task.kind == "refund_refused":
        step = _refund(conn, policy, task, outcome)
    else:
        step = _of_open_call(conn, policy, task, outcome)
    resolved = msgspec.structs.replace(
        task, outcome=outcome, reason=reason, resolved_by=resolved_by, resolved_at=now
    )
    announce(conn, task_line("task.resolved", resolved, now))
    return resolved, step


def _of_open_call(conn: Connection, policy: Policy, task: TaskRow, outcome: Resolution) -> Committed:
    operation = _opened_again(conn, policy, task)
    match outcome:
        case "released" | "lapsed":
            return apply(conn, policy, operation.id, _word_of(operation, _detail(task, outcome)))
        case "retry":
            return Committed(update_payment(conn, existing_payment(conn, task.payment_id)))
        case _:
            assert_never(outcome)


def _refund(conn: Connection, policy: Policy, task: TaskRow, outcome: Resolution) -> Committed:
    """What is left of a payment given back by another refund, unless its money stays where it is."""
    payment = existing_payment(conn, task.payment_id)
    check_at_rest(conn, policy, payment, allowed=True)
    match outcome:
        case "lapsed":
            return Committed(payment)
        case "retry":
            return give_back_rest(conn, policy, payment, task.kind) or Committed(payment)
        case "released":
            step = give_back_rest(conn, policy, payment, task.kind) or Committed(payment)
            given_back = Answer("succeeded", detail=_detail(task, outcome))
            while step.to_send is not None:  # of several captures one after the other
                step = apply(conn, policy, step.to_send.id, given_back)
            return step
        case _:
            assert_never(outcome)


def _detail(task: TaskRow, outcome: Resolution) -> str:
    return f"{outcome}: {task.id}"


def _opened_again(conn: Connection, policy: Policy, task: TaskRow) -> Operation:
    """The task's operation as one whose end is not known, due at once; its tries count from the first one."""
    operation = select_operation(conn, task.operation_id)
    assert operation is not None, "a task names its operation"
    others = [o for o in select_open(conn, task.payment_id) if o.id != operation.id and o.kind != "reversal"]
    if others and operation.kind != "reversal":
        raise open_now(policy, others[0])
    again = msgspec.structs.replace(
        operation, status="unknown", checks=1, lease_until=steady_micros(), finished_at=None
    )
    payment = existing_payment(conn, task.payment_id)
    add_events(conn, put_operation(conn, payment, again, operation.status, (), now_micros()))
    return again


def _word_of(operation: Operation, detail: str) -> Answer:
    """The person's word as an answer: what takes back has succeeded, anything else has moved nothing."""
    taken_back = about(operation) != operation.id
    return Answer("succeeded" if taken_back else "failed", detail=detail)
