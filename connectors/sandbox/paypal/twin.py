"""PayPal's twin: Orders v2 and Payments v2, its token endpoint, and the page where a payer approves."""

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import msgspec

from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.http_shapes import (
    ReceivedRequest,
    RequestKind,
    Route,
    TwinCall,
    TwinRefusal,
    TwinReply,
    decode,
    find_route,
)
from connectors.sandbox.paypal import ledger_rules as rules
from connectors.sandbox.paypal.access_tokens import PayPalTokenIssuer
from connectors.sandbox.paypal.approval_page import approval_page, go_back, notice_page
from connectors.sandbox.paypal.ledger_rules import CallContext
from connectors.sandbox.paypal.wire_replies import refusal
from connectors.sandbox.paypal.wire_requests import PayPalMovementRequest, PayPalOrderRequest
from schemas.payments import ProcessorName

ORDERS = "/v2/checkout/orders"
PAYMENTS = "/v2/payments"
WAITING = ("CREATED", "PAYER_ACTION_REQUIRED")


class PayPalTwin:
    """The twin on one database."""

    name: ProcessorName = "paypal"

    def __init__(self, conn: sqlite3.Connection, settings: ProcessorSettings) -> None:
        self._conn = conn
        self._base = (settings.paypal_url or settings.url("paypal")).rstrip("/")
        self._tokens = PayPalTokenIssuer(settings.paypal_client)
        self.accept([settings.secret("paypal").text()])

    def accept(self, secrets: Sequence[str]) -> None:
        """See `Twin`."""
        self._tokens.accept(secrets)

    def read(self, received: ReceivedRequest) -> TwinCall:
        """See `Twin`."""
        if received.path == "/v1/oauth2/token" and received.method == "POST":
            return TwinCall(None, partial(self._tokens.grant, received))
        if received.path == "/checkoutnow":
            return TwinCall(None, partial(visit, self._conn, received))
        self._tokens.check(received)
        if (found := find_route(ROUTES, received)) is None:
            raise refusal(404, "INVALID_RESOURCE_ID", "There is no such resource.")
        reader, ids = found
        call = reader(CallContext(self._conn, self._base, received.header("PayPal-Request-Id")), received, *ids)
        return TwinCall(call.kind, partial(_mocked, received.headers, call.run))


def visit(conn: sqlite3.Connection, received: ReceivedRequest) -> TwinReply:
    """`GET` shows the page, `POST` takes the payer's decision and sends the payer back to the merchant."""
    try:
        order = rules.find_order(conn, received.parameters().get("token", ""))
    except TwinRefusal:
        return notice_page(404, "There is no such order.")
    decision = received.form().get("decision") if received.method == "POST" else None
    if order.status not in WAITING:
        return go_back(order.return_url, order.id)
    if decision == "approve":
        rules.approve_order(conn, order)
        return go_back(order.return_url, order.id, PayerID=f"PAYER{order.id[:8]}")
    return go_back(order.cancel_url, order.id) if decision == "cancel" else approval_page(order)


def read_create(context: CallContext, received: ReceivedRequest) -> TwinCall:
    """`POST /v2/checkout/orders`."""
    request = decode(received.body, PayPalOrderRequest, _refuse)
    return _once("order", context, received, partial(rules.create_order, context, request))


def read_order(context: CallContext, _received: ReceivedRequest, id: str) -> TwinCall:
    """`GET /v2/checkout/orders/{id}`."""
    return TwinCall("lookup", partial(rules.show_order, context, id))


def read_authorize(context: CallContext, received: ReceivedRequest, id: str) -> TwinCall:
    """`POST /v2/checkout/orders/{id}/authorize`."""
    return _once("authorize", context, received, partial(rules.complete_order, context, id, "AUTHORIZE"))


def read_sale(context: CallContext, received: ReceivedRequest, id: str) -> TwinCall:
    """`POST /v2/checkout/orders/{id}/capture`."""
    return _once("sale", context, received, partial(rules.complete_order, context, id, "CAPTURE"))


def read_movement(context: CallContext, _received: ReceivedRequest, plural: str, id: str) -> TwinCall:
    """`GET /v2/payments/{authorizations|captures|refunds}/{id}`."""
    return TwinCall("lookup", partial(rules.show, context, rules.KINDS[plural], id))


def read_capture(context: CallContext, received: ReceivedRequest, id: str) -> TwinCall:
    """`POST /v2/payments/authorizations/{id}/capture`."""
    return _once("capture", context, received, partial(rules.capture, context, id, _movement(received)))


def read_void(context: CallContext, received: ReceivedRequest, id: str) -> TwinCall:
    """`POST /v2/payments/authorizations/{id}/void`."""
    representation = received.header("Prefer") == "return=representation"
    return _once("void", context, received, partial(rules.void, context, id, representation=representation))


def read_refund(context: CallContext, received: ReceivedRequest, id: str) -> TwinCall:
    """`POST /v2/payments/captures/{id}/refund`."""
    return _once("refund", context, received, partial(rules.refund, context, id, _movement(received)))


ID = r"(\w+)"
ROUTES: tuple[Route, ...] = (
    ("POST", re.compile(ORDERS), read_create),
    ("GET", re.compile(f"{ORDERS}/{ID}"), read_order),
    ("POST", re.compile(f"{ORDERS}/{ID}/authorize"), read_authorize),
    ("POST", re.compile(f"{ORDERS}/{ID}/capture"), read_sale),
    ("GET", re.compile(f"{PAYMENTS}/(authorizations|captures|refunds)/{ID}"), read_movement),
    ("POST", re.compile(f"{PAYMENTS}/authorizations/{ID}/capture"), read_capture),
    ("POST", re.compile(f"{PAYMENTS}/authorizations/{ID}/void"), read_void),
    ("POST", re.compile(f"{PAYMENTS}/captures/{ID}/refund"), read_refund),
)


def _once(
    kind: RequestKind, context: CallContext, received: ReceivedRequest, run: Callable[[], TwinReply]
) -> TwinCall:
    return TwinCall(kind, partial(rules.once, context, received.path, run))


def _mocked(headers: Mapping[str, str], run: Callable[[], TwinReply]) -> TwinReply:
    """Run the call, or refuse it with the issue that the header `PayPal-Mock-Response` asks for."""
    if text := headers.get("PayPal-Mock-Response"):
        codes = _mock_codes(text)
        raise refusal(500 if codes == "INTERNAL_SERVER_ERROR" else 422, codes, "Mocked.")
    return run()


def _mock_codes(text: str) -> str:
    try:
        wanted: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        codes = wanted["mock_application_codes"]
    except (msgspec.MsgspecError, KeyError):
        raise refusal(400, "INVALID_PARAMETER_SYNTAX", "PayPal-Mock-Response is not readable.") from None
    return str(codes[0] if isinstance(codes, list) and codes else codes)


def _movement(received: ReceivedRequest) -> PayPalMovementRequest:
    return decode(received.body or b"{}", PayPalMovementRequest, _refuse)


def _refuse(field: str, reason: str) -> NoReturn:
    issue = "MISSING_REQUIRED_PARAMETER" if "missing" in reason else "INVALID_PARAMETER_VALUE"
    raise refusal(400, issue, "The value is not valid.", "/" + field.replace(".", "/"))
