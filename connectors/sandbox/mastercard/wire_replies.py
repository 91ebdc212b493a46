"""The bodies the Mastercard Gateway answers with: pure functions."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from connectors.sandbox.http_shapes import TwinRefusal, TwinReply, json_reply
from connectors.sandbox.magic import MagicFollowUp
from connectors.sandbox.mastercard.wire_requests import ApiOperation
from schemas.money import Money, exponent

TYPES: dict[ApiOperation, str] = {
    "AUTHORIZE": "AUTHORIZATION",
    "PAY": "PAYMENT",
    "CAPTURE": "CAPTURE",
    "REFUND": "REFUND",
    "VOID": "VOID_AUTHORIZATION",
}
ACQUIRER = {
    "APPROVED": ("00", "Approved"),
    "DECLINED": ("05", "Do not honor"),
    "DECLINED_CSC": ("N7", "CVV2 failure"),
    "EXPIRED_CARD": ("54", "Expired card"),
    "TIMED_OUT": ("91", "Issuer unavailable"),
}


class StoredMastercardTransaction(msgspec.Struct, frozen=True):
    """What the gateway stores of a call. A repetition must equal its `content`; `target` is what a void names.

    `refused`, of a payment: the later call that the card's issuer refuses.
    """

    order: str
    id: str
    operation: ApiOperation
    result: str
    gateway_code: str
    money: Money
    at: datetime
    content: list[str]
    target: str = ""
    card: str = ""
    csc: str = ""
    refused: MagicFollowUp | None = None


class OrderTotals(msgspec.Struct, frozen=True):
    """The totals of an order, in minor units."""

    money: Money
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    cancelled: bool = False

    def status(self) -> str:
        """The order's status, as the gateway names it."""
        if self.cancelled:
            return "CANCELLED"
        if self.refunded:
            return "REFUNDED" if self.refunded >= self.captured else "PARTIALLY_REFUNDED"
        if self.captured:
            return "CAPTURED" if self.captured >= self.authorized else "PARTIALLY_CAPTURED"
        return "AUTHORIZED" if self.authorized else "FAILED"


def transaction_reply(
    status: int, merchant: str, transaction: StoredMastercardTransaction, totals: OrderTotals
) -> TwinReply:
    """HTTP 201 to an operation, declined ones as well; 200 to a look-up."""
    return json_reply(
        status, transaction_body(merchant, transaction) | {"order": order_body(transaction.order, totals)}
    )


def transaction_body(merchant: str, transaction: StoredMastercardTransaction) -> dict[str, Any]:
    """A transaction, as its own answer and the order's list show it."""
    code, message = ACQUIRER.get(transaction.gateway_code, ("", ""))
    body: dict[str, Any] = {
        "merchant": merchant,
        "result": transaction.result,
        "version": "100",
        "timeOfRecord": _time(transaction.at),
        "gatewayEntryPoint": "WEB_SERVICES_API",
        "response": {"gatewayCode": transaction.gateway_code, "acquirerCode": code, "acquirerMessage": message},
        "transaction": {
            "id": transaction.id,
            "type": TYPES[transaction.operation],
            "amount": decimal(transaction.money.amount, transaction.money.currency),
            "currency": transaction.money.currency,
            "receipt": f"{transaction.at:%y%j%H%M%S}",
            "authorizationCode": f"{transaction.at.microsecond:06d}",
        },
    }
    if transaction.target:
        body["transaction"]["targetTransactionId"] = transaction.target
    if transaction.csc:
        body["response"]["cardSecurityCode"] = {"gatewayCode": transaction.csc}
    if transaction.card:
        body["sourceOfFunds"] = {"type": "CARD", "provided": {"card": {"number": transaction.card}}}
    return body


def order_body(order: str, totals: OrderTotals) -> dict[str, Any]:
    """An order and its totals now."""
    currency = totals.money.currency
    return {
        "id": order,
        "status": totals.status(),
        "amount": decimal(totals.money.amount, currency),
        "currency": currency,
        "totalAuthorizedAmount": decimal(totals.authorized, currency),
        "totalCapturedAmount": decimal(totals.captured, currency),
        "totalRefundedAmount": decimal(totals.refunded, currency),
    }


def order_reply(
    merchant: str, order: str, totals: OrderTotals, transactions: list[StoredMastercardTransaction]
) -> TwinReply:
    """`GET …/order/{orderId}`."""
    listed = [transaction_body(merchant, transaction) for transaction in transactions]
    body = order_body(order, totals) | {"merchant": merchant, "result": "SUCCESS", "transaction": listed}
    return json_reply(200, body)


def refusal(explanation: str, field: str = "", validation: str = "INVALID") -> TwinRefusal:
    """HTTP 400: nothing was applied."""
    error = {"cause": "INVALID_REQUEST", "explanation": explanation}
    if field:
        error |= {"field": field, "validationType": validation}
    return TwinRefusal(json_reply(400, {"error": error, "result": "ERROR"}))


def unauthenticated() -> TwinRefusal:
    """HTTP 401: user or password is wrong."""
    error = {"cause": "INVALID_REQUEST", "explanation": "Invalid credentials."}
    return TwinRefusal(json_reply(401, {"error": error, "result": "ERROR"}))


def decimal(amount: int, currency: str) -> Decimal:
    """Minor units as the JSON number the gateway writes: 10.00, not "10.00"."""
    return Decimal(amount).scaleb(-exponent(currency))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
