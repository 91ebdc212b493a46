"""Refunds: captured money given back, all that is left of it or a part, by one operation for each capture."""

from sqlalchemy import Connection

from gateway.books import persons
from gateway.books.idempotency import IdempotentAnswer, KeyedRequest
from gateway.books.operations import select_operations
from gateway.books.payments import PaymentRow
from gateway.books.persons import REFUND_TEXTS
from gateway.books.refunds import RefundRow
from gateway.payments.captures import AmountTooLarge, check_at_rest, check_part
from gateway.payments.changes import Effect, change_of, refund_part
from gateway.payments.commit import Committed, claim_for, commit
from gateway.policy import Policy
from schemas.ids import new_id
from schemas.times import now_micros


def begin_refund(
    conn: Connection,
    policy: Policy,
    request: KeyedRequest,
    payment_id: str,
    amount: int | None,
    reason: str | None,
) -> Committed | IdempotentAnswer:
    """Claim the key and write the refund of all that is left (`amount` None) or a part, in minor units.

    Raises `WrongState`, `OperationOpen`, `AmountTooLarge`, and `InvalidFields` where the processor takes no such
    part.
    """
    payment = claim_for(conn, policy, request, payment_id, ok_status=201)
    if isinstance(payment, IdempotentAnswer):
        return payment
    check_at_rest(conn, policy, payment, allowed=payment.state in ("captured", "partially_captured"))
    left = payment.amount_captured - payment.amount_refunded
    if amount is not None and amount > left:
        raise AmountTooLarge
    check_part(payment.processor, amount, payment.currency)
    begun = _begin(conn, policy, payment, amount or left, reason, request.asked_by())
    if begun is None:
        raise AmountTooLarge
    return begun


def give_back_rest(conn: Connection, policy: Policy, payment: PaymentRow, reason: str) -> Committed | None:
    """Write the refund that we owe of all that is left of a payment at rest; None where nothing is.

    Nobody asks for it: where the processor refuses, it is a task.
    """
    left = payment.amount_captured - payment.amount_refunded
    return _begin(conn, policy, payment, left, reason, None)


def _begin(
    conn: Connection, policy: Policy, payment: PaymentRow, amount: int, reason: str | None, by: str | None
) -> Committed | None:
    now = now_micros()
    refund = _new_refund(payment, amount, reason, now)
    if by is not None:  # else the reason is a word of ours
        refund = persons.sealed_row(conn, REFUND_TEXTS, refund)
    part = refund_part(refund, select_operations(conn, payment.id), by) if amount else None
    if part is None:
        return None
    effect = Effect(payment, part, refund, ("refund.pending",))
    return commit(conn, policy, change_of(payment, effect, policy, now))


def _new_refund(payment: PaymentRow, amount: int, reason: str | None, now: int) -> RefundRow:
    return RefundRow(
        id=new_id("ref"),
        payment_id=payment.id,
        customer_id=payment.customer_id,
        merchant_id=payment.merchant_id,
        currency=payment.currency,
        reason=reason,
        created_at=now,
        amount=amount,
        updated_at=now,
    )
