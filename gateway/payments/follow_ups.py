"""What follows an authorization: capture, void, and the decision of a review. Each begins with one commit."""

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateway.books.idempotency import Replay, claim
from gateway.books.operations import Operation, select_open, select_operations
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.reviews import Review, decide
from gateway.errors import FieldError, InvalidRequest, OperationInProgress, WrongState
from gateway.payments.effect import Effect, following
from gateway.payments.labels import add_label
from gateway.payments.outcome import Step, proceed
from gateway.payments.path import Request
from gateway.payments.terms import Terms
from schemas.times import now_micros


class Asked(msgspec.Struct, frozen=True):
    """Who asks for a follow-up, on which payment. `viewer` is the role its answer is shown to."""

    request: Request
    payment: str
    viewer: str


def begin_capture(conn: Connection, terms: Terms, asked: Asked, amount: int | None) -> Step | Replay:
    """Claim the key and write the capture of all (`amount` None) or a part, in minor units.

    Raises `WrongState`, `OperationInProgress`, and `InvalidRequest` where it is more than was authorized.
    """
    claimed = _claim(conn, terms, asked)
    if isinstance(claimed, Replay):
        return claimed
    if claimed.state != "authorized":
        raise _refusal(conn, claimed)
    if amount is not None and amount > claimed.amount:
        raise InvalidRequest(FieldError("$.amount", "More than was authorized."))
    capture = following("capture", authorization(conn, claimed.id), amount or claimed.amount)
    return _open(conn, terms, claimed, Effect(claimed, capture))


def begin_void(conn: Connection, terms: Terms, asked: Asked, *, as_payer: bool) -> Step | Replay:
    """Claim the key and write the void; a payment that waits for its payer is voided at once.

    `as_payer`: whoever pays may only cancel what waits for them. Raises `WrongState` and `OperationInProgress`.
    """
    claimed = _claim(conn, terms, asked)
    if isinstance(claimed, Replay):
        return claimed
    if claimed.state == "requires_action":
        return proceed(conn, terms, claimed, Effect(msgspec.structs.replace(claimed, state="voided")))
    if as_payer:
        raise WrongState("A customer may only cancel a payment that waits for them.")
    if claimed.state != "authorized":
        raise _refusal(conn, claimed)
    return _open(conn, terms, claimed, Effect(claimed, following("void", authorization(conn, claimed.id))))


def begin_decision(conn: Connection, terms: Terms, review: Review, decision: str, reason: str, by: str) -> Step:
    """One commit: the decision, the case, its label, and the operation that carries it out.

    approve → `authorized`, then the capture unless the merchant captures; reject → held until it is voided.
    Raises `WrongState` where the review was decided before.
    """
    if not decide(conn, review.id, decision, reason, by, now_micros()):
        raise WrongState
    payment = existing_payment(conn, review.payment)
    add_label(conn, payment, "good" if decision == "approve" else "fraud", "review")
    held = authorization(conn, payment.id)
    if decision == "reject":
        return _open(conn, terms, payment, Effect(payment, following("void", held)))
    capture = following("capture", held) if payment.capture == "automatic" else None
    return _open(conn, terms, payment, Effect(msgspec.structs.replace(payment, state="authorized"), capture))


def authorization(conn: Connection, payment: str) -> Operation:
    """The operation that holds a payment's money. Raises `LookupError` where none does."""
    for operation in select_operations(conn, payment):
        if operation.kind == "authorize" and operation.status == "succeeded":
            return operation
    raise LookupError(payment)


def _claim(conn: Connection, terms: Terms, asked: Asked) -> PaymentRow | Replay:
    now = now_micros()
    request = asked.request
    claimed = claim(
        conn,
        request.account,
        request.key,
        request.fingerprint,
        now,
        now + terms.lease,
        payment=asked.payment,
        ok_status=200,
    )
    if isinstance(claimed, Replay):
        return claimed
    return msgspec.structs.replace(existing_payment(conn, asked.payment), viewer=asked.viewer)


def _refusal(conn: Connection, payment: PaymentRow) -> WrongState | OperationInProgress:
    return OperationInProgress(retry_after=1) if select_open(conn, payment.id) else WrongState()


def _open(conn: Connection, terms: Terms, before: PaymentRow, effect: Effect) -> Step:
    try:
        return proceed(conn, terms, before, effect)
    except IntegrityError:  # the index that allows one open operation per payment
        raise OperationInProgress(retry_after=1) from None
