"""Mastercard's twin over HTTP, with bodies written from the Mastercard Gateway's reference pages."""

import aiohttp
import pytest

from connectors.sandbox.magic import MASTERCARD_EXPIRIES, MASTERCARD_FOLLOW_UPS
from schemas.ids import new_id
from tests.connectors.sandbox.wires import Control, Mastercard


async def test_a_sale_is_paid(mastercard: Mastercard, control: Control, reference: str) -> None:
    id = new_id("op")
    answer = await mastercard.pay(reference, "12.34", id=id)
    assert (answer.status, answer["result"], answer["response"]["gatewayCode"]) == (201, "SUCCESS", "APPROVED")
    assert answer["response"]["cardSecurityCode"]["gatewayCode"] == "MATCH"
    assert answer["order"] == {
        "id": reference,
        "status": "CAPTURED",
        "amount": 12.34,
        "currency": "EUR",
        "totalAuthorizedAmount": 12.34,
        "totalCapturedAmount": 12.34,
        "totalRefundedAmount": 0,
    }
    transaction = answer["transaction"]
    assert (transaction["id"], transaction["type"], transaction["amount"]) == (id, "PAYMENT", 12.34)
    [row] = await control.rows(reference)
    assert (row["operation"], row["request_id"], row["amount"]) == ("sale", id, 1234)


async def test_a_card_is_shown_masked(mastercard: Mastercard, reference: str) -> None:
    answer = await mastercard.pay(reference)
    assert answer["sourceOfFunds"]["provided"]["card"] == {"number": "512345xxxxxx0008"}


async def test_credentials_are_checked(
    mastercard: Mastercard, control: Control, http: aiohttp.ClientSession, reference: str
) -> None:
    answer = await mastercard.call("GET", f"/order/{reference}", password="guess")
    assert (answer.status, answer["result"]) == (401, "ERROR")
    url = str(mastercard.merchant_url).replace("SLUICE", "OTHER")
    async with http.put(f"{url}/order/a/transaction/b", headers={"Authorization": "Basic !"}) as refused:
        assert refused.status == 401
    answer = await mastercard.call("GET", f"/../OTHER/order/{reference}")
    assert answer.status == 401
    assert await control.rows(reference) == []


@pytest.mark.parametrize("expiry", MASTERCARD_EXPIRIES)
async def test_a_magic_expiry_says_what_its_table_says(
    mastercard: Mastercard, control: Control, reference: str, expiry: str
) -> None:
    answer = await mastercard.pay(reference, expiry=expiry)
    outcome = MASTERCARD_EXPIRIES[expiry]
    said = (answer["result"], answer["response"]["gatewayCode"])
    assert (answer.status, *said) == (201, outcome.status, outcome.reason)
    status = "applied" if outcome.approved else "declined"
    assert await control.moves(reference) == ([("sale", 1000, status)] if outcome.recorded else [])
    assert answer["order"]["status"] == ("CAPTURED" if outcome.approved else "FAILED")


async def test_an_unknown_outcome_is_known_when_asked_again(mastercard: Mastercard, reference: str) -> None:
    id = new_id("op")
    assert (await mastercard.pay(reference, expiry="05/37", id=id))["result"] == "UNKNOWN"
    answer = await mastercard.get(reference, id)
    assert (answer["result"], answer["response"]["gatewayCode"]) == ("SUCCESS", "APPROVED")


async def test_a_security_code_that_does_not_match_is_declined(
    mastercard: Mastercard, control: Control, reference: str
) -> None:
    answer = await mastercard.pay(reference, csc="102")
    assert (answer["result"], answer["response"]["gatewayCode"]) == ("FAILURE", "DECLINED_CSC")
    assert answer["response"]["cardSecurityCode"]["gatewayCode"] == "NO_MATCH"
    assert await control.moves(reference) == [("sale", 1000, "declined")]


async def test_a_card_past_its_month_is_expired(mastercard: Mastercard, reference: str) -> None:
    assert (await mastercard.pay(reference, expiry="12/20"))["response"]["gatewayCode"] == "EXPIRED_CARD"


async def test_after_a_decline_the_order_takes_another_try(
    mastercard: Mastercard, control: Control, reference: str
) -> None:
    await mastercard.pay(reference, expiry="05/39")
    assert (await mastercard.pay(reference))["result"] == "SUCCESS"
    again = await mastercard.pay(reference)
    assert (again.status, again["error"]["cause"]) == (400, "INVALID_REQUEST")
    assert [move[2] for move in await control.moves(reference)] == ["declined", "applied"]


async def test_the_same_request_is_applied_once_and_another_one_under_its_ids_refused(
    mastercard: Mastercard, control: Control, reference: str
) -> None:
    id = new_id("op")
    first = await mastercard.pay(reference, "10.00", id=id)
    assert await mastercard.pay(reference, "10.00", id=id) == first
    other = await mastercard.pay(reference, "11.00", id=id)
    assert (other.status, other["result"], other["error"]["cause"]) == (400, "ERROR", "INVALID_REQUEST")
    other_card = await mastercard.pay(reference, "10.00", id=id, number="5111111111111118")
    assert other_card.status == 400
    assert len(await control.rows(reference)) == 1


async def test_captures_follow_one_authorization_and_no_further(
    mastercard: Mastercard, control: Control, reference: str
) -> None:
    held = await mastercard.pay(reference, operation="AUTHORIZE")
    assert held["order"]["status"] == "AUTHORIZED"
    first = await mastercard.take(reference, "CAPTURE", "4.00", "capture1")
    assert first["order"]["status"] == "PARTIALLY_CAPTURED"
    assert await mastercard.take(reference, "CAPTURE", "4.00", "capture1") == first
    assert (await mastercard.take(reference, "CAPTURE", "6.01"))["error"]["field"] == "transaction.amount"
    last = await mastercard.take(reference, "CAPTURE", "6.00")
    assert (last["order"]["status"], last["order"]["totalCapturedAmount"]) == ("CAPTURED", 10)
    rows = await control.rows(reference)
    assert [(row["operation"], row["amount"], row.get("of")) for row in rows] == [
        ("authorize", 1000, None),
        ("capture", 400, rows[0]["id"]),
        ("capture", 600, rows[0]["id"]),
    ]


async def test_refunds_never_exceed_what_was_captured(
    mastercard: Mastercard, control: Control, reference: str
) -> None:
    await mastercard.pay(reference)
    part = await mastercard.take(reference, "REFUND", "4.00")
    assert (part["order"]["status"], part["order"]["totalRefundedAmount"]) == ("PARTIALLY_REFUNDED", 4)
    assert (await mastercard.take(reference, "REFUND", "6.01")).status == 400
    assert (await mastercard.take(reference, "REFUND", "6.00"))["order"]["status"] == "REFUNDED"
    assert [move[1] for move in await control.moves(reference)] == [1000, 400, 600]


async def test_a_refund_may_be_larger_than_one_capture(
    mastercard: Mastercard, control: Control, reference: str
) -> None:
    await mastercard.pay(reference, operation="AUTHORIZE")
    for amount in ("3.00", "5.00"):
        await mastercard.take(reference, "CAPTURE", amount)
    assert (await mastercard.take(reference, "REFUND", "8.01")).status == 400
    assert (await mastercard.take(reference, "REFUND", "4.00"))["order"]["status"] == "PARTIALLY_REFUNDED"
    last = await mastercard.take(reference, "REFUND", "4.00", "across")
    assert (last["order"]["status"], last["transaction"]["amount"]) == ("REFUNDED", 4)
    assert (await mastercard.get(reference, "across"))["transaction"]["amount"] == 4
    assert (await mastercard.take(reference, "REFUND", "0.01")).status == 400
    assert (await mastercard.void(reference, "across")).status == 400
    rows = await control.rows(reference)
    first, second = rows[1]["id"], rows[2]["id"]
    refunds = [(row["amount"], row["of"]) for row in rows if row["operation"] == "refund"]
    assert refunds == [(400, second), (300, first), (100, second)]


@pytest.mark.parametrize("expiry", MASTERCARD_FOLLOW_UPS)
async def test_a_later_call_is_refused_by_a_magic_expirys_issuer_and_kept(
    mastercard: Mastercard, control: Control, reference: str, expiry: str
) -> None:
    refused = MASTERCARD_FOLLOW_UPS[expiry]
    paying = "PAY" if refused == "refund" else "AUTHORIZE"
    assert (await mastercard.pay(reference, operation=paying, expiry=expiry, id="paid"))["result"] == "SUCCESS"
    for _ in range(2):
        if refused == "void":
            answer = await mastercard.void(reference, "paid", "no")
        else:
            answer = await mastercard.take(reference, refused.upper(), "1.00", "no")
        said = (answer.status, answer["result"], answer["response"]["gatewayCode"])
        assert said == (201, "FAILURE", "DECLINED")
    assert (await mastercard.get(reference, "no"))["result"] == "FAILURE"
    assert [move[2] for move in await control.moves(reference)] == ["applied", "declined"]


async def test_an_authorization_cannot_be_refunded(mastercard: Mastercard, reference: str) -> None:
    await mastercard.pay(reference, operation="AUTHORIZE")
    assert (await mastercard.take(reference, "REFUND", "1.00")).status == 400


@pytest.mark.parametrize("operation", ["AUTHORIZE", "PAY"])
async def test_a_payment_is_voided_once(
    mastercard: Mastercard, control: Control, reference: str, operation: str
) -> None:
    await mastercard.pay(reference, operation=operation, id="first")
    voided = await mastercard.void(reference, "first", "void1")
    assert (voided["result"], voided["order"]["status"]) == ("SUCCESS", "CANCELLED")
    assert (await mastercard.void(reference, "first")).status == 400
    assert (await mastercard.void(reference, "first", "void1")).status == 201  # the same call once more
    assert (await mastercard.take(reference, "CAPTURE", "1.00")).status == 400
    assert (await mastercard.take(reference, "REFUND", "1.00")).status == 400
    rows = await control.rows(reference)
    assert [row["operation"] for row in rows] == [{"AUTHORIZE": "authorize", "PAY": "sale"}[operation], "void"]
    assert (rows[1]["of"], rows[1]["amount"]) == (rows[0]["id"], 1000)


async def test_what_was_captured_or_refunded_is_not_voided(mastercard: Mastercard, reference: str) -> None:
    await mastercard.pay(reference, operation="AUTHORIZE", id="held")
    await mastercard.take(reference, "CAPTURE", "5.00", "taken")
    assert (await mastercard.void(reference, "held")).status == 400
    await mastercard.take(reference, "REFUND", "5.00", "given")
    assert (await mastercard.void(reference, "taken")).status == 400
    for target in ("given", "taken", "held"):
        assert (await mastercard.void(reference, target)).status == 201
    assert (await mastercard.void(reference, "nothing")).status == 400


async def test_a_look_up_says_what_the_call_was_answered(mastercard: Mastercard, reference: str) -> None:
    await mastercard.pay(reference, expiry="05/39", id="no")
    paid = await mastercard.pay(reference, "10.00", id="yes")
    found = await mastercard.get(reference, "yes")
    assert (found.status, dict(found)) == (200, dict(paid))
    assert (await mastercard.get(reference, "no"))["response"]["gatewayCode"] == "DECLINED"
    order = await mastercard.call("GET", f"/order/{reference}")
    assert (order["status"], [t["transaction"]["id"] for t in order["transaction"]]) == ("CAPTURED", ["no", "yes"])


async def test_what_was_never_sent_cannot_be_found(mastercard: Mastercard, reference: str) -> None:
    for answer in (await mastercard.get(reference, "a"), await mastercard.call("GET", f"/order/{reference}")):
        assert (answer.status, answer["error"]["cause"]) == (400, "INVALID_REQUEST")
        assert answer["error"]["explanation"].startswith("Unable to find")


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "0.00"},
        {"amount": "-1"},
        {"amount": "1.234"},
        {"number": "5123450000000009"},
        {"number": "5123"},
        {"expiry": "13/39"},
        {"expiry": "01/2039"},
        {"operation": "VERIFY_ALL"},
    ],
    ids=str,
)
async def test_a_bad_request_moves_nothing_and_is_not_repeated(
    mastercard: Mastercard, control: Control, reference: str, change: dict[str, str]
) -> None:
    answer = await mastercard.pay(reference, **change)
    assert (answer.status, answer["result"], answer["error"]["cause"]) == (400, "ERROR", "INVALID_REQUEST")
    assert answer["error"]["field"]
    assert "5123" not in str(answer)
    assert await control.rows(reference) == []
