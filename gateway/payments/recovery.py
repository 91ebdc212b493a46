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
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.payments import select_due as select_due_payments
from gateway.parts import Parts
from gateway.payments.calls import query_of, send
from gateway.payments.effect import Effect
from gateway.payments.opening import open_reversal
from gateway.payments.outcome import apply, proceed
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
    row = existing_payment(conn, payment)
    now = now_micros()
    if row.lease_until is None or row.lease_until > now:
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
    if operation.kind == "reversal":  # not every processor keeps a trace of it, and again does no harm
        await _send_again(parts, operation)
        return
    processor = parts.processors[operation.processor]
    answer = await processor.lookup(query_of(operation))
    if answer.result != "not_found":
        await _conclude(parts, operation, answer)
    elif operation.kind in ("capture", "void") and processor.capabilities.deduplicates:
        await _send_again(parts, operation)
    elif operation.kind == "void":  # done anew: two of them release no more than one
        await _conclude(parts, operation, answer)
    else:
        await _reverse(parts, operation)


async def watch(parts: Parts, operation: Operation) -> None:
    """Look once more for a request that was given up; an approval or capture found now is applied."""
    answer = await parts.processors[operation.processor].lookup(query_of(operation))
    if answer.result == "succeeded":
        await _conclude(parts, operation, answer)
    else:
        await parts.books.write(schedule_watch, parts.terms, operation.id, answer)


def schedule_watch(conn: Connection, terms: Terms, operation: str, answer: Answer) -> None:
    """Set when an operation that was given up is looked for again; after the last answer, never."""
    row = select_operation(conn, operation)
    if row is None or row.status != "failed":
        return
    checks = row.checks + (answer.result != "unknown")
    due = now_micros() + terms.watch[checks] if checks < len(terms.watch) else None
    update_operation(conn, msgspec.structs.replace(row, checks=checks, lease_until=due), "failed")


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
    if answer.result == "not_found":  # anything else but a success is asked again
        await _conclude(parts, operation, await processor.lookup(query_of(operation)))


def _context(conn: Connection, operation: Operation) -> tuple[PaymentRow, Operation | None]:
    payment = existing_payment(conn, operation.payment)
    return payment, select_operation(conn, operation.of) if operation.of else None
