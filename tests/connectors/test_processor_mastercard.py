"""Mastercard's wire as pure functions: what we send, and what we read out of answers shaped like the Gateway's."""

from typing import Any

import msgspec
import pytest

from connectors.processors.contract import Answer, CardDetails, Charge, Query
from connectors.processors.mastercard import (
    DECLINES,
    build_payment,
    build_taking,
    build_void,
    parse_lookup,
    parse_refused_reversal,
    parse_taking,
    parse_void,
)
from connectors.processors.response_checks import Mismatch
from connectors.processors.transport import HttpReply
from schemas.money import Money
from schemas.states import DECLINE_CODES

EUR = Money(100, "EUR")
CHARGE = Charge("op_1", "att_1", EUR, CardDetails("5123450000000008", 1, 2039, "100"))
ASKED = Query("op_1", "att_1", "authorize", EUR)


def said(result: str = "SUCCESS", code: str = "APPROVED", status: int = 201, **changes: Any) -> HttpReply:
    body = {
        "merchant": "SLUICE",
        "result": result,
        "response": {"gatewayCode": code, "acquirerCode": "00", "risk": {"gatewayCode": "ACCEPTED"}},
        "order": {"id": "att_1", "status": "AUTHORIZED", "amount": 1.00, "currency": "EUR"},
        "transaction": {
            "id": "op_1",
            "type": "AUTHORIZATION",
            "amount": 1.00,
            "currency": "EUR",
            "receipt": "4289",
        },
        "sourceOfFunds": {"provided": {"card": {"number": "512345xxxxxx0008"}}, "type": "CARD"},
    }
    return HttpReply(status, msgspec.json.encode(body | changes))


def error(cause: str, explanation: str = "Value is invalid.", status: int = 400) -> HttpReply:
    body = {"error": {"cause": cause, "explanation": explanation}, "result": "ERROR"}
    return HttpReply(status, msgspec.json.encode(body))


def taking(reply: HttpReply, amount: Money = EUR) -> Answer:
    return parse_taking("att_1", "op_1", amount, reply)


def test_a_payment_names_operation_amount_and_card() -> None:
    assert build_payment(CHARGE, capture=False) == {
        "apiOperation": "AUTHORIZE",
        "order": {"amount": "1.00", "currency": "EUR"},
        "sourceOfFunds": {
            "type": "CARD",
            "provided": {
                "card": {
                    "number": "5123450000000008",
                    "expiry": {"month": "01", "year": "39"},
                    "securityCode": "100",
                }
            },
        },
    }
    assert build_payment(CHARGE, capture=True)["apiOperation"] == "PAY"


def test_follow_ups() -> None:
    assert build_taking("REFUND", Money(500, "JPY")) == {
        "apiOperation": "REFUND",
        "transaction": {"amount": "500", "currency": "JPY"},
    }
    assert build_void("op_1") == {"apiOperation": "VOID", "transaction": {"targetTransactionId": "op_1"}}


@pytest.mark.parametrize("code", ["APPROVED", "APPROVED_AUTO", "APPROVED_PENDING_SETTLEMENT"])
def test_an_approval(code: str) -> None:
    assert taking(said(code=code)) == Answer("succeeded", "op_1", amount=EUR)


def test_yen_come_as_a_number_without_decimals() -> None:
    yen = {"id": "op_1", "amount": 500, "currency": "JPY"}
    assert taking(said(transaction=yen), Money(500, "JPY")).result == "succeeded"


@pytest.mark.parametrize(
    "changes",
    [
        {"order": {"id": "att_2"}},
        {"order": {}},
        {"transaction": {"id": "op_9", "amount": 1.00, "currency": "EUR"}},
        {"transaction": {"id": "op_1", "amount": 1.01, "currency": "EUR"}},
        {"transaction": {"id": "op_1", "amount": 1.00, "currency": "USD"}},
        {"transaction": {"id": "op_1"}},
    ],
)
def test_an_approval_of_something_else_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(Mismatch):
        taking(said(**changes))


@pytest.mark.parametrize(
    ("reply", "word", "code"),
    [
        (said("FAILURE", "DECLINED"), "declined", "generic_decline"),
        (said("FAILURE", "EXPIRED_CARD"), "declined", "expired_card"),
        (said("FAILURE", "BLOCKED"), "declined", "suspected_fraud"),
        (said("FAILURE", "TIMED_OUT"), "declined", "issuer_unavailable"),
        (said("FAILURE", "ACQUIRER_SYSTEM_ERROR"), "failed", None),
        (said("FAILURE", "A_CODE_OF_TOMORROW"), "failed", None),
        (said("SUCCESS", "SUBMITTED"), "unknown", None),
        (said("PENDING", "PENDING"), "unknown", None),
        (said("UNKNOWN", "UNKNOWN"), "unknown", None),
        (said("A_RESULT_OF_TOMORROW", "APPROVED"), "unknown", None),
        (said(status=502), "unknown", None),
        (error("INVALID_REQUEST"), "failed", None),
        (error("REQUEST_REJECTED", status=401), "failed", None),
        (error("SERVER_BUSY", status=503), "failed", None),
        (error("SERVER_FAILED", status=500), "unknown", None),
    ],
)
def test_only_an_explicit_no_is_one(reply: HttpReply, word: str, code: str | None) -> None:
    answer = taking(reply)
    assert (answer.result, answer.decline_code, answer.must_reverse) == (word, code, False)


def test_less_than_asked_is_to_be_reversed() -> None:
    answer = taking(said("SUCCESS", "PARTIALLY_APPROVED"))
    assert (answer.result, answer.decline_code, answer.must_reverse) == ("declined", "insufficient_funds", True)


def test_a_void_takes_back_the_whole() -> None:
    assert parse_void("att_1", "op_1", EUR, said()).result == "succeeded"
    assert parse_void("att_1", "op_1", EUR, said("FAILURE", "UNSPECIFIED_FAILURE")).result == "failed"
    assert parse_void("att_1", "op_1", EUR, said("PENDING", "PENDING")).result == "unknown"
    with pytest.raises(Mismatch):
        parse_void("att_2", "op_1", EUR, said())


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (said(status=200), "succeeded"),
        (said("FAILURE", "DECLINED", 200), "declined"),
        (said("UNKNOWN", "UNKNOWN", 200), "unknown"),
        (error("INVALID_REQUEST", "Unable to find the transaction."), "not_found"),
        (error("INVALID_REQUEST", "Value '7' is invalid."), "unknown"),
        (error("INVALID_REQUEST", "Invalid credentials.", 401), "unknown"),
        (error("SERVER_BUSY", status=503), "unknown"),
    ],
)
def test_a_look_up(reply: HttpReply, word: str) -> None:
    assert parse_lookup(ASKED, reply).result == word


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (error("INVALID_REQUEST", "Unable to find the transaction."), "not_found"),
        (said("FAILURE", "DECLINED", 200), "not_found"),
        (said("FAILURE", "ACQUIRER_SYSTEM_ERROR", 200), "not_found"),
        (said(status=200), "failed"),
        (said(status=200, order={"id": "att_1", "status": "CANCELLED"}), "succeeded"),
        (said("UNKNOWN", "UNKNOWN", 200), "unknown"),
    ],
)
def test_what_a_refused_reversal_means(reply: HttpReply, word: str) -> None:
    assert parse_refused_reversal(ASKED, reply).result == word


def test_every_decline_is_one_of_ours() -> None:
    assert set(DECLINES.values()) <= set(DECLINE_CODES)
