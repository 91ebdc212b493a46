"""Orders: payments whose payer approves on the processor's own page, and how they come back from there.

An approval is believed from the processor only. A payer may approve and close the browser: then it is asked at
growing intervals, and a payment is given up only where it says that nobody approved.
"""

from typing import assert_never

import msgspec
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.operations import Operation, select_operations, update_operation
from gateway.books.payments import PaymentRow, existing_payment
from gateway.payments.changes import Effect, approval, change_of
from gateway.payments.commit import Committed, commit
from gateway.payments.lifecycle import advance
from gateway.payments.processor_calls import order_status
from gateway.policy import Policy
from gateway.runtime import Runtime
from schemas.times import now_micros, steady_micros


async def payer_returned(runtime: Runtime, payment: PaymentRow, *, cancelled: bool) -> PaymentRow:
    """The payment after its payer came back: finished where they approved, else voided where they `cancelled`.

    This may be called by anybody, any number of times.
    """
    if payment.state != "requires_action":
        return payment
    order, *_ = await runtime.books.read(select_operations, payment.id)
    answer = await order_status(runtime, order)
    approved = await runtime.books.write(hear, runtime.policy, payment.id, answer, over=cancelled)
    if approved is None:
        return await runtime.books.read(existing_payment, payment.id)
    return (await advance(runtime, approved, None)).payment


async def ask_about_payer(runtime: Runtime, order: Operation) -> None:
    """Ask whether the payer of an order approved it meanwhile: as if they had come back."""
    payment = await runtime.books.read(existing_payment, order.payment_id)
    if payment.state != "requires_action":
        await runtime.books.write(_ask_next, order, None)
        return
    answer = await order_status(runtime, order)
    approved = await runtime.books.write(hear_unasked, runtime.policy, order, answer)
    if approved is not None:
        await advance(runtime, approved, None)


def hear(conn: Connection, policy: Policy, payment_id: str, answer: Answer, *, over: bool) -> PaymentRow | None:
    """Commit what the processor says of a payment's order; the payment, where it is to go on from `approved`.

    One whose order is gone is voided, and one that is `over` unless it is approved; silence changes nothing.
    """
    before = existing_payment(conn, payment_id)
    if before.state != "requires_action":
        return None
    match answer.result:
        case "succeeded":
            return commit(conn, policy, approval(before, policy, now_micros())).payment
        case "not_found" if not over:
            return None
        case "not_found" | "declined" | "failed":
            void_unapproved(conn, policy, before)
            return None
        case "unknown":
            return None
        case _:
            assert_never(answer.result)


def hear_unasked(conn: Connection, policy: Policy, order: Operation, answer: Answer) -> PaymentRow | None:
    """`hear` where no payer came back, and set when to ask again. A question that got no answer does not count."""
    checks, pauses = order.checks + (answer.result != "unknown"), policy.ask_payer_us
    approved = hear(conn, policy, order.payment_id, answer, over=checks >= len(pauses))
    waits = existing_payment(conn, order.payment_id).state == "requires_action"
    due = steady_micros() + pauses[min(checks, len(pauses) - 1)] if waits else None
    _ask_next(conn, msgspec.structs.replace(order, checks=checks), due)
    return approved


def void_unapproved(conn: Connection, policy: Policy, payment: PaymentRow) -> Committed:
    """Void a payment that waits for its payer: nothing was authorized, so no processor is called."""
    voided = Effect(msgspec.structs.replace(payment, state="voided"))
    return commit(conn, policy, change_of(payment, voided, policy, now_micros()))


def _ask_next(conn: Connection, order: Operation, due: int | None) -> None:
    update_operation(conn, msgspec.structs.replace(order, lease_until=due), order.status)
