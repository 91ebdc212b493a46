"""Recovery of one thing: a payment that was interrupted or approved, an operation nobody answered for.

It only takes expired leases, one conditional UPDATE each. It looks an operation up, sends again what a processor
applies once, does it anew or takes it back; an authorization or sale is never sent a second time. When, and how
much of it at a time, is `recovery_pools`' matter.
"""

from collections.abc import Callable, Coroutine
from typing import Any, assert_never

import msgspec
import structlog
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.operations import Operation, OperationOpen, select_operation, take_lease
from gateway.books.payments import PaymentRow, existing_payment
from gateway.payments.changes import Effect, change_of
from gateway.payments.commit import apply, commit, open_reversal, schedule_watch, take_over
from gateway.payments.lifecycle import advance, execute
from gateway.payments.orders import ask_about_payer
from gateway.payments.processor_calls import look_up, send, taken_back
from gateway.payments.reviews import expire_review
from gateway.payments.transitions import moved_money
from gateway.policy import INTERRUPTED_AFTER_US, Policy
from gateway.runtime import Runtime
from schemas.times import now_micros, steady_micros

log = structlog.get_logger()


async def recover_payment(runtime: Runtime, payment_id: str) -> None:
    """End or go on with a payment whose lease ran out."""
    taken = await runtime.books.write(take_payment, runtime.policy, payment_id)
    if taken is not None:
        await advance(runtime, taken, None)


def take_payment(conn: Connection, policy: Policy, payment_id: str) -> PaymentRow | None:
    """End or take over a payment whose lease ran out; the one returned is to be advanced.

    `received` ends `failed` once its client had time to come back; what waited too long for its reviewer, with its
    issuer not asked, ends `voided`.
    """
    row, now = existing_payment(conn, payment_id), steady_micros()
    if row.lease_until is None or row.lease_until > now:
        return None
    match row.recovery_point:
        case "received":
            if row.lease_until + INTERRUPTED_AFTER_US <= now:
                _interrupt(conn, policy, row)
        case "approved":
            return take_over(conn, policy, row)
        case "judged":  # its operations have leases of their own
            pass
        case "finished":
            if row.state == "in_review":
                expire_review(conn, policy, row)
        case _:
            assert_never(row.recovery_point)
    return None


def _interrupt(conn: Connection, policy: Policy, row: PaymentRow) -> None:
    """Nothing was sent, and the CVC is gone: the payment cannot go on without its client."""
    interrupted = msgspec.structs.replace(row, state="failed", decline_code="interrupted")
    commit(conn, policy, change_of(row, Effect(interrupted), policy, now_micros()))


async def recover_operation(runtime: Runtime, operation: Operation) -> None:
    """Find out about an operation whose lease or pause ran out, unless another worker does."""
    policy = runtime.policy
    lease_until = steady_micros() + policy.lease_us
    if not await runtime.books.write(take_lease, operation, policy.worker_id, lease_until):
        return
    match operation.status:
        case "sending":
            gone = Answer("unknown", detail="the worker that sent it went away")
            await runtime.books.write(apply, policy, operation.id, gone)
        case "unknown":
            await settle_unknown(runtime, operation)
        case "failed":
            await watch(runtime, operation)
        case "succeeded":  # an order, whose payer may have approved it
            await ask_about_payer(runtime, operation)
        case "declined":  # final: no lease of it runs out
            pass
        case _:
            assert_never(operation.status)


async def settle_unknown(runtime: Runtime, operation: Operation) -> None:
    """Ask for an operation that is `unknown`; whatever the processor answers is applied."""
    match operation.kind:
        case "order":
            raise ValueError(f"{operation.id}: silence about an order closes it")
        case "reversal":  # not every processor keeps a trace of it, and again does no harm
            await _send_again(runtime, operation)
        case "authorize" | "sale":
            await _ask(runtime, operation, _reverse)
        case "capture" | "refund":
            await _ask(runtime, operation, _send_again if _deduplicates(runtime, operation) else _reverse)
        case "void" if operation.checks and operation.pending_reason is None:
            await _release(runtime, operation)
        case "void":  # else done anew: two of them release no more than one
            await _ask(runtime, operation, _send_again if _deduplicates(runtime, operation) else None)
        case _:
            assert_never(operation.kind)


async def _release(runtime: Runtime, void: Operation) -> None:
    """A void that was refused, or answered otherwise than it was asked, is done anew, under a new id.

    Unless what it is to release is gone by now.
    """
    _, authorization = await runtime.books.read(_payment_and_parent, void)
    assert authorization is not None, "a void names its authorization"
    found = await taken_back(runtime, authorization)
    match found.result:
        case "succeeded":
            answer = Answer("succeeded", detail=f"released elsewhere: {found.detail}")
        case "unknown":
            answer = found
        case "declined" | "failed" | "not_found":
            answer = Answer("not_found", decline_code=void.decline_code, detail=f"done anew: {void.detail}")
        case _:
            assert_never(found.result)
    await _conclude(runtime, void, answer)


async def _ask(
    runtime: Runtime,
    operation: Operation,
    not_found: Callable[[Runtime, Operation], Coroutine[Any, Any, None]] | None,
) -> None:
    """Apply what the processor knows of a call; where it knows none, do `not_found` (None: apply that as well)."""
    answer = await look_up(runtime, operation)
    if answer.result == "not_found" and not_found is not None:
        await not_found(runtime, operation)
    else:
        await _conclude(runtime, operation, answer)


def _deduplicates(runtime: Runtime, operation: Operation) -> bool:
    return runtime.processors[operation.processor].capabilities.deduplicates


async def watch(runtime: Runtime, operation: Operation) -> None:
    """Look once more for a request that was given up; what moved money and is found now is applied."""
    answer = await look_up(runtime, operation)
    if moved_money(answer):
        await _conclude(runtime, operation, answer)
    else:
        await runtime.books.write(schedule_watch, runtime.policy, operation.id, answer)


async def _conclude(runtime: Runtime, operation: Operation, answer: Answer) -> None:
    try:
        step = await runtime.books.write(apply, runtime.policy, operation.id, answer)
    except OperationOpen:  # what must follow cannot begin beside another call: it is found again
        log.info("operation.postponed", operation_id=operation.id, payment_id=operation.payment_id)
        return
    await execute(runtime, step)


async def _send_again(runtime: Runtime, operation: Operation) -> None:
    """Send a call again under its own id, where the processor applies it once."""
    payment, parent = await runtime.books.read(_payment_and_parent, operation)
    answer = await send(runtime, payment, operation, parent, None)
    if answer.doubt == "duplicate":  # it was looked up just before, and is not there: another one has its place
        answer = msgspec.structs.replace(answer, result="failed", doubt=None)
    await _conclude(runtime, operation, answer)


async def _reverse(runtime: Runtime, operation: Operation) -> None:
    """Take back a call nobody knows of; where there is nothing to take back, look once more and end it."""
    reversal = await runtime.books.write(open_reversal, runtime.policy, operation)
    if reversal is None:  # it was answered meanwhile
        return
    payment = await runtime.books.read(existing_payment, operation.payment_id)
    answer = await send(runtime, payment, reversal, operation, None)
    await _conclude(runtime, reversal, answer)
    if answer.result == "not_found":  # anything else but a success is asked again
        await _conclude(runtime, operation, await look_up(runtime, operation))


def _payment_and_parent(conn: Connection, operation: Operation) -> tuple[PaymentRow, Operation | None]:
    payment = existing_payment(conn, operation.payment_id)
    return payment, select_operation(conn, operation.parent_id) if operation.parent_id else None
