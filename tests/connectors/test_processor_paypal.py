"""PayPal's wire as pure functions: what we send, and what we read out of answers shaped like PayPal's own."""

from typing import Any

import msgspec
import pytest

from connectors.processors.contract import Answer, Charge, FollowUp, Query
from connectors.processors.paypal import (
    DECLINES,
    build_capture,
    build_order,
    build_refund,
    parse_authorized,
    parse_captured,
    parse_created,
    parse_lookup,
    parse_order,
    parse_order_id,
    parse_refunded,
    parse_voided,
)
from connectors.processors.response_checks import Mismatch
from connectors.processors.transport import HttpReply, Silence
from schemas.money import Money
from schemas.states import DECLINE_CODES

USD = Money(10000, "USD")
CHARGE = Charge("op_1", "att_1", USD, order_reference="5O190127TN364715T")
CALL = FollowUp("op_2", "att_1", USD, "0VF52814937998046", "op_1")
AMOUNT = {"currency_code": "USD", "value": "100.00"}


def reply(body: Any, status: int = 201) -> HttpReply:
    return HttpReply(status, msgspec.json.encode(body))


def record(status: str, id: str = "0VF52814937998046", **changes: Any) -> dict[str, Any]:
    body = {"id": id, "status": status, "amount": AMOUNT, "custom_id": "att_1", "links": []}
    return body | changes


def order(status: str = "COMPLETED", **payments: list[dict[str, Any]]) -> dict[str, Any]:
    unit = {"reference_id": "att_1", "custom_id": "att_1", "amount": AMOUNT, "payments": payments}
    page = {"href": "https://www.sandbox.paypal.com/checkoutnow?token=5O190127TN364715T", "rel": "payer-action"}
    return {"id": "5O190127TN364715T", "status": status, "purchase_units": [unit], "links": [page]}


def error(issue: str, status: int = 422, name: str = "UNPROCESSABLE_ENTITY") -> HttpReply:
    return reply({"name": name, "message": "No.", "debug_id": "b1", "details": [{"issue": issue}]}, status)


def query(kind: Any) -> Query:
    return Query("op_2", "att_1", kind, USD, order_reference="5O190127TN364715T")


def test_an_order_is_authorized_later_and_comes_back_to_us() -> None:
    body = build_order(CHARGE, "https://shop/back", "https://shop/back?cancelled")
    assert body["intent"] == "AUTHORIZE"
    assert body["purchase_units"] == [{"reference_id": "att_1", "custom_id": "att_1", "amount": AMOUNT}]
    experience = body["payment_source"]["paypal"]["experience_context"]
    assert (experience["return_url"], experience["cancel_url"]) == (
        "https://shop/back",
        "https://shop/back?cancelled",
    )


def test_captures_and_refunds_carry_our_id() -> None:
    yen = FollowUp("op_2", "att_1", Money(500, "JPY"), "0VF", "op_1")
    amount = {"currency_code": "JPY", "value": "500"}
    assert build_capture(yen) == {"amount": amount, "invoice_id": "op_2", "final_capture": True}
    assert build_capture(msgspec.structs.replace(yen, final=False))["final_capture"] is False
    assert build_refund(yen) == {"amount": amount, "invoice_id": "op_2"}


@pytest.mark.parametrize("currency", ["HUF", "TWD"])
def test_whole_units_are_sent_without_decimals(currency: str) -> None:
    call = FollowUp("op_2", "att_1", Money(50_000, currency), "0VF", "op_1")
    assert build_refund(call)["amount"] == {"currency_code": currency, "value": "500"}


def test_a_created_order_says_where_the_payer_goes() -> None:
    answer = parse_created(CHARGE, reply(order("PAYER_ACTION_REQUIRED")))
    assert (answer.result, answer.processor_reference) == ("succeeded", "5O190127TN364715T")
    assert answer.redirect_url == "https://www.sandbox.paypal.com/checkoutnow?token=5O190127TN364715T"


@pytest.mark.parametrize("href", ["javascript:alert(1)", "", "//elsewhere"])
def test_a_page_that_is_none_leads_nowhere(href: str) -> None:
    body = order("CREATED") | {"links": [{"href": href, "rel": "approve"}]}
    assert parse_created(CHARGE, reply(body)).result == "unknown"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("CREATED", "not_found"),
        ("PAYER_ACTION_REQUIRED", "not_found"),
        ("APPROVED", "succeeded"),
        ("COMPLETED", "succeeded"),
        ("VOIDED", "failed"),
        ("A_STATUS_OF_TOMORROW", "unknown"),
    ],
)
def test_only_an_approved_order_is_a_success(status: str, said: str) -> None:
    answer = parse_order("5O190127TN364715T", reply(order(status), 200))
    assert answer.result == said
    assert answer.amount == (USD if said == "succeeded" else None)


def test_another_order_is_a_mismatch_and_no_order_is_failed() -> None:
    with pytest.raises(Mismatch):
        parse_order("ANOTHER", reply(order("APPROVED"), 200))
    assert parse_order("5O190127TN364715T", error("INVALID_RESOURCE_ID", 404)).result == "failed"
    assert parse_order("5O190127TN364715T", reply({}, 500)).result == "unknown"


def test_an_authorization() -> None:
    answer = parse_authorized(CHARGE, reply(order(authorizations=[record("CREATED")])))
    assert answer == Answer("succeeded", "0VF52814937998046", amount=USD)


@pytest.mark.parametrize(
    ("code", "ours"), [("5120", "insufficient_funds"), ("9520", "lost_or_stolen"), ("7777", "generic_decline")]
)
def test_a_completed_order_can_be_denied(code: str, ours: str) -> None:
    denied = record("DENIED", processor_response={"response_code": code})
    answer = parse_authorized(CHARGE, reply(order("COMPLETED", authorizations=[denied])))
    assert (answer.result, answer.decline_code) == ("declined", ours)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"currency_code": "USD", "value": "99.99"}},
        {"amount": {"currency_code": "EUR", "value": "100.00"}},
        {"amount": None},
        {"custom_id": "att_2"},
    ],
)
def test_an_authorization_of_something_else_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(Mismatch):
        parse_authorized(CHARGE, reply(order(authorizations=[record("CREATED", **changes)])))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(order("COMPLETED")), "unknown"),
        (reply(order(authorizations=[record("PENDING")])), "unknown"),
        (error("INSTRUMENT_DECLINED"), "declined"),
        (error("PAYER_ACTION_REQUIRED"), "declined"),
        (error("ORDER_NOT_APPROVED"), "failed"),
        (error("ORDER_ALREADY_AUTHORIZED"), "unknown"),
        (error("PREVIOUS_REQUEST_IN_PROGRESS", 409, "RESOURCE_CONFLICT"), "unknown"),
        (error("PERMISSION_DENIED", 403, "NOT_AUTHORIZED"), "failed"),
        (error("INTERNAL_SERVER_ERROR", 500), "unknown"),
        (error("INTERNAL_SERVICE_ERROR", 503), "unknown"),
    ],
)
def test_only_an_explicit_no_is_one(answer: HttpReply, said: str) -> None:
    assert parse_authorized(CHARGE, answer).result == said


@pytest.mark.parametrize(
    ("status", "said"),
    [("COMPLETED", "succeeded"), ("PENDING", "unknown"), ("DECLINED", "declined"), ("FAILED", "failed")],
)
def test_a_capture(status: str, said: str) -> None:
    assert parse_captured(CALL, reply(record(status))).result == said


@pytest.mark.parametrize(
    ("status", "said"), [("COMPLETED", "succeeded"), ("PENDING", "unknown"), ("CANCELLED", "failed")]
)
def test_a_refund(status: str, said: str) -> None:
    assert parse_refunded(CALL, reply(record(status))).result == said


def test_a_void() -> None:
    of = "0VF52814937998046"
    assert parse_voided(of, USD, HttpReply(204, b"")).result == "succeeded"
    assert parse_voided(of, USD, reply(record("VOIDED"), 200)).result == "succeeded"
    assert parse_voided(of, USD, error("PREVIOUSLY_VOIDED")).result == "succeeded"
    assert parse_voided(of, USD, error("PREVIOUSLY_CAPTURED")).result == "failed"
    with pytest.raises(Mismatch):
        parse_voided("ANOTHER", USD, reply(record("VOIDED"), 200))


def test_calls_are_found_in_their_order_by_our_id() -> None:
    mine, other = record("COMPLETED", "CAP1", invoice_id="op_2"), record("COMPLETED", "CAP2", invoice_id="op_9")
    done = order(authorizations=[record("CAPTURED")], captures=[other, mine], refunds=[other])
    assert parse_lookup(query("authorize"), reply(done, 200)).processor_reference == "0VF52814937998046"
    assert parse_lookup(query("capture"), reply(done, 200)).processor_reference == "CAP1"
    assert parse_lookup(query("refund"), reply(done, 200)).result == "not_found"
    assert parse_lookup(query("void"), reply(done, 200)).result == "not_found"
    voided = order(authorizations=[record("VOIDED")])
    assert parse_lookup(query("void"), reply(voided, 200)).result == "succeeded"
    parted = order(authorizations=[record("VOIDED")], captures=[mine, other], refunds=[record("FAILED", "R1")])
    assert parse_lookup(query("void"), reply(parted, 200)).result == "succeeded"
    assert parse_lookup(query("authorize"), reply(parted, 200)).result == "succeeded"
    assert parse_lookup(query("capture"), reply(parted, 200)).processor_reference == "CAP1"
    failed = order(refunds=[other, record("FAILED", "R2", invoice_id="op_2")])
    assert parse_lookup(query("refund"), reply(failed, 200)).result == "failed"
    assert parse_lookup(query("authorize"), reply(order("APPROVED"), 200)).result == "not_found"
    assert parse_lookup(query("authorize"), error("INVALID_RESOURCE_ID", 404)).result == "not_found"
    assert parse_lookup(query("authorize"), reply({}, 401)).result == "unknown"


def test_the_order_of_an_authorization() -> None:
    related = {"related_ids": {"order_id": "5O190127TN364715T"}}
    assert parse_order_id(reply(record("CREATED", supplementary_data=related), 200)) == "5O190127TN364715T"
    for silent in (
        reply(record("CREATED"), 200),
        HttpReply(200, b"<html>"),
        HttpReply(200, b'{"deep": ' + b"[" * 100_000),
    ):
        with pytest.raises(Silence):
            parse_order_id(silent)


def test_every_decline_is_one_of_ours() -> None:
    assert set(DECLINES.values()) <= set(DECLINE_CODES)
