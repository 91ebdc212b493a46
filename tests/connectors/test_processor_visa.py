"""Visa's wire as pure functions: what we send, and what we read out of answers shaped like CyberSource's own."""

import base64
import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from connectors.processors.contract import Answer, CardDetails, Charge, FollowUp, Query
from connectors.processors.http_signature import Signer
from connectors.processors.response_checks import Mismatch
from connectors.processors.transport import HttpReply
from connectors.processors.visa import (
    DECLINES,
    build_capture,
    build_payment,
    build_refund,
    build_timeout_reversal,
    build_timeout_void,
    build_void,
    parse_payment,
    parse_taken,
    parse_taken_back,
)
from connectors.processors.visa_search import build_search, parse_reversal_search, parse_search
from schemas.money import Money
from schemas.states import DECLINE_CODES

EUR = Money(10221, "EUR")
CARD = CardDetails("4111111111111111", 3, 2031, "987")
CHARGE = Charge("op_1", "att_1", EUR, CARD)
CAPTURE = FollowUp("op_2", "att_1", EUR, "6750124114786780104953", "op_1")
ASKED = Query("op_1", "att_1", "authorize", EUR)


def reply(body: Any, status: int = 201) -> HttpReply:
    return HttpReply(status, msgspec.json.encode(body))


def payment(status: str = "AUTHORIZED", reason: str = "", **changes: Any) -> dict[str, Any]:
    body = {
        "_links": {"self": {"method": "GET", "href": "/pts/v2/payments/6750124114786780104953"}},
        "clientReferenceInformation": {"code": "att_1"},
        "id": "6750124114786780104953",
        "orderInformation": {"amountDetails": {"authorizedAmount": "102.21", "currency": "EUR"}},
        "processorInformation": {"approvalCode": "888888", "responseCode": "100", "avs": {"code": "X"}},
        "reconciliationId": "78243988SD9YL291",
        "status": status,
        "submitTimeUtc": "2026-01-29T17:13:31Z",
    }
    error = {"errorInformation": {"reason": reason, "message": "Because."}} if reason else {}
    return body | error | changes


def refused(reason: str, status: str = "INVALID_REQUEST") -> dict[str, Any]:
    return {"submitTimeUtc": "2026-01-29T17:13:31Z", "status": status, "reason": reason, "message": "No."}


def summary(
    applications: list[tuple[str, str, str]], total: str = "102.21", code: str = "att_1"
) -> dict[str, Any]:
    return {
        "id": "6750124114786780104953",
        "applicationInformation": {
            "reasonCode": 100,
            "applications": [{"name": n, "rCode": r, "reasonCode": reason} for n, r, reason in applications],
        },
        "clientReferenceInformation": {"code": code},
        "orderInformation": {"amountDetails": {"totalAmount": total, "currency": "EUR"}},
    }


def found(*summaries: dict[str, Any]) -> HttpReply:
    return reply({"totalCount": len(summaries), "_embedded": {"transactionSummaries": list(summaries)}})


def test_a_payment_carries_both_our_ids_and_the_amount_as_text() -> None:
    assert build_payment(CHARGE, capture=True) == {
        "clientReferenceInformation": {"code": "att_1", "transactionId": "op_1"},
        "processingInformation": {"commerceIndicator": "internet", "capture": True},
        "paymentInformation": {
            "card": {
                "number": "4111111111111111",
                "expirationMonth": "03",
                "expirationYear": "2031",
                "securityCode": "987",
            }
        },
        "orderInformation": {"amountDetails": {"totalAmount": "102.21", "currency": "EUR"}},
    }


def test_no_cvc_no_field() -> None:
    body = build_payment(Charge("op_1", "att_1", EUR, CardDetails("4111111111111111", 3, 2031)), capture=False)
    assert "securityCode" not in body["paymentInformation"]["card"]
    assert body["processingInformation"]["capture"] is False


def test_follow_ups_carry_their_own_ids() -> None:
    own = {"code": "att_1", "transactionId": "op_2"}
    yen = FollowUp("op_2", "att_1", Money(500, "JPY"), "6750", "op_1")
    assert build_capture(yen) == {
        "clientReferenceInformation": own,
        "orderInformation": {"amountDetails": {"totalAmount": "500", "currency": "JPY"}},
    }
    assert build_void(yen)["reversalInformation"]["amountDetails"]["totalAmount"] == "500"
    sale = FollowUp("op_2", "att_1", EUR, "6750", "op_1", parent_is_sale=True)
    assert build_void(sale) == {"clientReferenceInformation": own}


@pytest.mark.parametrize(
    ("part", "final", "options"),
    [(1, True, None), (1, False, (1, 2)), (2, False, (2, 3)), (3, True, (3, 3))],
)
def test_a_capture_says_its_number_where_it_is_not_the_only_one(
    part: int, final: bool, options: tuple[int, int] | None
) -> None:
    told = build_capture(msgspec.structs.replace(CAPTURE, part=part, final=final)).get("processingInformation")
    names = ("captureSequenceNumber", "totalCaptureCount")
    assert told == (options and {"captureOptions": dict(zip(names, options, strict=True))})
    assert "processingInformation" not in build_refund(msgspec.structs.replace(CAPTURE, part=part, final=final))


def test_timeout_reversals_carry_the_id_of_what_they_take_back() -> None:
    original = {"code": "att_1", "transactionId": "op_1"}
    assert build_timeout_void(ASKED) == {"clientReferenceInformation": original}
    assert build_timeout_reversal(ASKED)["reversalInformation"]["amountDetails"]["totalAmount"] == "102.21"
    assert build_search(ASKED)["query"] == "clientReferenceInformation.transactionId:op_1"


def test_an_approval() -> None:
    answer = parse_payment(CHARGE, reply(payment()))
    assert answer == Answer("succeeded", "6750124114786780104953", amount=EUR)


@pytest.mark.parametrize(
    "changes",
    [
        {"clientReferenceInformation": {"code": "att_2"}},
        {"clientReferenceInformation": {}},
        {"orderInformation": {"amountDetails": {"authorizedAmount": "102.20", "currency": "EUR"}}},
        {"orderInformation": {"amountDetails": {"authorizedAmount": "102.21", "currency": "USD"}}},
        {"orderInformation": {}},
    ],
)
def test_an_approval_of_something_else_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(Mismatch):
        parse_payment(CHARGE, reply(payment(**changes)))


def test_an_approval_without_an_id_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="no id"):
        parse_payment(CHARGE, reply(payment(id="")))


@pytest.mark.parametrize(
    ("status", "reason", "code", "reverse"),
    [
        ("DECLINED", "EXPIRED_CARD", "expired_card", False),
        ("DECLINED", "INSUFFICIENT_FUND", "insufficient_funds", False),
        ("DECLINED", "A_REASON_OF_TOMORROW", "generic_decline", False),
        ("PENDING_AUTHENTICATION", "CONSUMER_AUTHENTICATION_REQUIRED", "authentication_required", False),
        ("AUTHORIZED_PENDING_REVIEW", "AVS_FAILED", "incorrect_address", True),
        ("AUTHORIZED_PENDING_REVIEW", "CV_FAILED", "incorrect_cvc", True),
        ("AUTHORIZED_PENDING_REVIEW", "DECISION_PROFILE_REVIEW", "suspected_fraud", True),
        ("AUTHORIZED_RISK_DECLINED", "SCORE_EXCEEDS_THRESHOLD", "suspected_fraud", True),
        ("PARTIAL_AUTHORIZED", "", "insufficient_funds", True),
    ],
)
def test_declines_come_as_201(status: str, reason: str, code: str, reverse: bool) -> None:
    answer = parse_payment(CHARGE, reply(payment(status, reason)))
    assert (answer.result, answer.decline_code, answer.must_reverse) == ("declined", code, reverse)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, refused("MISSING_FIELD"), "failed"),
        (400, refused("PROCESSOR_UNAVAILABLE"), "failed"),
        (400, refused("INVALID_CARD"), "declined"),
        (400, refused("DUPLICATE_REQUEST"), "unknown"),
        (401, {"response": {"rmsg": "Authentication Failed"}}, "failed"),
        (429, {"response": {"rmsg": "Too many"}}, "failed"),
        (201, payment("DECLINED", "PROCESSOR_ERROR"), "failed"),
        (201, payment("PENDING_REVIEW"), "unknown"),
        (201, payment("A_STATUS_OF_TOMORROW"), "unknown"),
        (200, {}, "unknown"),
        (307, payment(), "unknown"),
        (502, refused("SERVER_TIMEOUT", "SERVER_ERROR"), "unknown"),
        (503, {}, "unknown"),
    ],
)
def test_only_an_explicit_no_is_failed(status: int, body: dict[str, Any], said: str) -> None:
    assert parse_payment(CHARGE, reply(body, status)).result == said


def test_captures_and_refunds_say_how_much() -> None:
    capture = payment("PENDING", orderInformation={"amountDetails": {"totalAmount": "102.21", "currency": "EUR"}})
    assert parse_taken(CAPTURE, reply(capture)).result == "succeeded"
    amounts = {"refundAmountDetails": {"refundAmount": "102.21", "currency": "eur"}, "orderInformation": {}}
    assert parse_taken(CAPTURE, reply(payment("PENDING", **amounts))).result == "succeeded"
    amounts["refundAmountDetails"]["refundAmount"] = "2.21"
    with pytest.raises(Mismatch):
        parse_taken(CAPTURE, reply(payment("PENDING", **amounts)))
    assert parse_taken(CAPTURE, reply(payment("DECLINED", "PROCESSOR_DECLINED"))).result == "declined"
    assert parse_taken(CAPTURE, reply(refused("EXCEEDS_AUTH_AMOUNT"), 400)).result == "failed"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (201, payment("REVERSED"), "succeeded"),
        (201, payment("VOIDED"), "succeeded"),
        (201, payment("CANCELLED"), "succeeded"),
        (201, payment("FAILED"), "failed"),
        (201, payment("FAILED", "PROCESSOR_DECLINED"), "declined"),
        (201, payment("DECLINED", "A_REASON_OF_TOMORROW"), "declined"),
        (400, refused("AUTH_ALREADY_REVERSED"), "succeeded"),
        (400, refused("NOT_VOIDABLE"), "failed"),
        (502, refused("SYSTEM_ERROR", "SERVER_ERROR"), "unknown"),
    ],
)
def test_voids_and_reversals(status: int, body: dict[str, Any], said: str) -> None:
    assert parse_taken_back(CAPTURE, reply(body, status)).result == said


def test_the_search_finds_a_call_among_what_carries_its_id() -> None:
    reversal = summary([("ics_auth_reversal", "1", "100")])
    answer = parse_search(ASKED, found(reversal, summary([("ics_auth", "1", "100")])))
    assert answer == Answer("succeeded", "6750124114786780104953", amount=EUR)
    assert parse_search(ASKED, found(reversal)).result == "not_found"
    assert parse_search(ASKED, found()).result == "not_found"
    assert parse_search(ASKED, reply({"count": 0})).result == "not_found"


@pytest.mark.parametrize(
    ("applications", "said", "code", "reverse"),
    [
        ([("ics_auth", "0", "204")], "declined", "insufficient_funds", False),
        ([("ics_auth", "0", "203"), ("ics_bill", "", "")], "declined", "generic_decline", False),
        ([("ics_auth", "0", "230")], "declined", "incorrect_cvc", True),
        ([("ics_auth", "1", "100"), ("ics_decision", "0", "481")], "declined", "suspected_fraud", True),
        ([("ics_auth", "1", "100"), ("ics_bill", "0", "233")], "declined", "generic_decline", True),
        ([("ics_auth", "0", "102")], "failed", None, False),
        ([("ics_auth", "-1", "150")], "unknown", None, False),
        ([("ics_auth", "1", "100"), ("ics_bill", "-1", "150")], "unknown", None, False),
    ],
)
def test_the_search_tells_declines_by_their_older_codes(
    applications: list[tuple[str, str, str]], said: str, code: str | None, reverse: bool
) -> None:
    answer = parse_search(ASKED, found(summary(applications)))
    assert (answer.result, answer.decline_code, answer.must_reverse) == (said, code, reverse)


def test_a_finding_about_something_else_is_none() -> None:
    for other in (
        summary([("ics_auth", "1", "100")], total="1.00"),
        summary([("ics_auth", "1", "100")], code="att_2"),
    ):
        with pytest.raises(Mismatch):
            parse_search(ASKED, found(other))
    assert parse_search(ASKED, reply({}, 401)).result == "unknown"


@pytest.mark.parametrize(
    ("summaries", "said"),
    [
        ([], "not_found"),
        ([summary([("ics_auth", "0", "204")])], "not_found"),
        ([summary([("ics_auth", "0", "230")])], "failed"),
        ([summary([("ics_auth", "1", "100")])], "failed"),
        ([summary([("ics_auth", "1", "100")]), summary([("ics_auth_reversal", "1", "100")])], "succeeded"),
        ([summary([("ics_auth", "1", "100")]), summary([("ics_auth_reversal", "0", "102")])], "failed"),
        ([summary([("ics_auth", "-1", "150")])], "unknown"),
    ],
)
def test_what_a_refused_reversal_means(summaries: list[dict[str, Any]], said: str) -> None:
    assert parse_reversal_search(ASKED, found(*summaries)).result == said


def test_every_decline_is_one_of_ours() -> None:
    assert set(DECLINES.values()) <= set(DECLINE_CODES)


def test_the_signature_covers_host_date_target_digest_and_merchant() -> None:
    secret = base64.b64encode(b"a shared secret").decode()
    signer = Signer("merchant", "key-1", secret)
    date = "Thu, 18 Jul 2026 00:18:03 GMT"
    headers = signer.headers("POST", "/pts/v2/payments", "localhost:8091", date, b"{}")
    digest = f"SHA-256={base64.b64encode(hashlib.sha256(b'{}').digest()).decode()}"
    text = (
        f"host: localhost:8091\ndate: {date}\nrequest-target: post /pts/v2/payments\n"
        f"digest: {digest}\nv-c-merchant-id: merchant"
    )
    mac = base64.b64encode(hmac.digest(b"a shared secret", text.encode(), "sha256")).decode()
    assert headers == {
        "v-c-merchant-id": "merchant",
        "Date": date,
        "Host": "localhost:8091",
        "Digest": digest,
        "Signature": (
            'keyid="key-1", algorithm="HmacSHA256", '
            f'headers="host date request-target digest v-c-merchant-id", signature="{mac}"'
        ),
    }
    assert secret not in repr(signer)
