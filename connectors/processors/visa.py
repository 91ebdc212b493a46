"""Visa over Visa Acceptance's (CyberSource's) REST wire.

https://developer.cybersource.com/api-reference-assets/index.html (payments, captures, refunds, reversals, voids)
https://developer.cybersource.com/docs/cybs/en-us/payments/developer/ctv/rest/payments.html (time-out reversals)
https://developer.visaacceptance.com/content/dam/cybsdeveloper2021/responsecode.json (statuses and reasons)
https://developer.cybersource.com/docs/cybs/en-us/payments/developer/moneris/rest/payments/payments-processing-basic-intro/payments-processing-capture-multi-intro/payments-processing-capture-multi-reqfields.html

Our attempt id is `clientReferenceInformation.code`, our request id `clientReferenceInformation.transactionId`: by
the latter a call is looked up and reversed without CyberSource's own id. A decline is HTTP 201 as well.

Captures in parts must be enabled for the merchant. CyberSource's word: one without a number is the only one, one
whose number is the count is the last, and a count that is not known yet is one more than the number; 99 at most.
Our assumption: what is left after a capture is released by a reversal of exactly that. CyberSource documents
partial reversals as its own only (before a single capture of less, on some acquirers); where it was first, ours is
AUTH_ALREADY_REVERSED, which is a success.
"""

from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Any, assert_never
from urllib.parse import quote

import msgspec

from connectors.processors.contract import Answer, Capabilities, Charge, FollowUp, Query
from connectors.processors.credentials import send_as
from connectors.processors.http_signature import Signer
from connectors.processors.response_checks import answer_to, finding_of, same, same_money
from connectors.processors.transport import HttpReply, HttpRequest, Transport
from connectors.processors.visa_search import (
    ClientReference,
    build_family_search,
    build_search,
    parse_family_search,
    parse_reversal_search,
    parse_search,
)
from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.states import DeclineCode

# `errorInformation.reason` of a 201 or `reason` of a 400 -> ours; any other reason is `generic_decline`.
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
    "GENERAL_DECLINE": "generic_decline",
    "INSUFFICIENT_FUND": "insufficient_funds",
    "INVALID_ACCOUNT": "invalid_account",
    "INVALID_CARD": "invalid_account",
    "INVALID_CVN": "incorrect_cvc",
    "ISSUER_UNAVAILABLE": "issuer_unavailable",
    "PENDING_AUTHENTICATION": "authentication_required",
    "PROCESSOR_DECLINED": "generic_decline",
    "SCORE_EXCEEDS_THRESHOLD": "suspected_fraud",
    "STOLEN_LOST_CARD": "lost_or_stolen",
    "SUSPENDED_ACCOUNT": "invalid_account",
    "UNAUTHORIZED_CARD": "invalid_account",
}
APPROVED = {"AUTHORIZED"}
DECLINED = {"DECLINED", "PENDING_AUTHENTICATION"}
# No issuer declined: the processor itself could not take it, and another one may.
TECHNICAL = {"PROCESSOR_ERROR"}
# The bank approved and CyberSource's own checks did not, or it approved less: reserved until it is reversed.
APPROVED_BY_THE_BANK = {"AUTHORIZED_PENDING_REVIEW", "AUTHORIZED_RISK_DECLINED", "PARTIAL_AUTHORIZED"}
TAKEN = {"PENDING", "TRANSMITTED"}  # captures and refunds: settled with the next batch, or settled
TAKEN_BACK = {"REVERSED", "VOIDED", "CANCELLED"}
REFUSED = {"INVALID_REQUEST", "FAILED", "DECLINED"}
# Our request id was used before; the answer does not tell what became of that call.
DUPLICATE = {"DUPLICATE_REQUEST"}
# What a repeated transaction id is answered as well, among other things: the field in `details` tells, if any
# does.
PERHAPS_DUPLICATE = {"INVALID_DATA"}
TRANSACTION_ID = "transactionid"
NOT_DECIDED = {"PENDING_REVIEW"}


class VisaAmount(msgspec.Struct, rename="camel"):
    """An amount; each kind of answer names the number in its own way."""

    total_amount: str | None = None
    authorized_amount: str | None = None
    refund_amount: str | None = None
    currency: str | None = None


class VisaOrder(msgspec.Struct, rename="camel"):
    """`orderInformation`."""

    amount_details: VisaAmount = msgspec.field(default_factory=VisaAmount)


class VisaError(msgspec.Struct):
    """`errorInformation`."""

    reason: str = ""
    message: str = ""


class VisaErrorDetail(msgspec.Struct):
    """One of `details`: a field that is wrong."""

    field: str = ""


class CyberSourceResponse(msgspec.Struct, rename="camel"):
    """The body of every answer of `/pts/v2`; a 400 has `reason` and `message` at the top level."""

    id: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    details: list[VisaErrorDetail] = []
    client_reference_information: ClientReference = msgspec.field(default_factory=ClientReference)
    error_information: VisaError = msgspec.field(default_factory=VisaError)
    order_information: VisaOrder = msgspec.field(default_factory=VisaOrder)
    refund_amount_details: VisaAmount = msgspec.field(default_factory=VisaAmount)

    def why(self) -> str:
        """The reason, from `errorInformation` or the top level."""
        return self.error_information.reason or self.reason

    def repeats_our_id(self) -> bool:
        """Whether our transaction id may have been used before: the fields that are wrong may be others alone."""
        if self.why() in DUPLICATE:
            return True
        fields = [detail.field for detail in self.details if detail.field]
        ours = not fields or any(TRANSACTION_ID in field.lower() for field in fields)
        return self.why() in PERHAPS_DUPLICATE and ours

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
    """The body of a capture; where it is not the only one, with its number and how many there are."""
    body = build_refund(call)
    if call.part > 1 or not call.final:
        count = call.part if call.final else call.part + 1
        options = {"captureSequenceNumber": call.part, "totalCaptureCount": count}
        body["processingInformation"] = {"captureOptions": options}
    return body


def build_refund(call: FollowUp) -> dict[str, Any]:
    """The body of a refund."""
    return {
        "clientReferenceInformation": _client(call.reference, call.request_id),
        "orderInformation": {"amountDetails": _sum(call.amount)},
    }


def build_void(call: FollowUp) -> dict[str, Any]:
    """The body of the void of a sale, and of the reversal of an authorization or of what is left of it."""
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
    """The answer of `POST /pts/v2/payments`. Raises `Mismatch` and `UNREADABLE`."""
    body = msgspec.json.decode(reply.body, type=CyberSourceResponse)
    if reply.status != 201 or body.status not in APPROVED | DECLINED | APPROVED_BY_THE_BANK:
        return _refusal(reply, body)
    same("clientReferenceInformation.code", body.client_reference_information.code, charge.reference)
    if body.status in APPROVED:
        paid = body.order_information.amount_details
        return _success(body, paid.authorized_amount or paid.total_amount, paid.currency, charge.amount)
    if body.status == "DECLINED" and body.why() in TECHNICAL:
        return Answer("failed", detail=body.detail())
    reserved = body.status in APPROVED_BY_THE_BANK
    partial_only = body.status == "PARTIAL_AUTHORIZED"
    code = "insufficient_funds" if partial_only else DECLINES.get(body.why(), "generic_decline")
    return Answer("declined", body.id or None, code, body.detail(), must_reverse=reserved)


def parse_taken(call: FollowUp, reply: HttpReply) -> Answer:
    """The answer of a capture or a refund. Raises `Mismatch` and `UNREADABLE`."""
    body = msgspec.json.decode(reply.body, type=CyberSourceResponse)
    if reply.status != 201 or body.status not in TAKEN:
        return _refusal(reply, body)
    same("clientReferenceInformation.code", body.client_reference_information.code, call.reference)
    taken, refund = body.order_information.amount_details, body.refund_amount_details
    currency = refund.currency or taken.currency
    return _success(body, refund.refund_amount or taken.total_amount, currency, call.amount)


def parse_taken_back(call: FollowUp | Query, reply: HttpReply) -> Answer:
    """The answer of a void or a reversal; one that was applied before is `succeeded`. Raises as above.

    No amount is compared: not every acquirer tells how much was taken back.
    """
    body = msgspec.json.decode(reply.body, type=CyberSourceResponse)
    if reply.status == 400 and body.why() == "AUTH_ALREADY_REVERSED":
        return Answer("succeeded", body.id or None, detail=body.detail(), amount=call.amount)
    if reply.status != 201 or body.status not in TAKEN_BACK:
        return _refusal(reply, body)
    same("clientReferenceInformation.code", body.client_reference_information.code, call.reference)
    return Answer("succeeded", body.id or None, amount=call.amount)


def _success(body: CyberSourceResponse, told: str | None, currency: str | None, asked: Money) -> Answer:
    # Only an answer with the amount that was asked and an id for later calls is one.
    same_money(told, currency and currency.upper(), asked)
    if not body.id:
        raise ValueError("no id")
    return Answer("succeeded", body.id, amount=asked)


def _refusal(reply: HttpReply, body: CyberSourceResponse) -> Answer:
    """`failed` or `declined` for an explicit refusal, `unknown` for anything else."""
    if reply.status in (401, 403, 404, 429):
        return Answer("failed", detail=f"HTTP {reply.status} {body.detail()}")
    if reply.status == 201 and body.status in NOT_DECIDED:
        return Answer(
            "unknown", body.id or None, detail=body.detail(), doubt="pending", pending_reason=body.status
        )
    if reply.status not in (201, 400) or body.status not in REFUSED:
        return Answer("unknown", detail=f"HTTP {reply.status} {body.detail()}")
    if body.repeats_our_id():
        return Answer("unknown", detail=f"HTTP {reply.status} {body.detail()}", doubt="duplicate")
    if body.why() in DECLINES or body.status == "DECLINED":
        return Answer("declined", None, DECLINES.get(body.why(), "generic_decline"), body.detail())
    return Answer("failed", detail=body.detail())


class Visa:
    """The `Processor` of Visa. CyberSource applies a call again that is sent again under its request id."""

    name: ProcessorName = "visa"
    capabilities = Capabilities(
        methods=frozenset({"card"}),
        brands=frozenset({"visa"}),
        deduplicates=False,
        payer_approves=False,
        captures_in_parts=True,
        final_capture_releases=False,
        releases_rest=True,
    )

    def __init__(self, transport: Transport, signer: Callable[[], Signer]) -> None:
        """`signer`: the key of this moment."""
        self._transport = transport
        self._signer = signer

    async def authorize(self, charge: Charge, *, capture: bool) -> Answer:
        """See `Processor`."""
        request = self._post("/pts/v2/payments", charge.request_id, build_payment(charge, capture=capture))
        return await answer_to(self._send(request), partial(parse_payment, charge))

    async def capture(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        request = self._post(
            f"/pts/v2/payments/{quote(call.parent_reference, '')}/captures", call.request_id, build_capture(call)
        )
        return await answer_to(self._send(request), partial(parse_taken, call))

    async def void(self, call: FollowUp) -> Answer:
        """See `Processor`. A sale is voided, an authorization or what is left of it reversed."""
        way = "voids" if call.parent_is_sale else "reversals"
        path = f"/pts/v2/payments/{quote(call.parent_reference, '')}/{way}"
        request = self._post(path, call.request_id, build_void(call))
        return await answer_to(self._send(request), partial(parse_taken_back, call))

    async def refund(self, call: FollowUp) -> Answer:
        """See `Processor`."""
        parent = "payments" if call.parent_is_sale else "captures"
        path = f"/pts/v2/{parent}/{quote(call.parent_reference, '')}/refunds"
        request = self._post(path, call.request_id, build_refund(call))
        return await answer_to(self._send(request), partial(parse_taken, call))

    async def reverse(self, request_id: str, query: Query) -> Answer:
        """See `Processor`. A refusal does not tell whether there is nothing to take back: the search does."""
        until = self._transport.deadline()
        answer = Answer("failed")
        for request in self._reversals(request_id, query):
            answer = await answer_to(self._send(request, until), partial(parse_taken_back, query))
            if answer.result in ("succeeded", "unknown") or not answer.sent:
                return answer
        search = self._post("/tss/v2/searches", request_id, build_search(query))
        found = await finding_of(self._send(search, until), partial(parse_reversal_search, query))
        return answer if found.result == "unknown" else found

    def _reversals(self, request_id: str, query: Query) -> list[HttpRequest]:
        """The requests to try in turn. A sale that only the bank approved has no capture to void, but a hold."""
        void = self._post("/pts/v2/voids/", request_id, build_timeout_void(query))
        reversal = self._post("/pts/v2/reversals/", request_id, build_timeout_reversal(query))
        match query.kind:
            case "authorize":
                return [reversal]
            case "sale":
                return [void, reversal]
            case "capture" | "void" | "refund" | "reversal":
                return [void]
            case _:
                assert_never(query.kind)

    async def lookup(self, query: Query) -> Answer:
        """See `Processor`. A reversal is never found: CyberSource keeps no trace of it under its own id."""
        if query.kind == "reversal":
            return Answer("not_found", detail="CyberSource keeps no id of a reversal")
        request = self._post("/tss/v2/searches", query.request_id, build_search(query))
        return await finding_of(self._send(request), partial(parse_search, query))

    async def taken_back(self, query: Query) -> Answer:
        """See `Processor`. What took it back by CyberSource's id has a transaction id of its own."""
        search = self._post("/tss/v2/searches", query.request_id, build_family_search(query))
        return await finding_of(self._send(search), partial(parse_family_search, query))

    async def close(self) -> None:
        """See `Processor`."""
        await self._transport.close()

    def _post(self, path: str, request_id: str, content: dict[str, Any]) -> HttpRequest:
        # The only place for a time-out reversal's own id: its transaction id is that of the call it takes back.
        headers = {"Content-Type": "application/json", "v-c-correlation-id": request_id}
        return HttpRequest("POST", path, headers, msgspec.json.encode(content))

    async def _send(self, request: HttpRequest, until: float | None = None) -> HttpReply:
        return await send_as(self._transport, self._signer, partial(self._signed, request), until)

    def _signed(self, request: HttpRequest, signer: Signer) -> HttpRequest:
        date, host = formatdate(usegmt=True), self._transport.host
        signed = signer.headers(request.method, request.path, host, date, request.body)
        return msgspec.structs.replace(request, headers=request.headers | signed)
