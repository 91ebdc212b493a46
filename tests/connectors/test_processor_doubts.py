"""Answers that were read and leave an outcome open: an id seen before, what is pending, what became of a hold."""

from functools import partial
from typing import Any

import msgspec
import pytest

from connectors.processors.contract import CardDetails, Charge, FollowUp, Query
from connectors.processors.mastercard import parse_payment as mastercard_payment
from connectors.processors.mastercard import parse_taking
from connectors.processors.paypal import parse_authorized, parse_captured, parse_lookup, parse_taken_back
from connectors.processors.response_checks import answer_to
from connectors.processors.transport import HttpReply
from connectors.processors.visa import parse_payment, parse_taken
from connectors.processors.visa_search import parse_family_search, parse_search
from schemas.ids import new_id
from schemas.money import Money
from tests.connectors.desk import Desk, follow_up, query, rest_of

EUR = Money(10221, "EUR")
CHARGE = Charge("op_1", "att_1", EUR, CardDetails("4111111111111111", 3, 2031), "ORDER")
MANY = 21  # more than a page of what CyberSource finds
CALL = FollowUp("op_2", "att_1", EUR, "0VF52814937998046", "op_1")


def reply(body: Any, status: int = 400) -> HttpReply:
    return HttpReply(status, msgspec.json.encode(body))


def by_visa(reason: str, *fields: str) -> HttpReply:
    details = [{"field": field, "reason": reason} for field in fields]
    return reply({"status": "INVALID_REQUEST", "reason": reason, "message": "No.", "details": details})


def by_mastercard(explanation: str, field: str = "") -> HttpReply:
    error = {"cause": "INVALID_REQUEST", "explanation": explanation, "field": field}
    return reply({"result": "ERROR", "error": error})


def by_paypal(issue: str, status: int = 422, name: str = "UNPROCESSABLE_ENTITY") -> HttpReply:
    return reply({"name": name, "message": "No.", "details": [{"issue": issue}]}, status)


# --- ids seen before ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        by_visa("DUPLICATE_REQUEST"),
        by_visa("INVALID_DATA"),
        by_visa("INVALID_DATA", "clientReferenceInformation.transactionId"),
        by_visa("INVALID_DATA", "merchantTransactionId", "orderInformation.amountDetails.currency"),
    ],
)
def test_a_transaction_id_that_cybersource_may_have_seen_is_in_doubt(refusal: HttpReply) -> None:
    for answer in (parse_payment(CHARGE, refusal), parse_taken(CALL, refusal)):
        assert (answer.result, answer.doubt) == ("unknown", "duplicate")


@pytest.mark.parametrize(
    "refusal",
    [
        by_visa("INVALID_DATA", "paymentInformation.card.number"),
        by_visa("MISSING_FIELD"),
        by_visa("INVALID_AMOUNT"),
    ],
)
def test_what_cybersource_names_as_wrong_otherwise_is_refused(refusal: HttpReply) -> None:
    assert parse_payment(CHARGE, refusal).result == "failed"


@pytest.mark.parametrize(
    "refusal",
    [
        by_mastercard("The transaction id was used for another request of this order.", "transaction.id"),
        by_mastercard("Value 'op_1' is invalid. transactionId is not unique", "transaction.id"),
        by_mastercard("Duplicate transaction ID"),
    ],
)
def test_a_transaction_that_mastercard_knows_is_in_doubt(refusal: HttpReply) -> None:
    taken = parse_taking("att_1", "op_2", EUR, refusal)
    for answer in (mastercard_payment(CHARGE, refusal), taken):
        assert (answer.result, answer.doubt) == ("unknown", "duplicate")


def test_an_order_that_mastercard_knows_is_in_doubt_for_what_would_open_it_alone() -> None:
    refusal = by_mastercard("The order has been authorized already.", "order.id")
    assert mastercard_payment(CHARGE, refusal).doubt == "duplicate"
    assert parse_taking("att_1", "op_2", EUR, refusal).result == "failed"
    assert mastercard_payment(CHARGE, by_mastercard("Value 'x' is invalid.", "order.id")).result == "failed"


@pytest.mark.parametrize(
    "refusal",
    [
        by_paypal("DUPLICATE_INVOICE_ID"),
        by_paypal("DUPLICATE_REQUEST_ID"),
        by_paypal("ORDER_ALREADY_AUTHORIZED"),
        by_paypal("ORDER_ALREADY_CAPTURED"),
        by_paypal("", 400, "DUPLICATE_REQUEST_ID"),
    ],
)
def test_what_paypal_has_done_before_is_in_doubt(refusal: HttpReply) -> None:
    for answer in (parse_authorized(CHARGE, refusal), parse_captured(CALL, refusal)):
        assert (answer.result, answer.doubt) == ("unknown", "duplicate")


def test_a_search_tells_of_the_call_and_not_of_its_repetition() -> None:
    def summary(reason: str, r_code: str) -> dict[str, Any]:
        return {
            "id": "6750124114786780104953",
            "applicationInformation": {
                "applications": [{"name": "ics_auth", "rCode": r_code, "reasonCode": reason}],
            },
            "clientReferenceInformation": {"code": "att_1"},
            "orderInformation": {"amountDetails": {"totalAmount": "102.21", "currency": "EUR"}},
        }

    for order in (("102", "100"), ("100", "102"), ("104", "100")):
        found = {"_embedded": {"transactionSummaries": [summary(r, str(int(r == "100"))) for r in order]}}
        asked = Query("op_1", "att_1", "authorize", EUR)
        assert parse_search(asked, reply(found, 201)).result == "succeeded", order


# --- what is not decided yet --------------------------------------------------------------------------------


def test_what_paypal_has_not_decided_says_why() -> None:
    pending = {"id": "CAPTURE", "status": "PENDING", "status_details": {"reason": "ECHECK"}, "invoice_id": "op_2"}
    unit = {"payments": {"captures": [pending], "refunds": [pending], "authorizations": [pending]}}
    order = reply({"id": "ORDER", "status": "COMPLETED", "purchase_units": [unit]}, 200)
    answers = [parse_captured(CALL, reply(pending, 201)), parse_authorized(CHARGE, order)]
    answers += [parse_lookup(Query("op_2", "att_1", kind, EUR), order) for kind in ("capture", "refund")]
    for answer in answers:
        assert (answer.result, answer.doubt, answer.pending_reason) == ("unknown", "pending", "ECHECK")
    assert parse_captured(CALL, reply({"id": "CAPTURE", "status": "PENDING"}, 201)).pending_reason == "PENDING"


def test_what_the_card_wires_have_not_decided_says_why() -> None:
    body = {"result": "PENDING", "response": {"gatewayCode": "SUBMITTED"}}
    answer = parse_taking("att_1", "op_2", EUR, reply(body, 201))
    assert (answer.result, answer.pending_reason) == ("unknown", "SUBMITTED")
    answer = parse_payment(CHARGE, reply({"id": "6", "status": "PENDING_REVIEW"}, 201))
    assert (answer.result, answer.pending_reason) == ("unknown", "PENDING_REVIEW")


async def test_other_money_is_a_mismatch() -> None:
    other = {"id": "CAPTURE", "status": "COMPLETED", "amount": {"value": "1.00", "currency_code": "EUR"}}
    answer = await answer_to(_said(reply(other, 201)), partial(parse_captured, CALL))
    assert (answer.result, answer.doubt) == ("unknown", "mismatch")


async def _said(answer: HttpReply) -> HttpReply:
    return answer


# --- what became of a hold ----------------------------------------------------------------------------------


async def test_an_authorization_that_was_released_by_hand_is_gone(desk: Desk) -> None:
    charge, made = await desk.authorized()
    asked = query(charge, "authorize")
    assert (await desk.processor.taken_back(asked)).result == "failed"  # it stands
    assert (await desk.processor.void(follow_up(charge, made))).result == "succeeded"
    assert (await desk.processor.taken_back(asked)).result == "succeeded"


async def test_a_capture_that_was_taken_back_leaves_its_authorization(desk: Desk) -> None:
    charge, made = await desk.authorized()
    capture = follow_up(charge, made)
    assert (await desk.processor.capture(capture)).result == "succeeded"
    assert (await desk.processor.reverse(new_id("op"), query(capture, "capture"))).result == "succeeded"
    assert (await desk.processor.taken_back(query(charge, "authorize"))).result == "failed"


@pytest.mark.parametrize("desk", ["visa"], indirect=True)
async def test_a_release_after_more_calls_than_one_page_is_found(desk: Desk) -> None:
    charge, made = await desk.authorized()
    await desk.parts(charge, made, *[1] * MANY)
    assert (await desk.processor.void(rest_of(charge, made, charge.amount.amount - MANY))).result == "succeeded"
    assert (await desk.processor.taken_back(query(charge, "authorize"))).result == "succeeded"


async def test_of_what_was_never_sent_nothing_is_known(desk: Desk) -> None:
    asked = query(await desk.charge(), "authorize")
    assert (await desk.processor.taken_back(asked)).result == "not_found"


@pytest.mark.parametrize(
    ("status", "result"), [("EXPIRED", "succeeded"), ("DENIED", "not_found"), ("CREATED", "failed")]
)
def test_an_authorization_at_paypal_may_expire(status: str, result: str) -> None:
    unit = {"payments": {"authorizations": [{"id": "AUTH", "status": status}]}}
    order = reply({"id": "ORDER", "status": "COMPLETED", "purchase_units": [unit]}, 200)
    assert parse_taken_back(Query("op_1", "att_1", "authorize", EUR, "ORDER"), order).result == result


def test_a_search_that_failed_says_nothing_of_a_hold() -> None:
    assert parse_family_search(Query("op_1", "att_1", "sale", EUR), reply({}, 500)).result == "unknown"
