"""A verdict that blocks, come after the stand-in let its payment through.

What is only held is released, without a case. Of what was taken a case is opened, in which a person decides. While
an operation is open or in doubt nothing is done: the block stays due in the books, and recovery comes to it again.
"""

from collections.abc import Iterable
from typing import assert_never

import msgspec
from sqlalchemy import Connection

from gateway.books.engine import Outdated
from gateway.books.operations import Operation, OperationOpen, select_open, select_operations
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.reviews import select_undecided
from gateway.books.verdicts import LateBlock, settle_block
from gateway.payments.captures import authorization, check_at_rest
from gateway.payments.changes import Effect, awaits_authorization, change_of, following, holds_money
from gateway.payments.commit import Committed, commit
from gateway.payments.held import end_review, expected_loss, open_review
from gateway.payments.lifecycle import execute
from gateway.payments.refunds import give_back_rest
from gateway.policy import SECOND_US, Policy
from gateway.runtime import Runtime
from schemas.reviews import ReviewOutcome
from schemas.times import now_micros, steady_micros

AGAIN_US = SECOND_US  # until a payment is looked at again while a call is under way
REASON = "late_block"


async def apply_late_block(runtime: Runtime, block: LateBlock) -> None:
    """Act upon a late block that is due; where somebody else changes the payment meanwhile it stays due."""
    try:
        step = await runtime.books.write(act_upon, runtime.policy, block)
    except (Outdated, OperationOpen):
        return
    await execute(runtime, step)


def act_upon(conn: Connection, policy: Policy, block: LateBlock) -> Committed:
    """One commit: what becomes of the payment by a late block, and that the block is settled.

    Raises `Outdated` or `OperationOpen` where a request was first.
    """
    payment, now = existing_payment(conn, block.payment_id), now_micros()
    unfinished = select_open(conn, payment.id)
    if unfinished or _is_under_way(payment):
        settle_block(conn, block.id, _again_at(unfinished))
        return Committed(payment)
    if not settle_block(conn, block.id):  # another gateway was first
        return Committed(payment)
    if payment.amount_captured > payment.amount_refunded:
        loss = expected_loss(conn, policy.rates, payment, payment.amount_captured)
        open_review(conn, payment, now, "late", block.reasons, loss)
    if not holds_money(payment.state):
        return Committed(payment)
    if review_id := select_undecided(conn, payment.id):
        end_review(conn, payment, review_id, "reject", REASON, None, now)
    return commit(conn, policy, change_of(payment, _release(conn, payment), policy, now))


def decide_late(conn: Connection, policy: Policy, payment: PaymentRow, decision: ReviewOutcome) -> Committed:
    """Carry out the decision about a payment that was taken before its block came.

    approve → it stays as it is; reject → all that is left of it is refunded. A refund that the processor refuses
    changes nothing about the decision: the payment shows it as `last_refusal`, and it is a task.
    Raises `OperationOpen`.
    """
    match decision:
        case "approve":
            return Committed(payment)
        case "reject":
            check_at_rest(conn, policy, payment, allowed=True)
            return give_back_rest(conn, policy, payment, REASON) or Committed(payment)
        case _:
            assert_never(decision)


def _is_under_way(payment: PaymentRow) -> bool:
    """Whether a call decides the payment. For one held unsent that is an open operation, or a person does."""
    return payment.state != "in_review" and awaits_authorization(payment)


def _again_at(operations: Iterable[Operation]) -> int:
    """When to look again (steady clock); what is in doubt, for days perhaps, changes when it is asked for."""
    asked_at = [o.lease_until for o in operations if o.status == "unknown" and o.lease_until is not None]
    return max([steady_micros() + AGAIN_US, *asked_at])


def _release(conn: Connection, payment: PaymentRow) -> Effect:
    asked = any(o.kind == "authorize" and o.status == "succeeded" for o in select_operations(conn, payment.id))
    if not asked:  # held for a person before the issuer was asked
        return Effect(msgspec.structs.replace(payment, state="voided"))
    left = payment.amount - payment.amount_captured
    return Effect(payment, following("void", authorization(conn, payment.id), left))
