"""PayPal's rules for money: each function applies one call inside the caller's database transaction.

PayPal's word: a void after a capture that was not final releases the rest. The twin assumes, after an answer in
https://github.com/paypal/Checkout-PHP-SDK/issues/76, that such an authorization is VOIDED and its captures stay.
"""

import sqlite3
from collections.abc import Callable
from typing import Literal, assert_never

import msgspec

from connectors.sandbox import ledger, magic, stored_answers
from connectors.sandbox.http_shapes import LedgerOperation, TwinReply, json_reply
from connectors.sandbox.paypal.wire_replies import (
    APPROVED_CODE,
    FAILED_CODE,
    Json,
    StoredPayPalMovement,
    StoredPayPalOrder,
    link,
    movement_body,
    new_paypal_id,
    order_body,
    refusal,
)
from connectors.sandbox.paypal.wire_requests import (
    PayPalMovementRequest,
    PayPalOrderRequest,
    RequestedAmount,
    WrongAmount,
)
from connectors.sandbox.stored_answers import StoredAnswer
from schemas.money import Money
from schemas.times import now

MovementKind = Literal["authorization", "capture", "refund"]
PLURAL: dict[MovementKind, str] = {"authorization": "authorizations", "capture": "captures", "refund": "refunds"}
KINDS: dict[str, MovementKind] = {plural: kind for kind, plural in PLURAL.items()}


class CallContext(msgspec.Struct, frozen=True):
    """What every call has: the database, the twin's own address, and the merchant's `PayPal-Request-Id`."""

    conn: sqlite3.Connection
    base: str
    request_id: str


class AppliedMovement(msgspec.Struct, frozen=True):
    """An authorization, capture or refund, its ledger row, and what later rows did to it."""

    movement: StoredPayPalMovement
    order: str
    row: ledger.LedgerRow
    position: ledger.LedgerPosition


def once(context: CallContext, path: str, run: Callable[[], TwinReply]) -> TwinReply:
    """Run a call, or repeat its answer where path and `PayPal-Request-Id` are known. A refusal is not stored."""
    if not context.request_id:
        return run()
    key = f"{path}#{context.request_id}"
    if earlier := stored_answers.get(context.conn, "paypal", key):
        return json_reply(earlier.body["status"], msgspec.Raw(earlier.body["text"].encode()))
    reply = run()
    status = 200 if reply.status == 201 else reply.status  # PayPal answers 201 to the first call only
    body = {"status": status, "text": reply.body.decode()}
    stored_answers.put(context.conn, "paypal", StoredAnswer(key, "answer", "", context.request_id, None, body))
    return reply


def create_order(context: CallContext, request: PayPalOrderRequest) -> TwinReply:
    """Create an order; no money moves."""
    if request.intent not in ("AUTHORIZE", "CAPTURE") or len(request.purchase_units) != 1:
        raise refusal(400, "INVALID_PARAMETER_VALUE", "Needs an intent and one purchase unit.", "/purchase_units")
    unit, experience = request.purchase_units[0], request.experience()
    intent: Literal["AUTHORIZE", "CAPTURE"] = "AUTHORIZE" if request.intent == "AUTHORIZE" else "CAPTURE"
    wallet = request.payment_source is not None
    order = StoredPayPalOrder(
        id=new_paypal_id(),
        intent=intent,
        status="PAYER_ACTION_REQUIRED" if wallet else "CREATED",
        money=_money(unit.amount, "/purchase_units/0/amount"),
        reference_id=unit.reference_id,
        custom_id=unit.custom_id,
        description=unit.description,
        brand_name=experience.brand_name,
        return_url=experience.return_url,
        cancel_url=experience.cancel_url,
        wallet=wallet,
        at=now(),
    )
    body = msgspec.to_builtins(order)
    stored_answers.put(
        context.conn, "paypal", StoredAnswer(order.id, "order", order.id, context.request_id, None, body)
    )
    return json_reply(201, order_body(order, context.base, {}))


def find_order(conn: sqlite3.Connection, id: str) -> StoredPayPalOrder:
    """The order. Raises `TwinRefusal` with 404."""
    stored = stored_answers.get(conn, "paypal", id)
    if stored is None or stored.kind != "order":
        raise refusal(404, "INVALID_RESOURCE_ID", "The order does not exist.")
    return msgspec.convert(stored.body, StoredPayPalOrder)


def approve_order(conn: sqlite3.Connection, order: StoredPayPalOrder) -> None:
    """Mark the order as approved by its payer."""
    _set_status(conn, order, "APPROVED")


def show_order(context: CallContext, id: str) -> TwinReply:
    """`GET /v2/checkout/orders/{id}`."""
    return json_reply(200, _order_body(context, find_order(context.conn, id)))


def complete_order(context: CallContext, id: str, intent: Literal["AUTHORIZE", "CAPTURE"]) -> TwinReply:
    """Authorize or capture an approved order. HTTP 201 even where it is denied: the movement's status tells."""
    order = find_order(context.conn, id)
    if order.intent != intent:
        raise refusal(422, "ACTION_DOES_NOT_MATCH_INTENT", f"The order was created with intent {order.intent}.")
    if order.status == "COMPLETED":
        raise refusal(422, "ORDER_ALREADY_AUTHORIZED" if intent == "AUTHORIZE" else "ORDER_ALREADY_CAPTURED")
    if order.status != "APPROVED":
        raise refusal(422, "ORDER_NOT_APPROVED", "The payer has not approved the order.")
    code = magic.PAYPAL_DENIED.get(order.money.decimal(), APPROVED_CODE)
    movement = StoredPayPalMovement(new_paypal_id(), order.money, now(), order.custom_id, response_code=code)
    operation: LedgerOperation = "authorize" if intent == "AUTHORIZE" else "sale"
    kind: MovementKind = "authorization" if intent == "AUTHORIZE" else "capture"
    _keep(context, order.id, kind, movement, operation, order.reference_id)
    return json_reply(201, _order_body(context, _set_status(context.conn, order, "COMPLETED")))


def show(context: CallContext, kind: MovementKind, id: str) -> TwinReply:
    """`GET /v2/payments/{authorizations|captures|refunds}/{id}`."""
    return json_reply(200, _body(context, kind, _made(context.conn, kind, id)))


def capture(context: CallContext, id: str, request: PayPalMovementRequest) -> TwinReply:
    """Capture an authorization or a part of it."""
    parent = _made(context.conn, "authorization", id)
    left = _left_to_capture(parent)
    _check_capturable(context, parent, request)
    money = _asked(request.amount, left, "AUTH_CAPTURE_CURRENCY_MISMATCH")
    if money.amount > left.amount:
        raise refusal(422, "MAX_CAPTURE_AMOUNT_EXCEEDED", "The capture exceeds what is left to capture.")
    code = magic.PAYPAL_CAPTURE_DECLINED.get(money.decimal(), APPROVED_CODE)
    movement = _following(parent, request, money, code)
    _keep(context, parent.order, "capture", movement, "capture", parent.row.reference, parent.row.id)
    return json_reply(201, _body(context, "capture", _made(context.conn, "capture", movement.id)))


def void(context: CallContext, id: str, *, representation: bool) -> TwinReply:
    """Release what is left of an authorization. HTTP 204, or 200 with its body for `representation`."""
    parent = _made(context.conn, "authorization", id)
    if parent.position.taken_back:
        raise refusal(422, "PREVIOUSLY_VOIDED", "The authorization has been voided before.")
    if _used_up(context, parent):
        raise refusal(422, "PREVIOUSLY_CAPTURED", "The authorization has been captured.")
    left = _left_to_capture(parent)
    if not parent.movement.good() or left.decimal() in magic.PAYPAL_VOID_REFUSED:
        raise refusal(422, "CANNOT_BE_VOIDED", "The authorization cannot be voided.")
    _append(context, "void", parent.row.reference, left, parent_id=parent.row.id)
    if not representation:
        return TwinReply(204)
    return json_reply(200, _body(context, "authorization", _made(context.conn, "authorization", id)))


def refund(context: CallContext, id: str, request: PayPalMovementRequest) -> TwinReply:
    """Give back a capture or a part of it."""
    parent = _made(context.conn, "capture", id)
    left = parent.row.amount - parent.position.refunded
    _check_refundable(context, parent, request)
    money = _asked(request.amount, Money(left, parent.row.currency), "REFUND_CAPTURE_CURRENCY_MISMATCH")
    if money.amount > left:
        raise refusal(422, "REFUND_AMOUNT_EXCEEDED", "The refund exceeds what is left of the capture.")
    if issue := magic.PAYPAL_REFUND_REFUSED.get(money.decimal()):
        raise refusal(422, issue, "The payer's account takes no refund.")
    code = FAILED_CODE if money.decimal() == magic.PAYPAL_REFUND_FAILED else APPROVED_CODE
    movement = _following(parent, request, money, code)
    _keep(context, parent.order, "refund", movement, "refund", parent.row.reference, parent.row.id)
    return json_reply(201, _body(context, "refund", _made(context.conn, "refund", movement.id)))


def end_pending(conn: sqlite3.Connection, *, completed: bool) -> int:
    """Decide all captures and refunds that are pending; how many there were."""
    kinds: tuple[LedgerOperation, ...] = ("capture", "refund")
    waiting = [(kind, stored) for kind in kinds for stored in stored_answers.of_kind(conn, "paypal", kind)]
    waiting = [(kind, stored) for kind, stored in waiting if stored.row is None]
    for kind, stored in waiting:
        movement = msgspec.convert(stored.body, StoredPayPalMovement)
        code = APPROVED_CODE if completed else FAILED_CODE
        decided = msgspec.structs.replace(movement, pending="", response_code=code)
        context = CallContext(conn, "", stored.request_id)
        row = _append(
            context, kind, movement.reference, movement.money, parent_id=movement.parent_id, good=completed
        )
        stored_answers.give_row(conn, "paypal", stored.id, row)
        stored_answers.replace_body(conn, "paypal", stored.id, msgspec.to_builtins(decided))
    return len(waiting)


def _check_capturable(context: CallContext, parent: AppliedMovement, request: PayPalMovementRequest) -> None:
    if parent.position.taken_back:
        raise refusal(422, "AUTHORIZATION_VOIDED", "A voided authorization cannot be captured.")
    if not parent.movement.good():
        raise refusal(422, "AUTHORIZATION_DENIED", "A denied authorization cannot be captured.")
    if _used_up(context, parent):
        raise refusal(422, "AUTHORIZATION_ALREADY_CAPTURED", "The authorization has been captured.")
    if _invoice_used(request, _movements(context, parent, "capture")):
        raise refusal(422, "DUPLICATE_INVOICE_ID", "The invoice id has been captured before.")


def _check_refundable(context: CallContext, parent: AppliedMovement, request: PayPalMovementRequest) -> None:
    if parent.movement.pending:
        raise refusal(422, "PENDING_CAPTURE", "The capture is pending.")
    if not parent.movement.good():
        raise refusal(422, "REFUND_NOT_ALLOWED", "The capture was declined.")
    if parent.position.refunded == parent.row.amount:
        raise refusal(422, "CAPTURE_FULLY_REFUNDED", "The capture has been refunded in full.")
    if _invoice_used(request, _movements(context, parent, "refund")):
        raise refusal(422, "DUPLICATE_INVOICE_ID", "The invoice id has been refunded before.")


def _invoice_used(request: PayPalMovementRequest, earlier: list[StoredPayPalMovement]) -> bool:
    return bool(request.invoice_id) and any(made.invoice_id == request.invoice_id for made in earlier)


def _left_to_capture(authorization: AppliedMovement) -> Money:
    return Money(authorization.row.amount - authorization.position.captured, authorization.row.currency)


def _used_up(context: CallContext, authorization: AppliedMovement) -> bool:
    """Whether nothing more can be captured: all of it was, or the final capture has come."""
    captures = _movements(context, authorization, "capture")
    return not _left_to_capture(authorization).amount or any(made.final for made in captures)


def _movements(context: CallContext, made: AppliedMovement, kind: MovementKind) -> list[StoredPayPalMovement]:
    """What was done in the order of `made`, without what was declined."""
    family = stored_answers.of_family(context.conn, "paypal", made.order)
    found = [msgspec.convert(stored.body, StoredPayPalMovement) for stored in family if stored.kind == kind]
    return [movement for movement in found if movement.good()]


def _following(
    parent: AppliedMovement, request: PayPalMovementRequest, money: Money, code: str
) -> StoredPayPalMovement:
    return StoredPayPalMovement(
        new_paypal_id(),
        money,
        now(),
        parent.movement.custom_id,
        request.invoice_id,
        code,
        request.final_capture,
        magic.PAYPAL_PENDING.get(money.decimal(), ""),
        parent.row.reference,
        parent.row.id,
    )


def _keep(
    context: CallContext,
    order: str,
    kind: MovementKind,
    movement: StoredPayPalMovement,
    operation: LedgerOperation,
    reference: str,
    parent_id: int | None = None,
) -> None:
    row = None
    if not movement.pending:
        row = _append(context, operation, reference, movement.money, parent_id=parent_id, good=movement.good())
    body = msgspec.to_builtins(movement)
    stored_answers.put(
        context.conn, "paypal", StoredAnswer(movement.id, kind, order, context.request_id, row, body)
    )


def _append(
    context: CallContext,
    operation: LedgerOperation,
    reference: str,
    money: Money,
    *,
    parent_id: int | None,
    good: bool = True,
) -> int:
    return ledger.append(
        context.conn,
        "paypal",
        operation,
        reference=reference,
        request_id=context.request_id,
        money=money,
        parent_id=parent_id,
        status="applied" if good else "declined",
    )


def _made(conn: sqlite3.Connection, kind: MovementKind, id: str) -> AppliedMovement:
    stored = stored_answers.get(conn, "paypal", id)
    if stored is None or stored.kind != kind:
        raise refusal(404, "INVALID_RESOURCE_ID", f"The {kind} does not exist.")
    movement = msgspec.convert(stored.body, StoredPayPalMovement)
    parent_id = stored.row or movement.parent_id  # what is pending has no row yet
    assert parent_id is not None
    row = ledger.row(conn, parent_id)
    position = ledger.position(conn, row.id) if stored.row else ledger.LedgerPosition()
    return AppliedMovement(movement, stored.family, row, position)


def _set_status(conn: sqlite3.Connection, order: StoredPayPalOrder, status: str) -> StoredPayPalOrder:
    changed = msgspec.structs.replace(order, status=status)
    stored_answers.replace_body(conn, "paypal", order.id, msgspec.to_builtins(changed))
    return changed


def _order_body(context: CallContext, order: StoredPayPalOrder) -> Json:
    family = stored_answers.of_family(context.conn, "paypal", order.id)
    payments: Json = {}
    for kind, plural in PLURAL.items():
        ids = [stored.id for stored in family if stored.kind == kind]
        if ids:
            payments[plural] = [_body(context, kind, _made(context.conn, kind, id)) for id in ids]
    return order_body(order, context.base, payments)


def _body(context: CallContext, kind: MovementKind, made: AppliedMovement) -> Json:
    base = f"{context.base}/v2/payments/{PLURAL[kind]}/{made.movement.id}"
    links = [link(base, "self", "GET")]
    match kind:
        case "authorization":
            if made.movement.good() and not made.position.taken_back and not _used_up(context, made):
                links += [link(f"{base}/capture", "capture", "POST"), link(f"{base}/void", "void", "POST")]
        case "capture":
            links.append(link(f"{base}/refund", "refund", "POST"))
        case "refund":
            pass
        case _:
            assert_never(kind)
    body = movement_body(made.movement, _status(context, kind, made), links)
    if kind != "refund":  # of a refund PayPal tells no issuer's code
        body["processor_response"] = {"response_code": made.movement.response_code}
    return body | {"supplementary_data": {"related_ids": {"order_id": made.order}}}


def _status(context: CallContext, kind: MovementKind, made: AppliedMovement) -> str:
    match kind:
        case "authorization":
            return _authorization_status(context, made)
        case "capture" | "refund" if made.movement.pending:
            return "PENDING"
        case "capture":
            refunded = _part(made.position.refunded, made.row.amount, "COMPLETED", "REFUNDED")
            return refunded if made.movement.good() else "DECLINED"
        case "refund":
            return "COMPLETED" if made.movement.good() else "FAILED"
        case _:
            assert_never(kind)


def _authorization_status(context: CallContext, made: AppliedMovement) -> str:
    if not made.movement.good():
        return "DENIED"
    if made.position.taken_back:
        return "VOIDED"
    if _used_up(context, made):
        return "CAPTURED"
    return _part(made.position.captured, made.row.amount, "CREATED", "CAPTURED")


def _part(done: int, whole: int, before: str, after: str) -> str:
    if not done:
        return before
    return after if done == whole else f"PARTIALLY_{after}"


def _asked(asked: RequestedAmount | None, left: Money, mismatch: str) -> Money:
    if asked is None:
        return left
    money = _money(asked, "/amount")
    if money.currency != left.currency:
        raise refusal(422, mismatch, f"The currency is {left.currency}.", "/amount/currency_code")
    return money


def _money(asked: RequestedAmount, field: str) -> Money:
    try:
        return asked.money()
    except WrongAmount as error:
        raise refusal(422, error.issue, str(error), f"{field}/value") from None
