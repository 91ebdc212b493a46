"""Orders: payments whose payer approves on the processor's own page, and how they come back from there."""

import msgspec
from sqlalchemy import Connection

from gateway.books.operations import select_operations
from gateway.books.payments import PaymentRow, existing_payment
from gateway.payments.changes import Effect, approval, change_of
from gateway.payments.commit import Committed, commit
from gateway.payments.lifecycle import advance
from gateway.payments.processor_calls import order_status
from gateway.policy import Policy
from gateway.runtime import Runtime
from schemas.times import now_micros


async def payer_returned(runtime: Runtime, payment: PaymentRow, *, cancelled: bool) -> PaymentRow:
    """The payment after its payer came back: voided where they `cancelled`, finished where they approved.

    An approval is believed from the processor only, so this may be called by anybody, any number of times. A payer
    who `cancelled` is believed at once.
    """
    if payment.state != "requires_action":
        return payment
    if cancelled:
        step = await runtime.books.write(cancel, runtime.policy, payment.id)
        return step.payment if step else payment
    order, *_ = await runtime.books.read(select_operations, payment.id)
    if (await order_status(runtime, order)).result != "succeeded":  # the payer may come again
        return payment
    approved = await runtime.books.write(approve, runtime.policy, payment.id)
    return (await advance(runtime, approved, None)).payment if approved else payment


def approve(conn: Connection, policy: Policy, payment_id: str) -> PaymentRow | None:
    """Commit `approved`. None where the payment was not waiting for its payer."""
    before = existing_payment(conn, payment_id)
    if before.state != "requires_action":
        return None
    return commit(conn, policy, approval(before, policy, now_micros())).payment


def cancel(conn: Connection, policy: Policy, payment_id: str) -> Committed | None:
    """Void a payment whose payer refused, or never came. None where it was not waiting for its payer."""
    before = existing_payment(conn, payment_id)
    return void_unapproved(conn, policy, before) if before.state == "requires_action" else None


def void_unapproved(conn: Connection, policy: Policy, payment: PaymentRow) -> Committed:
    """Void a payment that waits for its payer: nothing was authorized, so no processor is called."""
    voided = Effect(msgspec.structs.replace(payment, state="voided"))
    return commit(conn, policy, change_of(payment, voided, policy, now_micros()))
