"""Visa over Visa Acceptance's (CyberSource's) REST wire.

https://developer.cybersource.com/api-reference-assets/index.html (payments, captures, refunds, reversals, voids)
https://developer.cybersource.com/docs/cybs/en-us/payments/developer/ctv/rest/payments.html (time-out reversals)
https://developer.visaacceptance.com/content/dam/cybsdeveloper2021/responsecode.json (statuses and reasons)

Our attempt id is `clientReferenceInformation.code`, our request id `clientReferenceInformation.transactionId`: by
the latter a call is looked up and reversed without CyberSource's own id. A decline comes as HTTP 201, too.
"""

from email.utils import formatdate
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from connectors.processors.contract import Answer, Capabilities, Charge, FollowUp, Query
from connectors.processors.http_signature import Signer
from connectors.processors.response_checks import answer_to, finding_of, same, same_money
from connectors.processors.transport import HttpReply, HttpRequest, Transport
from connectors.processors.visa_search import build_search, parse_reversal_search, parse_search
from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.states import DeclineCode

# `errorInformation.reason` of a 201 or `reason` of a 400 -> ours; any other reason of a decline is a generic one.
DECLINES: dict[str, DeclineCode] = {
    "AVS_FAILED": "incorrect_address",
    "BLACKLISTED_CUSTOMER": "suspected_fraud",
    "CONSUMER_AUTHENTICATION_FAILED": "authentication_required",
    "CONSUMER_AUTHENTICATION_REQUIRED": "authentication_required",
    "CONTACT_PROCESSOR": "call_issuer",
    "CVN_NOT_MATCH": "incorrect_cvc",
    "CV_FAILED": "incorrect_cvc",
    "DECISION_PROFILE_REJECT": "suspected_fraud",
    "DECISION_PROFILE_REVIEW": "suspected_fraud",
    "EXCEEDS_CREDIT_LIMIT": "limit_exceeded",
    "EXPIRED_CARD": "expired_card",
    "INSUFFICIENT_FUND": "insufficient_funds",
    "INVALID_ACCOUNT": "invalid_account",
    "INVALID_CARD": "invalid_account",
    "INVALID_CVN": "incorrect_cvc",
    "ISSUER_UNAVAILABLE": "issuer_unavailable",
    "PENDING_AUTHENTICATION": "authentication_required",
    "SCORE_EXCEEDS_THRESHOLD": "suspected_fraud",
    "STOLEN_LOST_CARD": "lost_or_stolen",
    "SUSPENDED_ACCOUNT": "invalid_account",
    "UNAUTHORIZED_CARD": "invalid_account",
}
APPROVED = {"AUTHORIZED"}
DECLINED = {"DECLINED", "PENDING_AUTHENTICATION"}
# Nobody said no: the processor itself could not take it, and another one may.
TECHNICAL = {"PROCESSOR_ERROR"}
# The bank approved and CyberSource's own checks did not, or it approved less: money is reserved until a reversal.
APPROVED_BY_THE_BANK = {"AUTHORIZED_PENDING_REVIEW", "AUTHORIZED_RISK_DECLINED", "PARTIAL_AUTHORIZED"}
TAKEN = {"PENDING", "TRANSMITTED"}  # captures and refunds: out with the next batch, or out already
TAKEN_BACK = {"REVERSED", "VOIDED", "CANCELLED"}
# Our request id was used before: what became of that call is not said.
IN_DOUBT = {"DUPLICATE_REQUEST"}


class Sum(msgspec.Struct, rename="camel"):
    """An amount; each kind of answer has its own name for the number."""

    total_amount: str | None = None
    authorized_amount: str | None = None
    refund_amount: str | None = None
    currency: str | None = None


class Order(msgspec.Struct, rename="camel"):
    """`orderInformation`."""

    amount_details: Sum = msgspec.field(default_factory=Sum)


class Client(msgspec.Struct, rename="camel"):
    """`clientReferenceInformation`."""

    code: str | None = None


class Fault(msgspec.Struct):
    """`errorInformation`."""

    reason: str = ""
    message: str = ""


class Said(msgspec.Struct, rename="camel"):
    """What any call to `/pts/v2` is answered with; `reason` and `message` stand here in a 400."""

    id: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    client_reference_information: Client = msgspec.field(default_factory=Client)
    error_information: Fault = msgspec.field(default_factory=Fault)
    order_information: Order = msgspec.field(default_factory=Order)
    refund_amount_details: Sum = msgspec.field(default_factory=Sum)

    def why(self) -> str:
        """The reason, wherever it stands."""
        return self.error_information.reason or self.reason

    def detail(self) -> str:
        """One line for operators."""
        return " ".join(filter(None, (self.status, self.why(), self.error_information.message or self.message)))


def build_payment(charge: Charge, *, capture: bool) -> dict[str, Any]:
    """The body of `POST /pts/v2/payments`. `charge.card` must be there."""
    assert charge.card
    card = {
        "number": charge.card.number,
        "expirationMonth": f"{charge.card.exp_month:02}",
        "expirationYear": f"{charge.card.exp_year}",
    }
    if charge.card.cvc:
        card["securityCode"] = charge.card.cvc
    return {
        "clientReferenceInformation": _client(charge.reference, charge.request_id),
        "processingInformation": {"commerceIndicator": "internet", "capture": capture},
        "paymentInformation": {"card": card},
        "orderInformation": {"amountDetails": _sum(charge.amount)},
    }


def build_capture(call: FollowUp) -> dict[str, Any]:
    """The body of a capture and of a refund."""
    return {
        "clientReferenceInformation": _client(call.reference, call.request_id),
        "orderInformation": {"amountDetails": _sum(call.amount)},
    }


def build_void(call: FollowUp) -> dict[str, Any]:
    """The body of the void of a sale and of the reversal of an authorization."""
    body: dict[str, Any] = {"clientReferenceInformation": _client(call.reference, call.request_id)}
    if not call.parent_is_sale:
        body["reversalInformation"] = {"amountDetails": _sum(call.amount), "reason": "void"}
    return body


def build_timeout_void(query: Query) -> dict[str, Any]:
    """The body of a time-out void: the transaction id is the one of the call to take back."""
    return {"clientReferenceInformation": _client(query.reference, query.request_id)}


def build_timeout_reversal(query: Query) -> dict[str, Any]:
    """The body of a time-out reversal."""
    reversal = {"amountDetails": _sum(query.amount), "reason": "timeout"}
    return build_timeout_void(query) | {"reversalInformation": reversal}


def _client(reference: str, request_id: str) -> dict[str, str]:
    return {"code": reference, "transactionId": request_id}


def _sum(money: Money) -> dict[str, str]:
    return {"totalAmount": money.decimal(), "currency": money.currency}


def parse_payment(charge: Charge, reply: HttpReply) -> Answer:
    """What `POST /pts/v2/payments` said. Raises `Mismatch` and what cannot be read."""
    said = msgspec.json.decode(reply.body, type=Said)
    if reply.status != 201 or said.status not in APPROVED | DECLINED | APPROVED_BY_THE_BANK:
        return _refusal(reply, said)
    same("clientReferenceInformation.code", said.client_reference_information.code, charge.reference)
    if said.status in APPROVED:
        paid = said.order_information.amount_details
        return _success(said, paid.authorized_amount or paid.total_amount, paid.currency, charge.amount)
    if said.status == "DECLINED" and said.why() in TECHNICAL:
        return Answer("failed", detail=said.detail())
    reserved = said.status in APPROVED_BY_THE_BANK
    partial_only = said.status == "PARTIAL_AUTHORIZED"
    code = "insufficient_funds" if partial_only else DECLINES.get(said.why(), "generic_decline")
    return Answer("declined", said.id or None, code, said.detail(), must_reverse=reserved)


def parse_taken(call: FollowUp, reply: HttpReply) -> Answer:
    """What a capture or a refund said. Raises `Mismatch` and what cannot be read."""
    said = msgspec.json.decode(reply.body, type=Said)
    if reply.status == 201 and said.status == "DECLINED":
        return Answer("declined", None, DECLINES.get(said.why(), "generic_decline"), said.detail())
    if reply.status != 201 or said.status not in TAKEN:
        return _refusal(reply, said)
    same("clientReferenceInformation.code", said.client_reference_information.code, call.reference)
    taken, refund = said.order_information.amount_details, said.refund_amount_details
    currency = refund.currency or taken.currency
    return _success(said, refund.refund_amount or taken.total_amount, currency, call.amount)


def parse_taken_back(call: FollowUp | Query, reply: HttpReply) -> Answer:
    """What a void or a reversal said; what is released already is released. Raises what cannot be read.

    It has no amount to compare: it takes back the whole of a call, and not every processor says how much.
    """
    said = msgspec.json.decode(reply.body, type=Said)
    if reply.status == 400 and said.why() == "AUTH_ALREADY_REVERSED":
        return Answer("succeeded", said.id or None, detail=said.detail(), amount=call.amount)
    if reply.status != 201 or said.status not in TAKEN_BACK:
        return _refusal(reply, said)
    same("clientReferenceInformation.code", said.client_reference_information.code, call.reference)
    return Answer("succeeded", said.id or None, amount=call.amount)


def _success(said: Said, told: str | None, currency: str | None, asked: Money) -> Answer:
    same_money(told, currency and currency.upper(), asked)
    if not said.id:
        raise ValueError("no id")
    return Answer("succeeded", said.id, amount=asked)


def _refusal(reply: HttpReply, said: Said) -> Answer:
    """`failed` for an explicit no, `unknown` for anything else."""
    if reply.status in (401, 403, 404, 429):
        return Answer("failed", detail=f"HTTP {reply.status} {said.detail()}")
    refused = reply.status in (201, 400) and said.status in ("INVALID_REQUEST", "FAILED")
    if not refused or said.why() in IN_DOUBT:
        return Answer("unknown", detail=f"HTTP {reply.status} {said.detail()}")
    if said.why() in DECLINES:
        return Answer("declined", None, DECLINES[said.why()], said.detail())
    return Answer("failed", detail=said.detail())


class Visa:
    """The `Processor` of Visa. A second capture, void or refund under one id would be a second one."""

    name: ProcessorName = "visa"
    capabilities = Capabilities(
        methods=frozenset({"card"}), brands=frozenset({"visa"}), deduplicates=False, payer_approves=False
    )

    def __init__(self, transport: Transport, signer: Signer) -> None:
        self._transport = transport
        self._signer = signer

    async def authorize(self, charge: Charge, *, capture: bool) -> Answer:
        """See `Processor`."""
        request = self._post("/pts/v2/payments", charge.request_id, build_payment(charge, capture=capture))
        return await answer_to(self._transport.send(request), partial(parse_payment, charge))

    async def capture(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        request = self._post(
            f"/pts/v2/payments/{quote(call.parent_reference, '')}/captures", call.request_id, build_capture(call)
        )
        return await answer_to(self._transport.send(request), partial(parse_taken, call))

    async def void(self, call: FollowUp) -> Answer:
        """See `Processor`. A sale is voided, an authorization reversed."""
        way = "voids" if call.parent_is_sale else "reversals"
        path = f"/pts/v2/payments/{quote(call.parent_reference, '')}/{way}"
        request = self._post(path, call.request_id, build_void(call))
        return await answer_to(self._transport.send(request), partial(parse_taken_back, call))

    async def refund(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        parent = "payments" if call.parent_is_sale else "captures"
        path = f"/pts/v2/{parent}/{quote(call.parent_reference, '')}/refunds"
        request = self._post(path, call.request_id, build_capture(call))
        return await answer_to(self._transport.send(request), partial(parse_taken, call))

    async def reverse(self, request_id: str, query: Query) -> Answer:
        """See `Processor`. A refusal does not say whether there is nothing to take back: the search does.

        A sale that only the bank approved has no capture to void, but an authorization to reverse.
        """
        until = self._transport.deadline()
        answer = Answer("failed")
        for request in self._reversals(request_id, query):
            answer = await answer_to(self._transport.send(request, until), partial(parse_taken_back, query))
            if answer.result in ("succeeded", "unknown") or not answer.sent:
                return answer
        search = self._post("/tss/v2/searches", request_id, build_search(query))
        found = await finding_of(self._transport.send(search, until), partial(parse_reversal_search, query))
        return answer if found.result == "unknown" else found

    def _reversals(self, request_id: str, query: Query) -> list[HttpRequest]:
        void = self._post("/pts/v2/voids/", request_id, build_timeout_void(query))
        reversal = self._post("/pts/v2/reversals/", request_id, build_timeout_reversal(query))
        return {"authorize": [reversal], "sale": [void, reversal]}.get(query.kind, [void])

    async def lookup(self, query: Query) -> Answer:
        """See `Processor`. A reversal leaves no trace under its own id: it is never found, so send it again."""
        if query.kind == "reversal":
            return Answer("not_found", detail="CyberSource keeps no id of a reversal")
        request = self._post("/tss/v2/searches", query.request_id, build_search(query))
        return await finding_of(self._transport.send(request), partial(parse_search, query))

    async def close(self) -> None:
        """See `Processor`."""
        await self._transport.close()

    def _post(self, path: str, request_id: str, content: dict[str, Any]) -> HttpRequest:
        body = msgspec.json.encode(content)
        headers = self._signer.headers("POST", path, self._transport.host, formatdate(usegmt=True), body)
        # A time-out reversal has no other id of its own: its transaction id is that of the call it takes back.
        headers |= {"Content-Type": "application/json", "v-c-correlation-id": request_id}
        return HttpRequest("POST", path, headers, body)
