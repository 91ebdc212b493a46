"""Captures and voids of an authorized payment: each begins with one commit that claims the request's key."""

from sqlalchemy import Connection

from gateway.books.idempotency import IdempotentAnswer, KeyedRequest
from gateway.books.operations import Operation, OperationOpen, select_open, select_operations
from gateway.books.payments import PaymentRow
from gateway.payments.changes import Effect, change_of, following
from gateway.payments.commit import Committed, claim_for, commit
from gateway.payments.orders import void_unapproved
from gateway.policy import Policy
from gateway.refusals import FieldError, InvalidFields, Refusal
from schemas.times import now_micros


class WrongState(Refusal):
    """Its state does not allow that."""


def begin_capture(
    conn: Connection, policy: Policy, request: KeyedRequest, payment_id: str, amount: int | None
) -> Committed | IdempotentAnswer:
    """Claim the key and write the capture of all (`amount` None) or a part, in minor units.

    Raises `WrongState`, `OperationOpen`, and `InvalidFields` where it is more than was authorized.
    """
    payment = claim_for(conn, policy, request, payment_id)
    if isinstance(payment, IdempotentAnswer):
        return payment
    if payment.state != "authorized":
        raise _refusal(conn, payment)
    if amount is not None and amount > payment.amount:
        raise InvalidFields(FieldError("$.amount", "More than was authorized."))
    capture = following("capture", authorization(conn, payment.id), amount or payment.amount)
    return commit(conn, policy, change_of(payment, Effect(payment, capture), policy, now_micros()))


def begin_void(
    conn: Connection, policy: Policy, request: KeyedRequest, payment_id: str, *, as_payer: bool
) -> Committed | IdempotentAnswer:
    """Claim the key and write the void; a payment that waits for its payer is voided at once.

    `as_payer`: the payer may only cancel what waits for them. Raises `WrongState` and `OperationOpen`.
    """
    payment = claim_for(conn, policy, request, payment_id)
    if isinstance(payment, IdempotentAnswer):
        return payment
    if payment.state == "requires_action":
        return void_unapproved(conn, policy, payment)
    if as_payer:
        raise WrongState("A customer may only cancel a payment that waits for them.")
    if payment.state != "authorized":
        raise _refusal(conn, payment)
    void = following("void", authorization(conn, payment.id))
    return commit(conn, policy, change_of(payment, Effect(payment, void), policy, now_micros()))


def authorization(conn: Connection, payment_id: str) -> Operation:
    """The operation that holds a payment's money. Raises `LookupError` where none does."""
    for operation in select_operations(conn, payment_id):
        if operation.kind == "authorize" and operation.status == "succeeded":
            return operation
    raise LookupError(payment_id)


def _refusal(conn: Connection, payment: PaymentRow) -> WrongState | OperationOpen:
    return OperationOpen(retry_after_s=1) if select_open(conn, payment.id) else WrongState()
