"""Captures and voids of an authorized payment: each begins with one commit that claims the request's key.

What is held may be captured in parts. After the final one the rest is released: by the capture itself, by a void
that follows it, or, at a processor that has no call for it, by the end of the hold.
"""

import msgspec
from sqlalchemy import Connection

from connectors.processors.registry import CAPABILITIES
from gateway.books.idempotency import IdempotentAnswer, KeyedRequest
from gateway.books.operations import Operation, OperationOpen, select_open, select_operations
from gateway.books.payments import PaymentRow
from gateway.books.verdicts import is_blocked_late
from gateway.payments.changes import Effect, capturable, change_of, following, standing
from gateway.payments.commit import Committed, claim_for, commit
from gateway.payments.orders import void_unapproved
from gateway.payments.routing import too_fine
from gateway.policy import SECOND_US, Policy, wait_s
from gateway.refusals import FieldError, InvalidFields, Refusal
from schemas.payments import ProcessorName
from schemas.times import now_micros, steady_micros

BLOCKED_LATE = "It was blocked after it was let through: what is held of it is released."
RETRY_MAX_S = 3600  # a webhook or a person may end it sooner than we ask again


class WrongState(Refusal):
    """Its state does not allow that."""


class AmountTooLarge(Refusal):
    """More than there is to capture or to refund."""


def begin_capture(
    conn: Connection, policy: Policy, request: KeyedRequest, payment_id: str, amount: int | None, *, final: bool
) -> Committed | IdempotentAnswer:
    """Claim the key and write the capture of all that is left (`amount` None) or a part, in minor units.

    `final`: what is left after it is released. Raises `WrongState`, also where a late verdict blocks the payment,
    `OperationOpen`, `AmountTooLarge`, and `InvalidFields` where the processor captures once only or takes no such
    part.
    """
    payment = claim_for(conn, policy, request, payment_id)
    if isinstance(payment, IdempotentAnswer):
        return payment
    left, all_taken = capturable(payment), payment.amount_captured == payment.amount
    check_at_rest(conn, policy, payment, allowed=left > 0 or (all_taken and amount is not None))
    if is_blocked_late(conn, payment.id):  # its hold is still to go: the processor may refuse that for days
        raise WrongState(BLOCKED_LATE)
    if amount is not None and amount > left:
        raise AmountTooLarge
    held = authorization(conn, payment.id)
    check_part(held.processor, amount, payment.currency)
    if not final and not CAPABILITIES[held.processor].captures_in_parts:
        raise InvalidFields(FieldError("$.final", "This processor captures once: there is no further part."))
    part = 1 + sum(o.kind == "capture" for o in standing(select_operations(conn, payment.id)))
    asked = following("capture", held, amount or left)
    capture = msgspec.structs.replace(asked, part=part, final=final, requested_by=request.asked_by())
    return commit(conn, policy, change_of(payment, Effect(payment, capture), policy, now_micros()))


def begin_void(
    conn: Connection, policy: Policy, request: KeyedRequest, payment_id: str, *, as_payer: bool
) -> Committed | IdempotentAnswer:
    """Claim the key and write the void of all that is held; a payment that waits for its payer is voided at once.

    `as_payer`: the payer may only cancel what waits for them. Raises `WrongState` and `OperationOpen`.
    """
    payment = claim_for(conn, policy, request, payment_id)
    if isinstance(payment, IdempotentAnswer):
        return payment
    if payment.state == "requires_action":
        return void_unapproved(conn, policy, payment)
    if as_payer:
        raise WrongState("A customer may only cancel a payment that waits for them.")
    left = capturable(payment)
    check_at_rest(conn, policy, payment, allowed=left > 0)
    void = following("void", authorization(conn, payment.id), left)
    void = msgspec.structs.replace(void, requested_by=request.asked_by())
    return commit(conn, policy, change_of(payment, Effect(payment, void), policy, now_micros()))


def authorization(conn: Connection, payment_id: str) -> Operation:
    """The operation that holds a payment's money. Raises `LookupError` where none does.

    The newest one: an earlier attempt may have been approved after the payment failed over.
    """
    for operation in reversed(select_operations(conn, payment_id)):
        if operation.kind == "authorize" and operation.status == "succeeded":
            return operation
    raise LookupError(payment_id)


def check_at_rest(conn: Connection, policy: Policy, payment: PaymentRow, *, allowed: bool) -> None:
    """Raise `OperationOpen` while any operation of the payment is, else `WrongState` unless `allowed`."""
    if still_open := select_open(conn, payment.id):
        raise open_now(policy, still_open[0], payment.pending_reason)
    if not allowed:
        raise WrongState


def check_part(processor: ProcessorName | None, amount: int | None, currency: str) -> None:
    """Raise `InvalidFields` where the processor takes no such part of a payment; None: all that is left."""
    step = CAPABILITIES[processor].step(currency) if processor else None
    if amount is not None and step and amount % step:
        raise InvalidFields(too_fine(step))


def open_now(policy: Policy, operation: Operation, pending_reason: str | None = None) -> OperationOpen:
    """The refusal that tells of an open operation: what it waits for, and when to ask for it again."""
    detail = f"A {operation.kind} waits for {operation.processor}: {pending_reason}." if pending_reason else ""
    if operation.lease_until is None:
        return OperationOpen(detail, retry_after_s=1)
    now = steady_micros()
    if operation.status == "sending":
        return OperationOpen(detail, retry_after_s=wait_s(operation.lease_until, now, policy.lease_us))
    rest_s = (operation.lease_until - now) // SECOND_US
    return OperationOpen(detail, retry_after_s=min(max(rest_s, 1), RETRY_MAX_S))
