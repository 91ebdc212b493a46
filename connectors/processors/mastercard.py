"""Mastercard over the Mastercard Gateway's REST wire.

https://developer.mastercard.com/mastercard-gateway/documentation/api-reference/ (version 100)
https://developer.mastercard.com/mastercard-gateway/documentation/testing/trans-error (result, error.cause)
https://developer.mastercard.com/mastercard-gateway/documentation/testing/response-code/ (response.gatewayCode)
https://developer.mastercard.com/mastercard-gateway/documentation/build/direct-payment/integrate-direct-payment/transaction-operations/
https://developer.mastercard.com/mastercard-gateway/documentation/use-cases/refund-and-fix-payment/

Our attempt id is the order's id, our request id the transaction's: `PUT` on their URL applies a call once, `GET`
reads its result, and the same `PUT` sent again moves nothing twice. A decline is HTTP 201 as well, and is kept.

An authorization is captured up to its amount by one CAPTURE or several; none of them is marked as the last. VOID
takes back a whole transaction, so that nothing releases what captures left of one: it lapses with the hold.
"""

import base64
import re
from decimal import Decimal
from functools import partial
from typing import Any, Literal, assert_never

import msgspec

from connectors.processors.contract import Answer, Capabilities, Charge, FollowUp, Query
from connectors.processors.credentials import send_as
from connectors.processors.response_checks import answer_to, finding_of, same, same_money
from connectors.processors.transport import HttpReply, HttpRequest, Transport
from connectors.secret_files import Secret, text_of
from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.states import DeclineCode

VERSION = 100
JSON = {"Content-Type": "application/json"}
DECIMALS_MAX = 3  # of an amount: "post-decimal limit"

# `response.gatewayCode` of a FAILURE -> ours; any other is a technical refusal.
DECLINES: dict[str, DeclineCode] = {
    "AUTHENTICATION_FAILED": "authentication_required",
    "BLOCKED": "suspected_fraud",
    "DECLINED": "generic_decline",
    "DECLINED_AVS": "incorrect_address",
    "DECLINED_AVS_CSC": "incorrect_cvc",
    "DECLINED_CSC": "incorrect_cvc",
    "DECLINED_DO_NOT_CONTACT": "generic_decline",
    "DECLINED_INVALID_PIN": "generic_decline",
    "DECLINED_PIN_REQUIRED": "authentication_required",
    "EXCEEDED_RETRY_LIMIT": "limit_exceeded",
    "EXPIRED_CARD": "expired_card",
    "INSUFFICIENT_FUNDS": "insufficient_funds",
    "INVALID_CSC": "incorrect_cvc",
    "REFERRED": "call_issuer",
    "TIMED_OUT": "issuer_unavailable",  # "Transaction Declined - No reply from Bank"
}
APPROVED = {"APPROVED", "APPROVED_AUTO", "APPROVED_PENDING_SETTLEMENT"}
REFUSED = {"INVALID_REQUEST", "REQUEST_REJECTED", "SERVER_BUSY"}  # before anything was applied
# The vendor does not promise the text of an error; where it reads otherwise, the outcome stays unknown.
REPEATED = re.compile(r"duplicate|already|(was|been) used|unique", re.IGNORECASE)
TRANSACTION_ID = re.compile(r"transaction[. ]?id", re.IGNORECASE)
NO_SUCH_THING = re.compile(r"unable to find|not found|does not exist|no such", re.IGNORECASE)


class MastercardError(msgspec.Struct):
    """`error`, of result ERROR."""

    cause: str = ""
    explanation: str = ""
    field: str = ""

    def repeats_our_id(self, *, opens_order: bool) -> bool:
        """Whether it refuses a call because its transaction is known, or the order that it would open.

        What became of them it does not say.
        """
        repeated = bool(REPEATED.search(self.explanation))
        of_transaction = bool(TRANSACTION_ID.search(f"{self.field} {self.explanation}"))
        return repeated and (of_transaction or opens_order)


class GatewayResponse(msgspec.Struct, rename="camel"):
    """`response`."""

    gateway_code: str = ""


class MastercardOrder(msgspec.Struct):
    """`order`: its state now."""

    id: str | None = None
    status: str = ""


class MastercardTransaction(msgspec.Struct):
    """`transaction`: this call."""

    id: str | None = None
    amount: Decimal | None = None
    currency: str | None = None


class MastercardResponse(msgspec.Struct):
    """The body of every answer, of an operation and of a `GET`."""

    result: str
    error: MastercardError = msgspec.field(default_factory=MastercardError)
    response: GatewayResponse = msgspec.field(default_factory=GatewayResponse)
    order: MastercardOrder = msgspec.field(default_factory=MastercardOrder)
    transaction: MastercardTransaction = msgspec.field(default_factory=MastercardTransaction)

    def detail(self) -> str:
        """One line for operators."""
        words = (self.result, self.response.gateway_code, self.error.cause, self.error.explanation)
        return " ".join(filter(None, words))


def build_payment(charge: Charge, *, capture: bool) -> dict[str, Any]:
    """The body of AUTHORIZE and PAY. `charge.card` must be there."""
    assert charge.card
    expiry = {"month": f"{charge.card.exp_month:02}", "year": f"{charge.card.exp_year % 100:02}"}
    card: dict[str, Any] = {"number": charge.card.number, "expiry": expiry}
    if charge.card.cvc:
        card["securityCode"] = charge.card.cvc
    return {
        "apiOperation": "PAY" if capture else "AUTHORIZE",
        "order": _sum(charge.amount),
        "sourceOfFunds": {"type": "CARD", "provided": {"card": card}},
    }


def build_taking(operation: Literal["CAPTURE", "REFUND"], amount: Money) -> dict[str, Any]:
    """The body of CAPTURE and REFUND."""
    return {"apiOperation": operation, "transaction": _sum(amount)}


def build_void(target: str) -> dict[str, Any]:
    """The body of VOID; `target` is the request id of the call to take back."""
    return {"apiOperation": "VOID", "transaction": {"targetTransactionId": target}}


def _sum(money: Money) -> dict[str, str]:
    return {"amount": money.decimal(DECIMALS_MAX), "currency": money.currency}


def parse_payment(charge: Charge, reply: HttpReply) -> Answer:
    """The answer of AUTHORIZE or PAY, which open an order. Raises `Mismatch` and `UNREADABLE`."""
    return parse_taking(charge.reference, charge.request_id, charge.amount, reply, opens_order=True)


def parse_taking(
    reference: str, request_id: str, asked: Money, reply: HttpReply, *, opens_order: bool = False
) -> Answer:
    """The answer of AUTHORIZE, PAY, CAPTURE or REFUND. Raises `Mismatch` and `UNREADABLE`."""
    body = msgspec.json.decode(reply.body, type=MastercardResponse)
    if reply.status not in (200, 201) or body.result not in ("SUCCESS", "FAILURE"):
        return _not_taken(body, reply, opens_order=opens_order)
    _same_call(body, reference, request_id)
    if body.result == "FAILURE":
        return _failure(body)
    if body.response.gateway_code == "PARTIALLY_APPROVED":
        return Answer("declined", request_id, "insufficient_funds", body.detail(), must_reverse=True)
    if body.response.gateway_code not in APPROVED:
        return Answer("unknown", detail=body.detail())
    same_money(body.transaction.amount, body.transaction.currency, asked)
    return Answer("succeeded", request_id, amount=asked)


def parse_void(reference: str, request_id: str, asked: Money, reply: HttpReply) -> Answer:
    """The answer of VOID, which takes back the whole of a call. Raises `Mismatch` and `UNREADABLE`."""
    body = msgspec.json.decode(reply.body, type=MastercardResponse)
    if reply.status not in (200, 201) or body.result not in ("SUCCESS", "FAILURE"):
        return _refusal(body, reply)
    _same_call(body, reference, request_id)
    if body.result == "FAILURE":
        return _failure(body)
    done = body.response.gateway_code in APPROVED
    return Answer("succeeded" if done else "unknown", request_id, detail=body.detail(), amount=asked)


def parse_lookup(query: Query, reply: HttpReply) -> Answer:
    """The answer of the call that a `GET` asked for, or `not_found`. Raises `Mismatch` and `UNREADABLE`."""
    if _no_such_call(reply):
        return Answer("not_found")
    if reply.status != 200:
        return Answer("unknown", detail=f"retrieve: HTTP {reply.status}")
    match query.kind:
        case "void" | "reversal":
            return parse_void(query.reference, query.request_id, query.amount, reply)
        case "authorize" | "sale" | "capture" | "refund":
            return parse_taking(query.reference, query.request_id, query.amount, reply)
        case _:
            assert_never(query.kind)


def parse_refused_reversal(query: Query, reply: HttpReply) -> Answer:
    """What a refused reversal means, by a `GET` of the call: `succeeded` before, `not_found`, or `failed`."""
    original = parse_lookup(query, reply)
    if original.result in ("declined", "failed") and not original.must_reverse:
        return Answer("not_found", detail=f"nothing to reverse: {original.result}")
    if original.result in ("not_found", "unknown"):
        return original
    if msgspec.json.decode(reply.body, type=MastercardResponse).order.status == "CANCELLED":
        return Answer("succeeded", query.request_id, amount=query.amount)
    return Answer("failed", detail="reversal refused")


def _same_call(body: MastercardResponse, reference: str, request_id: str) -> None:
    same("order.id", body.order.id, reference)
    same("transaction.id", body.transaction.id, request_id)


def _failure(body: MastercardResponse) -> Answer:
    code = DECLINES.get(body.response.gateway_code)
    return Answer("declined" if code else "failed", body.transaction.id, code, body.detail())


def _refusal(body: MastercardResponse, reply: HttpReply) -> Answer:
    """`failed` for an explicit refusal, `unknown` for PENDING, UNKNOWN, SERVER_FAILED and anything else."""
    refused = body.result == "ERROR" and body.error.cause in REFUSED
    return Answer("failed" if refused else "unknown", detail=f"HTTP {reply.status} {body.detail()}")


def _not_taken(body: MastercardResponse, reply: HttpReply, *, opens_order: bool) -> Answer:
    """As `_refusal`, for a call that may be known already, or that is not decided yet."""
    answer = _refusal(body, reply)
    if body.result == "PENDING":
        return msgspec.structs.replace(
            answer, doubt="pending", pending_reason=body.response.gateway_code or "PENDING"
        )
    if answer.result == "failed" and body.error.repeats_our_id(opens_order=opens_order):
        return msgspec.structs.replace(answer, result="unknown", doubt="duplicate")
    return answer


def _no_such_call(reply: HttpReply) -> bool:
    if reply.status not in (400, 404):
        return False
    body = msgspec.json.decode(reply.body, type=MastercardResponse)
    return body.error.cause == "INVALID_REQUEST" and bool(NO_SUCH_THING.search(body.error.explanation))


class Mastercard:
    """The `Processor` of Mastercard."""

    name: ProcessorName = "mastercard"
    capabilities = Capabilities(
        methods=frozenset({"card"}),
        brands=frozenset({"mastercard"}),
        deduplicates=True,
        payer_approves=False,
        captures_in_parts=True,
        final_capture_releases=False,
        releases_rest=False,
        decimals_max=DECIMALS_MAX,
    )

    def __init__(self, transport: Transport, merchant: str, password: Secret) -> None:
        self._transport = transport
        self._merchant = f"/api/rest/version/{VERSION}/merchant/{merchant}"
        self._user = f"merchant.{merchant}"
        self._password = password

    async def authorize(self, charge: Charge, *, capture: bool) -> Answer:
        """See `Processor`."""
        request = self._put(charge.reference, charge.request_id, build_payment(charge, capture=capture))
        return await answer_to(self._send(request), partial(parse_payment, charge))

    async def capture(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        return await self._take("CAPTURE", call)

    async def refund(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        return await self._take("REFUND", call)

    async def _take(self, operation: Literal["CAPTURE", "REFUND"], call: FollowUp) -> Answer:
        request = self._put(call.reference, call.request_id, build_taking(operation, call.amount))
        parse = partial(parse_taking, call.reference, call.request_id, call.amount)
        return await answer_to(self._send(request), parse)

    async def void(self, call: FollowUp) -> Answer:
        """See `Processor`. Of what captures left nothing is sent: there is no such call.

        A refusal does not tell whether it was voided before: a `GET` does.
        """
        if call.rest:
            detail = "nothing sent: what captures left of a hold lapses with it"
            return Answer("succeeded", detail=detail, amount=call.amount)
        until = self._transport.deadline()
        request = self._put(call.reference, call.request_id, build_void(call.parent_request_id))
        parse = partial(parse_void, call.reference, call.request_id, call.amount)
        answer = await answer_to(self._send(request, until), parse)
        if answer.result != "failed" or not answer.sent:
            return answer
        target = Query(call.parent_request_id, call.reference, "authorize", call.amount)
        retrieve = self._get(target.reference, target.request_id)
        found = await finding_of(self._send(retrieve, until), partial(parse_refused_reversal, target))
        return found if found.result == "succeeded" else answer

    async def reverse(self, request_id: str, query: Query) -> Answer:
        """See `Processor`. A refusal does not tell whether there is nothing to take back: a `GET` does."""
        until = self._transport.deadline()
        void = self._put(query.reference, request_id, build_void(query.request_id))
        parse = partial(parse_void, query.reference, request_id, query.amount)
        answer = await answer_to(self._send(void, until), parse)
        if answer.result in ("succeeded", "unknown") or not answer.sent:
            return answer
        retrieve = self._get(query.reference, query.request_id)
        found = await finding_of(self._send(retrieve, until), partial(parse_refused_reversal, query))
        return answer if found.result == "unknown" else found

    async def lookup(self, query: Query) -> Answer:
        """See `Processor`."""
        request = self._get(query.reference, query.request_id)
        return await finding_of(self._send(request), partial(parse_lookup, query))

    async def taken_back(self, query: Query) -> Answer:
        """See `Processor`."""
        request = self._get(query.reference, query.request_id)
        return await finding_of(self._send(request), partial(parse_refused_reversal, query))

    async def close(self) -> None:
        """See `Processor`."""
        await self._transport.close()

    def _put(self, reference: str, request_id: str, content: dict[str, Any]) -> HttpRequest:
        return HttpRequest("PUT", self._path(reference, request_id), JSON, msgspec.json.encode(content))

    def _get(self, reference: str, request_id: str) -> HttpRequest:
        return HttpRequest("GET", self._path(reference, request_id), JSON)

    async def _send(self, request: HttpRequest, until: float | None = None) -> HttpReply:
        return await send_as(
            self._transport, partial(text_of, self._password), partial(self._as_user, request), until
        )

    def _as_user(self, request: HttpRequest, password: str) -> HttpRequest:
        basic = base64.b64encode(f"{self._user}:{password}".encode()).decode()
        return msgspec.structs.replace(request, headers=request.headers | {"Authorization": f"Basic {basic}"})

    def _path(self, reference: str, request_id: str) -> str:
        return f"{self._merchant}/order/{reference}/transaction/{request_id}"
