"""PayPal over its Orders v2 and Payments v2 wire.

https://developer.paypal.com/docs/api/orders/v2/ and https://developer.paypal.com/docs/api/payments/v2/
https://developer.paypal.com/reference/guidelines/idempotency/ (`PayPal-Request-Id`)
https://developer.paypal.com/api/rest/reference/orders/v2/errors/ (`issue`)
https://github.com/paypal/paypal-rest-api-specifications (payments_payment_v2.json: `final_capture`, issues)
https://developer.paypal.com/beta/payments/void-authorization (a void after a capture that was not final)

An order is created with intent AUTHORIZE and approved by its payer on PayPal's page; then it is authorized, and
the authorization captured, at once or in parts. The final capture releases what is left; before it, a void does.
Our attempt id is `custom_id`. Our request id is sent as `PayPal-Request-Id`, under which a call is applied once,
and as `invoice_id` of captures and refunds, which finds them in the order.
An order can be COMPLETED (HTTP 201) while its authorization is DENIED; captures and refunds can fail with a 201.
"""

from functools import partial
from typing import Any, Literal, assert_never
from urllib.parse import quote

import msgspec

from connectors.processors.access_token import AccessToken
from connectors.processors.contract import Answer, Capabilities, Charge, FollowUp, Query
from connectors.processors.paypal_objects import (
    CURRENCIES,
    DECIMALS_MAX,
    WHOLE_UNITS,
    PaymentCollection,
    PayPalAmount,
    PayPalError,
    PayPalOrder,
    PayPalRecord,
    written,
)
from connectors.processors.response_checks import UNREADABLE, answer_to, finding_of, same, same_money
from connectors.processors.transport import HttpReply, HttpRequest, Silence, Transport
from schemas.money import Money, from_decimal
from schemas.payments import ProcessorName
from schemas.states import DeclineCode

# `issue` of an error, or `processor_response.response_code` of a denied record -> ours.
DECLINES: dict[str, DeclineCode] = {
    "CARD_EXPIRED": "expired_card",
    "INSTRUMENT_DECLINED": "generic_decline",
    "PAYEE_BLOCKED_TRANSACTION": "suspected_fraud",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED": "invalid_account",
    "PAYER_ACCOUNT_RESTRICTED": "invalid_account",
    "PAYER_ACTION_REQUIRED": "authentication_required",
    "PAYER_CANNOT_PAY": "generic_decline",
    "TRANSACTION_LIMIT_EXCEEDED": "limit_exceeded",
    "TRANSACTION_REFUSED": "generic_decline",
    "00N7": "incorrect_cvc",
    "1330": "invalid_account",
    "5120": "insufficient_funds",
    "5140": "invalid_account",
    "5180": "invalid_account",
    "5400": "expired_card",
    "9500": "suspected_fraud",
    "9520": "lost_or_stolen",
    "9540": "generic_decline",
}
# An earlier call may have been applied: only a look-up can tell.
DUPLICATE = {"DUPLICATE_INVOICE_ID", "DUPLICATE_REQUEST_ID"}
DUPLICATE |= {"ORDER_ALREADY_AUTHORIZED", "ORDER_ALREADY_CAPTURED", "ORDER_COMPLETED_OR_VOIDED"}
# The last three: captured since, wholly or in part, or voided, wholly or what a part left.
AUTHORIZED = {"CREATED", "CAPTURED", "PARTIALLY_CAPTURED", "VOIDED"}
CAPTURED = {"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"}
DENIED = {"DENIED", "DECLINED"}
FAILED = {"FAILED", "CANCELLED"}
LAPSED = {"VOIDED", "EXPIRED"}
WAITING = {"CREATED", "SAVED", "PAYER_ACTION_REQUIRED"}
APPROVED = {"APPROVED", "COMPLETED"}


def build_order(charge: Charge, return_url: str, cancel_url: str) -> dict[str, Any]:
    """The body of `POST /v2/checkout/orders`."""
    experience = {
        "return_url": return_url,
        "cancel_url": cancel_url,
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
    }
    unit = {"reference_id": charge.reference, "custom_id": charge.reference, "amount": written(charge.amount)}
    return {
        "intent": "AUTHORIZE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": experience}},
    }


def build_capture(call: FollowUp) -> dict[str, Any]:
    """The body of a capture. After the final one of an authorization PayPal releases the rest."""
    return {"amount": written(call.amount), "invoice_id": call.request_id, "final_capture": call.final}


def build_refund(call: FollowUp) -> dict[str, Any]:
    """The body of a refund."""
    return {"amount": written(call.amount), "invoice_id": call.request_id}


def parse_created(charge: Charge, reply: HttpReply) -> Answer:
    """The answer of creating an order: its id and the page for its payer. Raises `UNREADABLE`."""
    if reply.status not in (200, 201):
        return _refusal(reply)
    order = msgspec.json.decode(reply.body, type=PayPalOrder)
    pages = [link.href for link in order.links if link.rel in ("payer-action", "approve")]
    if order.status not in WAITING or not pages or not pages[0].startswith(("https://", "http://")):
        return Answer("unknown", detail=f"order {order.status} without a page for the payer")
    return Answer("succeeded", order.id, amount=charge.amount, redirect_url=pages[0])


def parse_order(order_id: str, reply: HttpReply) -> Answer:
    """Whether the payer approved the order; `not_found`: not yet. Raises `Mismatch` and `UNREADABLE`."""
    if reply.status == 404:
        return Answer("failed", detail="PayPal knows no such order any more")
    if reply.status != 200:
        return Answer("unknown", detail=f"order: HTTP {reply.status}")
    order = msgspec.json.decode(reply.body, type=PayPalOrder)
    same("order", order.id, order_id)
    if order.status == "VOIDED":
        return Answer("failed", order_id, detail="order VOIDED")
    if order.status not in APPROVED:
        waits = order.status in WAITING
        return Answer("not_found" if waits else "unknown", order_id, detail=f"order {order.status}")
    total = order.purchase_units[0].amount
    amount = from_decimal(total.value, total.currency_code) if total else None
    return Answer("succeeded", order_id, amount=amount)


def parse_authorized(charge: Charge, reply: HttpReply) -> Answer:
    """The answer of authorizing an order. Raises `Mismatch` and `UNREADABLE`."""
    if reply.status not in (200, 201):
        return _refusal(reply)
    made = _payments(msgspec.json.decode(reply.body, type=PayPalOrder), charge.order_reference).authorizations
    if not made:
        return Answer("unknown", detail="no authorization in the order")
    return _outcome(made[0], AUTHORIZED, charge.amount, charge.reference)


def parse_captured(call: FollowUp, reply: HttpReply) -> Answer:
    """The answer of a capture. Raises `Mismatch` and `UNREADABLE`."""
    if reply.status not in (200, 201):
        return _refusal(reply)
    return _outcome(msgspec.json.decode(reply.body, type=PayPalRecord), CAPTURED, call.amount, call.reference)


def parse_refunded(call: FollowUp, reply: HttpReply) -> Answer:
    """The answer of a refund. Raises `Mismatch` and `UNREADABLE`."""
    if reply.status not in (200, 201):
        return _refusal(reply)
    return _outcome(msgspec.json.decode(reply.body, type=PayPalRecord), {"COMPLETED"}, call.amount, call.reference)


def parse_voided(authorization: str, amount: Money, reply: HttpReply) -> Answer:
    """The answer of a void; one that was applied before is `succeeded`. Raises `Mismatch` and `UNREADABLE`.

    `amount` is what it releases. PayPal shows the amount of the whole authorization, captured in part or not.
    """
    if reply.status == 204:
        return Answer("succeeded", authorization, amount=amount)
    if reply.status == 200:
        voided = msgspec.json.decode(reply.body, type=PayPalRecord)
        same("authorization", voided.id, authorization)
        return Answer("succeeded" if voided.status == "VOIDED" else "unknown", authorization, amount=amount)
    refusal = _refusal(reply)
    return Answer("succeeded", authorization, amount=amount) if "PREVIOUSLY_VOIDED" in refusal.detail else refusal


def parse_order_id(reply: HttpReply) -> str:
    """The id of the order that an authorization or a capture belongs to. Raises `Silence` where it has none."""
    try:
        order_id = msgspec.json.decode(reply.body, type=PayPalRecord).supplementary_data.related_ids.order_id
    except UNREADABLE:
        order_id = ""
    if not order_id:
        raise Silence("it does not say of which order it is")
    return order_id


def parse_lookup(query: Query, reply: HttpReply) -> Answer:
    """The answer of the call of `query`, as its order shows it. Raises `Mismatch` and `UNREADABLE`."""
    if reply.status == 404:
        return Answer("not_found")
    if reply.status != 200:
        return Answer("unknown", detail=f"order: HTTP {reply.status}")
    done = _payments(msgspec.json.decode(reply.body, type=PayPalOrder), query.order_reference)
    match query.kind:
        case "void" | "reversal":
            return _voided(query, done.authorizations)
        case "authorize":
            return _first(done.authorizations, AUTHORIZED, query)
        case "capture":
            return _first(_sent_under(query.request_id, done.captures), CAPTURED, query)
        case "refund":
            return _first(_sent_under(query.request_id, done.refunds), {"COMPLETED"}, query)
        case "sale":
            raise ValueError("an order is authorized, then captured")
        case _:
            assert_never(query.kind)


def _sent_under(request_id: str, records: list[PayPalRecord]) -> list[PayPalRecord]:
    return [record for record in records if record.invoice_id == request_id]


def _first(records: list[PayPalRecord], good: set[str], query: Query) -> Answer:
    return _outcome(records[0], good, query.amount, query.reference) if records else Answer("not_found")


def _voided(query: Query, authorizations: list[PayPalRecord]) -> Answer:
    if any(authorization.status == "VOIDED" for authorization in authorizations):
        return Answer("succeeded", authorizations[0].id, amount=query.amount)
    return Answer("not_found")


def parse_taken_back(query: Query, reply: HttpReply) -> Answer:
    """What became of the authorization of `query`, as its order shows it. Raises `Mismatch` and `UNREADABLE`."""
    if reply.status != 200:
        return Answer("not_found" if reply.status == 404 else "unknown", detail=f"order: HTTP {reply.status}")
    made = _payments(msgspec.json.decode(reply.body, type=PayPalOrder), query.order_reference).authorizations
    if not made or made[0].status in DENIED:
        return Answer("not_found", detail="nothing was authorized")
    gone = made[0].status in LAPSED
    return Answer("succeeded" if gone else "failed", made[0].id, detail=made[0].status, amount=query.amount)


def _payments(order: PayPalOrder, order_id: str | None) -> PaymentCollection:
    if order_id is not None:
        same("order", order.id, order_id)
    return order.purchase_units[0].payments if order.purchase_units else PaymentCollection()


def _outcome(record: PayPalRecord, good: set[str], asked: Money, reference: str) -> Answer:
    if record.custom_id is not None:
        same("custom_id", record.custom_id, reference)
    code = record.processor_response.response_code
    detail = f"{record.status} {code}".strip()
    if record.status in DENIED:
        return Answer("declined", record.id, DECLINES.get(code, "generic_decline"), detail)
    if record.status in FAILED:
        return Answer("failed", record.id, detail=detail)
    if record.status == "PENDING":  # for days: an eCheck, a review by PayPal
        why = record.status_details.reason or record.status
        return Answer("unknown", record.id, detail=f"{detail} {why}", doubt="pending", pending_reason=why)
    if record.status not in good:
        return Answer("unknown", record.id, detail=detail)
    told = record.amount or PayPalAmount("", "")
    same_money(told.value, told.currency_code, asked)
    return Answer("succeeded", record.id, amount=asked)


def _refusal(reply: HttpReply) -> Answer:
    """`declined` or `failed` for an explicit refusal, `unknown` for 409, 5xx and what may have been applied."""
    error = msgspec.json.decode(reply.body, type=PayPalError)
    issues = {detail.issue for detail in error.details}
    detail = f"HTTP {reply.status} {error.name} {' '.join(sorted(issues))}".strip()
    if (issues | {error.name}) & DUPLICATE:
        return Answer("unknown", detail=detail, doubt="duplicate")
    if reply.status not in (400, 401, 403, 404, 422, 429):
        return Answer("unknown", detail=detail)
    code = next((DECLINES[issue] for issue in sorted(issues) if issue in DECLINES), None)
    return Answer("declined" if code else "failed", None, code, detail)


class PayPal:
    """The `RedirectProcessor` of PayPal."""

    name: ProcessorName = "paypal"
    capabilities = Capabilities(
        methods=frozenset({"paypal"}),
        brands=frozenset(),
        deduplicates=True,
        payer_approves=True,
        captures_in_parts=True,
        final_capture_releases=True,
        releases_rest=True,
        currencies=CURRENCIES,
        decimals_max=DECIMALS_MAX,
        whole_units=WHOLE_UNITS,
    )

    def __init__(self, transport: Transport, token: AccessToken) -> None:
        self._transport = transport
        self._token = token

    async def create_order(self, charge: Charge, return_url: str, cancel_url: str) -> Answer:
        """See `RedirectProcessor`."""
        reply = self._post("/v2/checkout/orders", charge.request_id, build_order(charge, return_url, cancel_url))
        return await answer_to(reply, partial(parse_created, charge))

    async def order_status(self, order_reference: str) -> Answer:
        """See `RedirectProcessor`."""
        return await finding_of(self._get_order(order_reference), partial(parse_order, order_reference))

    async def authorize(self, charge: Charge, *, capture: bool) -> Answer:
        """See `Processor`. Raises `ValueError` without an order, and for a capture in the same call."""
        if capture or not charge.order_reference:
            raise ValueError("an approved order is authorized, then captured")
        path = f"/v2/checkout/orders/{quote(charge.order_reference, '')}/authorize"
        return await answer_to(self._post(path, charge.request_id, {}), partial(parse_authorized, charge))

    async def capture(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        path = f"/v2/payments/authorizations/{quote(call.parent_reference, '')}/capture"
        return await answer_to(
            self._post(path, call.request_id, build_capture(call)), partial(parse_captured, call)
        )

    async def void(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        return await self._void(call.request_id, call.parent_reference, call.amount, self._transport.deadline())

    async def refund(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        return await self._refund(call, self._transport.deadline())

    async def reverse(self, request_id: str, query: Query) -> Answer:
        """See `Processor`. PayPal has no reversal: an authorization found is voided, a capture found refunded."""
        match query.kind:
            case "authorize" | "capture":
                return await self._reverse(request_id, query, query.kind)
            case "sale" | "void" | "refund" | "reversal":
                return Answer("failed", detail=f"PayPal takes back no {query.kind}")
            case _:
                assert_never(query.kind)

    async def _reverse(self, request_id: str, query: Query, kind: Literal["authorize", "capture"]) -> Answer:
        until = self._transport.deadline()
        found = await self._lookup(query, until)
        if found.result != "succeeded" or not found.processor_reference:
            return found if found.result == "unknown" else Answer("not_found", detail=found.detail)
        if kind == "authorize":
            return await self._void(request_id, found.processor_reference, query.amount, until)
        call = FollowUp(request_id, query.reference, query.amount, found.processor_reference, query.request_id)
        return await self._refund(call, until)

    async def lookup(self, query: Query) -> Answer:
        """See `Processor`."""
        return await self._lookup(query, self._transport.deadline())

    async def taken_back(self, query: Query) -> Answer:
        """See `Processor`."""
        record = self._record_of(query, self._transport.deadline())
        return await finding_of(record, partial(parse_taken_back, query))

    async def close(self) -> None:
        """See `Processor`."""
        await self._transport.close()

    async def _void(self, request_id: str, authorization: str, amount: Money, until: float) -> Answer:
        reply = self._post(f"/v2/payments/authorizations/{quote(authorization, '')}/void", request_id, {}, until)
        return await answer_to(reply, partial(parse_voided, authorization, amount))

    async def _refund(self, call: FollowUp, until: float) -> Answer:
        path = f"/v2/payments/captures/{quote(call.parent_reference, '')}/refund"
        return await answer_to(
            self._post(path, call.request_id, build_refund(call), until), partial(parse_refunded, call)
        )

    async def _lookup(self, query: Query, until: float) -> Answer:
        return await finding_of(self._record_of(query, until), partial(parse_lookup, query))

    async def _record_of(self, query: Query, until: float) -> HttpReply:
        """The order of a call; where its id is not known, it is read from the call's parent. Raises `Silence`."""
        if query.order_reference:
            return await self._get_order(query.order_reference, until)
        if not query.parent_reference:
            raise Silence("no order to look in")
        followed = "captures" if query.kind == "refund" else "authorizations"
        path = f"/v2/payments/{followed}/{quote(query.parent_reference, '')}"
        reply = await self._send(HttpRequest("GET", path, {}), until)
        return reply if reply.status != 200 else await self._get_order(parse_order_id(reply), until)

    async def _get_order(self, order_id: str, until: float | None = None) -> HttpReply:
        return await self._send(HttpRequest("GET", f"/v2/checkout/orders/{quote(order_id, '')}", {}), until)

    async def _post(
        self, path: str, request_id: str, content: dict[str, Any], until: float | None = None
    ) -> HttpReply:
        headers = {
            "Content-Type": "application/json",
            "PayPal-Request-Id": request_id,
            "Prefer": "return=representation",
        }
        return await self._send(HttpRequest("POST", path, headers, msgspec.json.encode(content)), until)

    async def _send(self, request: HttpRequest, until: float | None) -> HttpReply:
        """Send with a bearer token. A token that PayPal refuses is replaced once: a 401 applied nothing."""
        until = until or self._transport.deadline()
        reply = await self._send_as(await self._token.text(until), request, until)
        if reply.status == 401:
            reply = await self._send_as(await self._token.text(until), request, until)
        return reply

    async def _send_as(self, token: str, request: HttpRequest, until: float) -> HttpReply:
        headers = request.headers | {"Authorization": f"Bearer {token}"}
        reply = await self._transport.send(msgspec.structs.replace(request, headers=headers), until)
        if reply.status == 401:
            self._token.forget(token)
        return reply
