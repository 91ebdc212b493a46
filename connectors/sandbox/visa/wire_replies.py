"""The bodies CyberSource answers with, after its public REST specification: pure functions."""

import secrets
from datetime import datetime
from typing import Any, Literal, assert_never

import msgspec

from connectors.sandbox.http_shapes import TwinRefusal, TwinReply, json_reply
from connectors.sandbox.magic import MagicFollowUp
from schemas.money import Money
from schemas.times import now, now_micros

TransactionKind = Literal["payment", "capture", "reversal", "refund", "void"]

PLURAL: dict[TransactionKind, str] = {
    "payment": "payments",
    "capture": "captures",
    "reversal": "reversals",
    "refund": "refunds",
    "void": "voids",
}
STATUS: dict[TransactionKind, str] = {
    "capture": "PENDING",
    "reversal": "REVERSED",
    "refund": "PENDING",
    "void": "VOIDED",
}
# An issuer's refusal. CyberSource's word for refunds and voids; for captures and reversals it has none.
REFUSED_STATUS: dict[TransactionKind, str] = {
    "capture": "DECLINED",
    "reversal": "DECLINED",
    "refund": "DECLINED",
    "void": "FAILED",
}
APPLICATIONS: dict[TransactionKind, str] = {
    "capture": "ics_bill",
    "reversal": "ics_auth_reversal",
    "refund": "ics_credit",
    "void": "ics_void",
}
AMOUNT_FIELDS: dict[TransactionKind, tuple[str, str]] = {
    "reversal": ("reversalAmountDetails", "reversedAmount"),
    "refund": ("refundAmountDetails", "refundAmount"),
    "void": ("voidAmountDetails", "voidAmount"),
}
# Status or reason -> message, and the older reason code and flag that the transaction search still shows.
REASONS: dict[str, tuple[str, str, str]] = {
    "AVS_FAILED": ("Approved by the issuing bank, but the address check failed.", "200", "DAVSNO"),
    "CVN_NOT_MATCH": ("The card verification number did not match.", "211", "DINVALIDDATA"),
    "DECISION_PROFILE_REVIEW": ("The order has been flagged for review.", "480", "DREVIEW"),
    "EXPIRED_CARD": ("The card has expired.", "202", "DCARDEXPIRED"),
    "INSUFFICIENT_FUND": ("There are insufficient funds in the account.", "204", "DCARDREFUSED"),
    "INVALID_ACCOUNT": ("The account number is invalid.", "231", "DINVALIDCARD"),
    "PARTIAL_AUTHORIZED": ("Only a part of the amount was approved.", "110", "DPARTIALAPPROVAL"),
    "PROCESSOR_DECLINED": ("The request was declined by the payment processor.", "233", "DINVALIDDATA"),
    "PROCESSOR_ERROR": ("The payment processor failed.", "236", "DINVALIDDATA"),
    "SCORE_EXCEEDS_THRESHOLD": ("The fraud score exceeds the merchant's threshold.", "400", "DSCORE"),
    "STOLEN_LOST_CARD": ("The card has been stolen or lost.", "205", "DCARDREFUSED"),
}
DONE = {"reasonCode": "100", "rCode": "1", "rFlag": "SOK"}
FRAUD_CHECKED = ("DECISION_PROFILE_REVIEW", "SCORE_EXCEEDS_THRESHOLD")  # the bank approved, too


class StoredVisaTransaction(msgspec.Struct, frozen=True):
    """What CyberSource stores of a call; of a card only brand, first six and last four digits.

    `final`: a capture after which there is no other. `refused`: the later call that the card's issuer refuses.
    """

    id: str
    kind: TransactionKind
    status: str
    reason: str
    code: str
    transaction_id: str
    money: Money
    at: datetime
    capture: bool = False
    card: dict[str, str] = {}
    root: str = ""
    final: bool = False
    refused: MagicFollowUp | None = None


def new_transaction_id() -> str:
    """22 digits, microseconds and random ones: too long to pass for a card number."""
    return f"{now_micros():016d}{secrets.randbelow(1_000_000):06d}"


def created(transaction: StoredVisaTransaction) -> TwinReply:
    """HTTP 201, for declines as well."""
    body = _common(transaction) | {"_links": _links(transaction)}
    if transaction.kind in AMOUNT_FIELDS:
        details, amount = AMOUNT_FIELDS[transaction.kind]
        body[details] = {amount: transaction.money.decimal(), "currency": transaction.money.currency}
    return json_reply(201, body)


def refusal(reason: str, message: str, field: str = "") -> TwinRefusal:
    """HTTP 400: nothing was applied."""
    details = [{"field": field, "reason": reason}] if field else []
    body = {"status": "INVALID_REQUEST", "reason": reason, "message": message, "details": details}
    return TwinRefusal(json_reply(400, {"submitTimeUtc": _time(now()), **body}))


def unauthenticated() -> TwinRefusal:
    """HTTP 401: the signature is wrong."""
    return TwinRefusal(json_reply(401, {"response": {"rmsg": "Authentication Failed"}}))


def not_found() -> TwinRefusal:
    """HTTP 404: no such path, or no such transaction."""
    return TwinRefusal(json_reply(404, {"response": {"rmsg": "Resource not found"}}))


def details(transaction: StoredVisaTransaction, related: list[str]) -> TwinReply:
    """`GET /tss/v2/transactions/{id}`."""
    links = {
        "self": {"href": f"/tss/v2/transactions/{transaction.id}", "method": "GET"},
        "relatedTransactions": [{"href": f"/tss/v2/transactions/{id}", "method": "GET"} for id in related],
    }
    body = _common(transaction) | _search_fields(transaction)
    return json_reply(200, body | {"rootId": transaction.root or transaction.id, "_links": links})


def search_results(query: str, offset: int, limit: int, found: list[StoredVisaTransaction]) -> TwinReply:
    """`POST /tss/v2/searches`."""
    page = [_summary(transaction) for transaction in found[offset : offset + limit]]
    return json_reply(
        201,
        {
            "searchId": secrets.token_hex(16),
            "save": False,
            "query": query,
            "offset": offset,
            "limit": limit,
            "count": len(page),
            "totalCount": len(found),
            "submitTimeUtc": _time(now()),
            "_embedded": {"transactionSummaries": page},
        },
    )


def _common(transaction: StoredVisaTransaction) -> dict[str, Any]:
    total = transaction.money.decimal()
    amounts = {"totalAmount": total, "authorizedAmount": total, "currency": transaction.money.currency}
    body: dict[str, Any] = {
        "id": transaction.id,
        "status": transaction.status,
        "submitTimeUtc": _time(transaction.at),
        "reconciliationId": f"SL{transaction.id[-14:]}",
        "clientReferenceInformation": {"code": transaction.code, "transactionId": transaction.transaction_id},
        "orderInformation": {"amountDetails": amounts},
    }
    if transaction.kind == "payment":
        body["processorInformation"] = _processor(transaction)
    if transaction.card:
        body["paymentInformation"] = {"card": transaction.card}
    if transaction.reason:
        body["errorInformation"] = {"reason": transaction.reason, "message": REASONS[transaction.reason][0]}
    return body


def _processor(transaction: StoredVisaTransaction) -> dict[str, Any]:
    approved = transaction.status not in ("DECLINED", "INVALID_REQUEST")
    if not approved:
        return {"responseCode": "05", "avs": {"code": "2"}}
    network = {"networkTransactionId": f"0{transaction.id[2:16]}", "avs": {"code": "2"}}
    return {"approvalCode": transaction.id[-6:], "responseCode": "00"} | network


def _links(transaction: StoredVisaTransaction) -> dict[str, Any]:
    base = f"/pts/v2/{PLURAL[transaction.kind]}/{transaction.id}"
    links = {"self": {"method": "GET", "href": base}}
    for name, path in _next_steps(transaction).items():
        links[name] = {"method": "POST", "href": f"{base}/{path}"}
    return links


def _next_steps(transaction: StoredVisaTransaction) -> dict[str, str]:
    match transaction.kind:
        case _ if transaction.status == "DECLINED":
            return {}
        case "payment" if transaction.capture:
            return {"void": "voids", "refund": "refunds"}
        case "payment":
            return {"authReversal": "reversals", "capture": "captures"}
        case "capture":
            return {"void": "voids", "refund": "refunds"}
        case "refund":
            return {"void": "voids"}
        case "reversal" | "void":
            return {}
        case _:
            assert_never(transaction.kind)


def _summary(transaction: StoredVisaTransaction) -> dict[str, Any]:
    link = {"transactionDetail": {"href": f"/tss/v2/transactions/{transaction.id}", "method": "GET"}}
    common = _common(transaction)
    shown = {
        name: common[name] for name in ("id", "submitTimeUtc", "clientReferenceInformation", "orderInformation")
    }
    return shown | _search_fields(transaction) | {"_links": link}


def _search_fields(transaction: StoredVisaTransaction) -> dict[str, Any]:
    overall = _reason_fields(transaction.reason or transaction.status)
    applications = [
        {"name": name, "status": transaction.status} | _reason_fields(reason)
        for name, reason in _applications(transaction)
    ]
    return {
        "merchantId": "sluice_sandbox",
        "applicationInformation": {"status": transaction.status, "applications": applications} | overall,
    }


def _reason_fields(reason: str) -> dict[str, str]:
    if reason not in REASONS:
        return DONE
    message, code, flag = REASONS[reason]
    return {"reasonCode": code, "rCode": "0", "rFlag": flag, "rMessage": message}


def _applications(transaction: StoredVisaTransaction) -> list[tuple[str, str]]:
    """The applications that ran for a call, each with the reason it was declined for, empty where it was not."""
    if transaction.kind != "payment":
        return [(APPLICATIONS[transaction.kind], transaction.reason)]
    if transaction.reason in FRAUD_CHECKED:
        return [("ics_auth", ""), ("ics_decision", transaction.reason)]
    settled = [("ics_bill", "")] if transaction.capture else []
    return [("ics_auth", transaction.reason or transaction.status), *settled]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
