"""PayPal's twin: Orders v2 and Payments v2, its token endpoint, and the page where a payer approves."""

import re
import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

import msgspec

from connectors.processors.settings import ProcessorSettings
from connectors.sandbox import paypal_moves as moves
from connectors.sandbox.paypal_moves import Place
from connectors.sandbox.paypal_page import approval_page, go_back, notice_page
from connectors.sandbox.paypal_replies import refusal
from connectors.sandbox.paypal_requests import MovementRequest, OrderRequest
from connectors.sandbox.paypal_tokens import Tokens
from connectors.sandbox.wire import Arrival, Call, Kind, Refusal, Reply, Route, decode, find
from schemas.payments import ProcessorName

ORDERS = "/v2/checkout/orders"
PAYMENTS = "/v2/payments"
WAITING = ("CREATED", "PAYER_ACTION_REQUIRED")


class PayPal:
    """The twin on one database."""

    name: ProcessorName = "paypal"

    def __init__(self, conn: sqlite3.Connection, settings: ProcessorSettings) -> None:
        self._conn = conn
        self._base = settings.url("paypal")
        self._tokens = Tokens(settings.paypal_client, settings.paypal_secret)

    def read(self, arrival: Arrival) -> Call:
        """See `Twin`."""
        if arrival.path == "/v1/oauth2/token" and arrival.method == "POST":
            return Call(None, partial(self._tokens.grant, arrival))
        if arrival.path == "/checkoutnow":
            return Call(None, partial(visit, self._conn, arrival))
        self._tokens.check(arrival)
        if (found := find(ROUTES, arrival)) is None:
            raise refusal(404, "INVALID_RESOURCE_ID", "There is no such resource.")
        reader, ids = found
        call = reader(Place(self._conn, self._base, arrival.header("PayPal-Request-Id")), arrival, *ids)
        return Call(call.kind, partial(_mocked, arrival.headers, call.run))


def visit(conn: sqlite3.Connection, arrival: Arrival) -> Reply:
    """`GET` shows the page, `POST` takes the payer's decision and sends the payer back to the merchant."""
    try:
        order = moves.find_order(conn, arrival.parameters().get("token", ""))
    except Refusal:
        return notice_page(404, "There is no such order.")
    decision = arrival.form().get("decision") if arrival.method == "POST" else None
    if order.status not in WAITING:
        return go_back(order.return_url, order.id)
    if decision == "approve":
        moves.approve_order(conn, order)
        return go_back(order.return_url, order.id, PayerID=f"PAYER{order.id[:8]}")
    return go_back(order.cancel_url, order.id) if decision == "cancel" else approval_page(order)


def read_create(place: Place, arrival: Arrival) -> Call:
    """`POST /v2/checkout/orders`."""
    request = decode(arrival.body, OrderRequest, _refuse)
    return _once("order", place, arrival, partial(moves.create_order, place, request))


def read_order(place: Place, _arrival: Arrival, id: str) -> Call:
    """`GET /v2/checkout/orders/{id}`."""
    return Call("lookup", partial(moves.show_order, place, id))


def read_authorize(place: Place, arrival: Arrival, id: str) -> Call:
    """`POST /v2/checkout/orders/{id}/authorize`."""
    return _once("authorize", place, arrival, partial(moves.complete_order, place, id, "AUTHORIZE"))


def read_sale(place: Place, arrival: Arrival, id: str) -> Call:
    """`POST /v2/checkout/orders/{id}/capture`."""
    return _once("sale", place, arrival, partial(moves.complete_order, place, id, "CAPTURE"))


def read_movement(place: Place, _arrival: Arrival, of: str, id: str) -> Call:
    """`GET /v2/payments/{authorizations|captures|refunds}/{id}`."""
    return Call("lookup", partial(moves.show, place, moves.KINDS[of], id))


def read_capture(place: Place, arrival: Arrival, id: str) -> Call:
    """`POST /v2/payments/authorizations/{id}/capture`."""
    return _once("capture", place, arrival, partial(moves.capture, place, id, _movement(arrival)))


def read_void(place: Place, arrival: Arrival, id: str) -> Call:
    """`POST /v2/payments/authorizations/{id}/void`."""
    representation = arrival.header("Prefer") == "return=representation"
    return _once("void", place, arrival, partial(moves.void, place, id, representation=representation))


def read_refund(place: Place, arrival: Arrival, id: str) -> Call:
    """`POST /v2/payments/captures/{id}/refund`."""
    return _once("refund", place, arrival, partial(moves.refund, place, id, _movement(arrival)))


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


def _once(kind: Kind, place: Place, arrival: Arrival, run: Callable[[], Reply]) -> Call:
    return Call(kind, partial(moves.once, place, arrival.path, run))


def _mocked(headers: Mapping[str, str], run: Callable[[], Reply]) -> Reply:
    """Run the call, or say no with the issue that `PayPal-Mock-Response` asks for."""
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


def _movement(arrival: Arrival) -> MovementRequest:
    return decode(arrival.body or b"{}", MovementRequest, _refuse)


def _refuse(field: str, reason: str) -> NoReturn:
    issue = "MISSING_REQUIRED_PARAMETER" if "missing" in reason else "INVALID_PARAMETER_VALUE"
    raise refusal(400, issue, "The value is not valid.", "/" + field.replace(".", "/"))
