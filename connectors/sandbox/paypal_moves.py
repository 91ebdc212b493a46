"""What PayPal does with money: each function applies one call inside the caller's transaction."""

import sqlite3
from collections.abc import Callable
from typing import Literal

import msgspec

from connectors.sandbox import documents, ledger, magic
from connectors.sandbox.documents import Document
from connectors.sandbox.paypal_replies import (
    APPROVED_CODE,
    Json,
    Movement,
    Order,
    link,
    movement_body,
    new_paypal_id,
    order_body,
    refusal,
)
from connectors.sandbox.paypal_requests import Amount, MovementRequest, OrderRequest
from connectors.sandbox.wire import Operation, Reply, json_reply
from schemas.money import Money
from schemas.times import now

PLURAL = {"authorization": "authorizations", "capture": "captures", "refund": "refunds"}
KINDS = {plural: kind for kind, plural in PLURAL.items()}


class Place(msgspec.Struct, frozen=True):
    """Where a call stands: the database, PayPal's address, and the merchant's `PayPal-Request-Id`."""

    conn: sqlite3.Connection
    base: str
    request_id: str


class Made(msgspec.Struct, frozen=True):
    """An authorization, capture or refund, its row and what became of it."""

    movement: Movement
    order: str
    row: ledger.Row
    standing: ledger.Standing


def once(place: Place, path: str, run: Callable[[], Reply]) -> Reply:
    """Answer a repeated `PayPal-Request-Id` on the same path as before; what was refused may be tried again."""
    if not place.request_id:
        return run()
    key = f"{path}#{place.request_id}"
    if earlier := documents.get(place.conn, "paypal", key):
        return json_reply(earlier.body["status"], msgspec.Raw(earlier.body["text"].encode()))
    reply = run()
    status = 200 if reply.status == 201 else reply.status  # PayPal says 201 to the first call only
    body = {"status": status, "text": reply.body.decode()}
    documents.put(place.conn, "paypal", Document(key, "answer", "", place.request_id, None, body))
    return reply


def create_order(place: Place, request: OrderRequest) -> Reply:
    """Open an order; it moves nothing."""
    if request.intent not in ("AUTHORIZE", "CAPTURE") or len(request.purchase_units) != 1:
        raise refusal(400, "INVALID_PARAMETER_VALUE", "Needs an intent and one purchase unit.", "/purchase_units")
    unit, experience = request.purchase_units[0], request.experience()
    intent: Literal["AUTHORIZE", "CAPTURE"] = "AUTHORIZE" if request.intent == "AUTHORIZE" else "CAPTURE"
    wallet = request.payment_source is not None
    order = Order(
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
    documents.put(place.conn, "paypal", Document(order.id, "order", order.id, place.request_id, None, body))
    return json_reply(201, order_body(order, place.base, {}))


def find_order(conn: sqlite3.Connection, id: str) -> Order:
    """The order. Raises `Refusal` with 404."""
    document = documents.get(conn, "paypal", id)
    if document is None or document.kind != "order":
        raise refusal(404, "INVALID_RESOURCE_ID", "The order does not exist.")
    return msgspec.convert(document.body, Order)


def approve_order(conn: sqlite3.Connection, order: Order) -> None:
    """The payer said yes."""
    _set_status(conn, order, "APPROVED")


def show_order(place: Place, id: str) -> Reply:
    """`GET /v2/checkout/orders/{id}`."""
    return json_reply(200, _order_body(place, find_order(place.conn, id)))


def complete_order(place: Place, id: str, intent: Literal["AUTHORIZE", "CAPTURE"]) -> Reply:
    """Authorize or capture an approved order. HTTP 201 where the money was denied, too: the movement says so."""
    order = find_order(place.conn, id)
    if order.intent != intent:
        raise refusal(422, "ACTION_DOES_NOT_MATCH_INTENT", f"The order was created with intent {order.intent}.")
    if order.status == "COMPLETED":
        raise refusal(422, "ORDER_ALREADY_AUTHORIZED" if intent == "AUTHORIZE" else "ORDER_ALREADY_CAPTURED")
    if order.status != "APPROVED":
        raise refusal(422, "ORDER_NOT_APPROVED", "The payer has not approved the order.")
    code = magic.PAYPAL_DENIED.get(order.money.decimal(), APPROVED_CODE)
    movement = Movement(new_paypal_id(), order.money, now(), order.custom_id, response_code=code)
    operation: Operation = "authorize" if intent == "AUTHORIZE" else "sale"
    kind = "authorization" if intent == "AUTHORIZE" else "capture"
    _keep(place, order.id, kind, movement, operation, order.reference_id)
    return json_reply(201, _order_body(place, _set_status(place.conn, order, "COMPLETED")))


def show(place: Place, kind: str, id: str) -> Reply:
    """`GET /v2/payments/{authorizations|captures|refunds}/{id}`."""
    return json_reply(200, _body(place, kind, _made(place.conn, kind, id)))


def capture(place: Place, id: str, request: MovementRequest) -> Reply:
    """Capture an authorization or a part of it."""
    of = _made(place.conn, "authorization", id)
    left = of.row.amount - of.standing.captured
    _check_capturable(place, of, request)
    money = _asked(request.amount, Money(left, of.row.currency), "AUTH_CAPTURE_CURRENCY_MISMATCH")
    if money.amount > left:
        raise refusal(422, "MAX_CAPTURE_AMOUNT_EXCEEDED", "The capture exceeds what is left to capture.")
    code = magic.PAYPAL_CAPTURE_DECLINED.get(money.decimal(), APPROVED_CODE)
    movement = _following(of, request, money, code)
    _keep(place, of.order, "capture", movement, "capture", of.row.reference, of.row.id)
    return json_reply(201, _body(place, "capture", _made(place.conn, "capture", movement.id)))


def void(place: Place, id: str, *, representation: bool) -> Reply:
    """Release an authorization. HTTP 204, or 200 where the caller prefers to see it."""
    of = _made(place.conn, "authorization", id)
    if of.standing.taken_back:
        raise refusal(422, "PREVIOUSLY_VOIDED", "The authorization has been voided before.")
    if of.standing.captured:
        raise refusal(422, "PREVIOUSLY_CAPTURED", "The authorization has been captured.")
    if not of.movement.good():
        raise refusal(422, "CANNOT_BE_VOIDED", "The authorization was denied.")
    _append(place, "void", of.row.reference, of.movement.money, of=of.row.id)
    if not representation:
        return Reply(204)
    return json_reply(200, _body(place, "authorization", _made(place.conn, "authorization", id)))


def refund(place: Place, id: str, request: MovementRequest) -> Reply:
    """Give back a capture or a part of it."""
    of = _made(place.conn, "capture", id)
    left = of.row.amount - of.standing.refunded
    if not of.movement.good():
        raise refusal(422, "REFUND_NOT_ALLOWED", "The capture was declined.")
    if left == 0:
        raise refusal(422, "CAPTURE_FULLY_REFUNDED", "The capture has been refunded in full.")
    money = _asked(request.amount, Money(left, of.row.currency), "REFUND_CAPTURE_CURRENCY_MISMATCH")
    if money.amount > left:
        raise refusal(422, "REFUND_AMOUNT_EXCEEDED", "The refund exceeds what is left of the capture.")
    movement = _following(of, request, money, APPROVED_CODE)
    _keep(place, of.order, "refund", movement, "refund", of.row.reference, of.row.id)
    return json_reply(201, _body(place, "refund", _made(place.conn, "refund", movement.id)))


def _check_capturable(place: Place, of: Made, request: MovementRequest) -> None:
    if of.standing.taken_back:
        raise refusal(422, "AUTHORIZATION_VOIDED", "A voided authorization cannot be captured.")
    if not of.movement.good():
        raise refusal(422, "AUTHORIZATION_DENIED", "A denied authorization cannot be captured.")
    captures = _captures(place, of)
    if of.standing.captured == of.row.amount or any(made.final for made in captures):
        raise refusal(422, "AUTHORIZATION_ALREADY_CAPTURED", "The authorization has been captured.")
    if request.invoice_id and any(made.invoice_id == request.invoice_id for made in captures):
        raise refusal(422, "DUPLICATE_INVOICE_ID", "The invoice id has been captured before.")


def _captures(place: Place, of: Made) -> list[Movement]:
    found = documents.of_family(place.conn, "paypal", of.order)
    movements = [msgspec.convert(document.body, Movement) for document in found if document.kind == "capture"]
    return [movement for movement in movements if movement.good()]


def _following(of: Made, request: MovementRequest, money: Money, code: str) -> Movement:
    return Movement(
        new_paypal_id(), money, now(), of.movement.custom_id, request.invoice_id, code, request.final_capture
    )


def _keep(
    place: Place,
    order: str,
    kind: str,
    movement: Movement,
    operation: Operation,
    reference: str,
    of: int | None = None,
) -> None:
    row = _append(place, operation, reference, movement.money, of=of, good=movement.good())
    body = msgspec.to_builtins(movement)
    documents.put(place.conn, "paypal", Document(movement.id, kind, order, place.request_id, row, body))


def _append(
    place: Place, operation: Operation, reference: str, money: Money, *, of: int | None, good: bool = True
) -> int:
    return ledger.append(
        place.conn,
        "paypal",
        operation,
        reference=reference,
        request_id=place.request_id,
        money=money,
        of=of,
        status="applied" if good else "declined",
    )


def _made(conn: sqlite3.Connection, kind: str, id: str) -> Made:
    document = documents.get(conn, "paypal", id)
    if document is None or document.kind != kind or document.row is None:
        raise refusal(404, "INVALID_RESOURCE_ID", f"The {kind} does not exist.")
    row = ledger.row(conn, document.row)
    movement = msgspec.convert(document.body, Movement)
    return Made(movement, document.family, row, ledger.standing(conn, row.id))


def _set_status(conn: sqlite3.Connection, order: Order, status: str) -> Order:
    changed = msgspec.structs.replace(order, status=status)
    documents.replace_body(conn, "paypal", order.id, msgspec.to_builtins(changed))
    return changed


def _order_body(place: Place, order: Order) -> Json:
    payments: Json = {}
    for document in documents.of_family(place.conn, "paypal", order.id):
        if document.kind in PLURAL:
            body = _body(place, document.kind, _made(place.conn, document.kind, document.id))
            payments.setdefault(PLURAL[document.kind], []).append(body)
    return order_body(order, place.base, payments)


def _body(place: Place, kind: str, made: Made) -> Json:
    base = f"{place.base}/v2/payments/{PLURAL[kind]}/{made.movement.id}"
    links = [link(base, "self", "GET")]
    if kind == "authorization" and not made.standing.taken_back:
        links += [link(f"{base}/capture", "capture", "POST"), link(f"{base}/void", "void", "POST")]
    if kind == "capture":
        links.append(link(f"{base}/refund", "refund", "POST"))
    related = {"supplementary_data": {"related_ids": {"order_id": made.order}}}
    return movement_body(made.movement, _status(place, kind, made), links) | related


def _status(place: Place, kind: str, made: Made) -> str:
    if kind == "refund":
        return "COMPLETED"
    if not made.movement.good():
        return "DENIED" if kind == "authorization" else "DECLINED"
    if kind == "capture":
        return _part(made.standing.refunded, made.row.amount, "COMPLETED", "REFUNDED")
    if made.standing.taken_back:
        return "VOIDED"
    if made.standing.captured and any(movement.final for movement in _captures(place, made)):
        return "CAPTURED"
    return _part(made.standing.captured, made.row.amount, "CREATED", "CAPTURED")


def _part(done: int, whole: int, before: str, after: str) -> str:
    if not done:
        return before
    return after if done == whole else f"PARTIALLY_{after}"


def _asked(asked: Amount | None, left: Money, mismatch: str) -> Money:
    if asked is None:
        return left
    money = _money(asked, "/amount")
    if money.currency != left.currency:
        raise refusal(422, mismatch, f"The currency is {left.currency}.", "/amount/currency_code")
    return money


def _money(asked: Amount, field: str) -> Money:
    try:
        return asked.money()
    except ValueError as error:
        raise refusal(422, "INVALID_PARAMETER_VALUE", str(error), f"{field}/value") from None
