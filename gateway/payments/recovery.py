"""Recovery: takes over what a worker left behind, and asks for operations until somebody knows their end.

It only takes expired leases, one conditional UPDATE each, and it only asks or takes back: an authorization is
never sent again (design §3).
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.operations import (
    Operation,
    select_due,
    select_operation,
    take_lease,
    update_operation,
)
from gateway.books.payments import PaymentRow, select_payment
from gateway.books.payments import select_due as select_due_payments
from gateway.parts import Parts
from gateway.payments.calls import query_of, send
from gateway.payments.consequences import Effect, Follow
from gateway.payments.outcome import Step, apply, open_reversal, proceed
from gateway.payments.path import advance, cancel, drive, take_over
from gateway.payments.terms import INTERRUPTED_AFTER, Terms
from schemas.times import now_micros

EVERY_S = 0.5
MOST = 50  # taken over per round

log = structlog.get_logger()


async def recover(parts: Parts) -> None:
    """Look for expired leases, for as long as the gateway runs."""
    while True:
        try:
            await sweep(parts)
        except Exception:
            log.exception("recovery failed, and goes on")
        await asyncio.sleep(EVERY_S)


async def sweep(parts: Parts) -> None:
    """Take over everything that is due now, and wait until each of it was asked for once."""
    now = now_micros()
    payments = await parts.books.read(select_due_payments, now, MOST)
    operations = await parts.books.read(select_due, now, MOST)
    work: list[Coroutine[Any, Any, None]] = [_recover_payment(parts, id) for id in payments]
    work += [_recover_operation(parts, operation) for operation in operations]
    for failed in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(failed, BaseException):
            log.error("recovery of one payment failed", exc_info=failed)


async def _recover_payment(parts: Parts, payment: str) -> None:
    taken = await parts.books.write(take_payment, parts.terms, payment)
    if taken is not None:
        await advance(parts, taken, None)


def take_payment(conn: Connection, terms: Terms, payment: str) -> PaymentRow | None:
    """End or take over a payment whose lease ran out; the one returned is to be advanced from `approved`.

    `received` ends `failed` once its client had time to come back; `requires_action` ends `voided`.
    """
    row = select_payment(conn, payment)
    now = now_micros()
    if row is None or row.lease_until is None or row.lease_until > now:
        return None
    if row.state == "requires_action":
        cancel(conn, terms, payment)
    elif row.recovery_point == "approved":
        return take_over(conn, terms, row)
    elif row.recovery_point == "received" and row.lease_until + INTERRUPTED_AFTER <= now:
        interrupted = msgspec.structs.replace(row, state="failed", decline_code="interrupted")
        proceed(conn, terms, row, Effect(interrupted))
    return None


async def _recover_operation(parts: Parts, operation: Operation) -> None:
    until = now_micros() + parts.terms.lease
    if not await parts.books.write(take_lease, operation, parts.terms.worker, until):
        return
    if operation.status == "sending":
        gone = Answer("unknown", detail="the worker that sent it went away")
        await parts.books.write(apply, parts.terms, operation.id, gone)
    elif operation.status == "failed":
        await watch(parts, operation)
    else:
        await settle(parts, operation)


async def settle(parts: Parts, operation: Operation) -> None:
    """Ask for an operation that is `unknown`; whatever is said ends in `apply`."""
    of = await parts.books.read(select_operation, operation.of) if operation.of else None
    if operation.kind != "reversal" or of is None:
        await _look_up(parts, operation)
    elif of.status == "unknown":  # what it takes back may have been found meanwhile
        await _look_up(parts, of)
    else:
        await _send_again(parts, operation)


async def watch(parts: Parts, operation: Operation) -> None:
    """Look once more for a request that was given up; an approval found now is booked and voided."""
    answer = await parts.processors[operation.processor].lookup(query_of(operation))
    if answer.said == "succeeded":
        await _conclude(parts, operation, answer)
    else:
        await parts.books.write(schedule_watch, parts.terms, operation.id)


def schedule_watch(conn: Connection, terms: Terms, operation: str) -> None:
    """Set the next time an operation that was given up is looked for, or stop looking."""
    row = select_operation(conn, operation)
    if row is None or row.status != "failed":
        return
    checks = row.checks + 1
    due = now_micros() + terms.watch[checks] if checks < len(terms.watch) else None
    update_operation(conn, msgspec.structs.replace(row, checks=checks, lease_until=due), "failed")


async def _look_up(parts: Parts, operation: Operation) -> None:
    answer = await parts.processors[operation.processor].lookup(query_of(operation))
    if answer.said != "not_found":
        await _conclude(parts, operation, answer)
    elif operation.kind in ("authorize", "sale"):
        await _reverse(parts, operation)
    elif parts.processors[operation.processor].dedupes:
        await _send_again(parts, operation)
    else:
        await _do_anew(parts, operation)


async def _conclude(parts: Parts, operation: Operation, answer: Answer) -> None:
    step = await parts.books.write(apply, parts.terms, operation.id, answer)
    await drive(parts, step)


async def _send_again(parts: Parts, operation: Operation) -> None:
    """Send a call again under its own id, where the processor applies it once."""
    payment, of = await parts.books.read(_context, operation)
    await _conclude(parts, operation, await send(parts, payment, operation, of, None))


async def _reverse(parts: Parts, operation: Operation) -> None:
    """Take back a call nobody knows of; where there is nothing to take back, look once more and end it."""
    processor = parts.processors[operation.processor]
    reversal = await parts.books.write(open_reversal, parts.terms, operation)
    answer = await processor.reverse(reversal.id, query_of(operation))
    await _conclude(parts, reversal, answer)
    if answer.said == "not_found":  # anything else but a success is asked again
        found = await processor.lookup(query_of(operation))
        never = Answer("failed", detail="the processor never got it")
        await _conclude(parts, operation, never if found.said == "not_found" else found)


async def _do_anew(parts: Parts, operation: Operation) -> None:
    """Take back a capture or void that was not found, by its id, and do it under a new one."""
    if operation.kind == "capture":
        reversal = await parts.books.write(open_reversal, parts.terms, operation)
        answer = await parts.processors[operation.processor].reverse(reversal.id, query_of(operation))
        if answer.said not in ("succeeded", "not_found"):  # the old one may still land
            await _conclude(parts, reversal, answer)
            return
        await parts.books.write(close_reversal, reversal, answer)
    await drive(parts, await parts.books.write(renew, parts.terms, operation.id))


def close_reversal(conn: Connection, reversal: Operation, answer: Answer) -> None:
    """Close the reversal of a capture: it took back what never was posted, so nothing is posted for it."""
    status = "succeeded" if answer.said == "succeeded" else "failed"
    now = now_micros()
    closed = msgspec.structs.replace(
        reversal, status=status, detail=answer.detail[:200], lease_until=None, finished_at=now
    )
    update_operation(conn, closed, reversal.status)


def renew(conn: Connection, terms: Terms, operation: str) -> Step:
    """Give an operation up and write the same one under a new id. Raises `LookupError`."""
    before = select_operation(conn, operation)
    payment = select_payment(conn, before.payment) if before else None
    if before is None or payment is None or before.of is None:
        raise LookupError(operation)
    now = now_micros()
    closed = msgspec.structs.replace(before, status="failed", lease_until=None, finished_at=now)
    if not update_operation(conn, closed, "unknown"):
        return Step(payment)
    follow = Follow(before.kind, of=select_operation(conn, before.of), amount=before.amount)
    return proceed(conn, terms, payment, Effect(payment, follow))


def _context(conn: Connection, operation: Operation) -> tuple[PaymentRow, Operation | None]:
    payment = select_payment(conn, operation.payment)
    if payment is None:
        raise LookupError(operation.payment)
    return payment, select_operation(conn, operation.of) if operation.of else None
