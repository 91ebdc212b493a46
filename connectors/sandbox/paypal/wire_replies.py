"""The bodies PayPal answers with, after its public OpenAPI documents: pure functions."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from connectors.sandbox.http_shapes import TwinRefusal, json_reply
from connectors.sandbox.paypal.wire_requests import WITHOUT_DECIMALS
from schemas.money import Money

NAMES = {
    400: ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema."),
    401: ("AUTHENTICATION_FAILURE", "Authentication failed due to invalid authentication credentials."),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    422: ("UNPROCESSABLE_ENTITY", "The requested action could not be performed, or failed business validation."),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
}
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
CHARACTERS = "0123456789" + LETTERS
APPROVED_CODE = "0000"
FAILED_CODE = "5100"  # a bank's error

Json = dict[str, Any]


class StoredPayPalOrder(msgspec.Struct, frozen=True):
    """An order. `wallet`: it has a `payment_source`, for which PayPal names the payer's step otherwise."""

    id: str
    intent: Literal["CAPTURE", "AUTHORIZE"]
    status: str
    money: Money
    reference_id: str
    custom_id: str
    description: str
    brand_name: str
    return_url: str
    cancel_url: str
    wallet: bool
    at: datetime


class StoredPayPalMovement(msgspec.Struct, frozen=True):
    """An authorization, capture or refund. `response_code`: the issuer's, as PayPal writes it.

    `pending`: why PayPal has not decided it yet; then it has no ledger row, and `reference` and `parent_id` are
    for the one it gets.
    """

    id: str
    money: Money
    at: datetime
    custom_id: str = ""
    invoice_id: str = ""
    response_code: str = APPROVED_CODE
    final: bool = False
    pending: str = ""
    reference: str = ""
    parent_id: int | None = None

    def good(self) -> bool:
        """Whether the issuer approved it."""
        return self.response_code == APPROVED_CODE


def new_paypal_id() -> str:
    """17 letters and digits, as PayPal's ids; never all digits, so it cannot pass for a card number."""
    return secrets.choice(LETTERS) + "".join(secrets.choice(CHARACTERS) for _ in range(16))


def order_body(order: StoredPayPalOrder, base: str, payments: Json) -> Json:
    """An order; `base` is the twin's address, `payments` its authorizations, captures and refunds."""
    unit: Json = {"reference_id": order.reference_id, "amount": amount(order.money)}
    unit |= {"custom_id": order.custom_id} if order.custom_id else {}
    unit |= {"description": order.description} if order.description else {}
    unit |= {"payments": payments} if payments else {}
    return {
        "id": order.id,
        "intent": order.intent,
        "status": order.status,
        "purchase_units": [unit],
        "create_time": time_text(order.at),
        "links": _order_links(order, base),
    }


def _order_links(order: StoredPayPalOrder, base: str) -> list[Json]:
    links = [link(f"{base}/v2/checkout/orders/{order.id}", "self", "GET")]
    if order.status in ("CREATED", "PAYER_ACTION_REQUIRED"):
        rel = "payer-action" if order.wallet else "approve"
        links.append(link(f"{base}/checkoutnow?token={order.id}", rel, "GET"))
    if order.status == "APPROVED":
        verb = order.intent.lower()
        links.append(link(f"{base}/v2/checkout/orders/{order.id}/{verb}", verb, "POST"))
    return links


def movement_body(movement: StoredPayPalMovement, status: str, links: Sequence[Json]) -> Json:
    """An authorization, capture or refund."""
    body: Json = {
        "id": movement.id,
        "status": status,
        "amount": amount(movement.money),
        "create_time": time_text(movement.at),
        "update_time": time_text(movement.at),
        "links": list(links),
    }
    body |= {"custom_id": movement.custom_id} if movement.custom_id else {}
    body |= {"status_details": {"reason": movement.pending}} if movement.pending else {}
    return body | ({"invoice_id": movement.invoice_id} if movement.invoice_id else {})


def amount(money: Money) -> Json:
    """An amount as PayPal writes it."""
    places = 0 if money.currency in WITHOUT_DECIMALS else 2
    return {"currency_code": money.currency, "value": money.decimal(places)}


def link(href: str, rel: str, method: str) -> Json:
    """One of `links`, a possible next step."""
    return {"href": href, "rel": rel, "method": method}


def time_text(moment: datetime) -> str:
    """A time as PayPal writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def refusal(status: int, issue: str, description: str = "", field: str = "") -> TwinRefusal:
    """An error in PayPal's format: nothing was applied."""
    name, message = NAMES[status]
    detail = {"issue": issue, "description": description or issue}
    detail |= {"field": field, "location": "body"} if field else {}
    body = {"name": name, "message": message, "debug_id": secrets.token_hex(7), "details": [detail], "links": []}
    return TwinRefusal(json_reply(status, body))
