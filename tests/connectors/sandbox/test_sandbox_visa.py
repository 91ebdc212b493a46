"""Visa's twin over HTTP, with bodies and signatures written from CyberSource's documentation."""

from typing import Any

import aiohttp
import pytest

from connectors.sandbox.magic import VISA_CARDS
from schemas.ids import new_id
from tests.connectors.sandbox.wires import Control, Visa


async def test_a_sale_is_authorized_and_settled(visa: Visa, control: Control, reference: str) -> None:
    answer = await visa.pay(reference, "12.34", id="op_of_" + reference)
    assert (answer.status, answer["status"]) == (201, "AUTHORIZED")
    assert answer["clientReferenceInformation"]["code"] == reference
    assert answer["orderInformation"]["amountDetails"]["authorizedAmount"] == "12.34"
    assert set(answer["_links"]) == {"self", "void", "refund"}
    [row] = await control.rows(reference)
    assert row["request_id"] == "op_of_" + reference
    assert row["operation"] == "sale"
    assert (row["amount"], row["currency"], row["status"]) == (1234, "EUR", "applied")


async def test_an_authorization_offers_its_capture_and_reversal(
    visa: Visa, control: Control, reference: str
) -> None:
    answer = await visa.pay(reference, capture=False)
    assert set(answer["_links"]) == {"self", "authReversal", "capture"}
    assert await control.moves(reference) == [("authorize", 1000, "applied")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "d3Jvbmc="},
        {"merchant": "somebody_else"},
        {"age_s": 3600},
        {"age_s": -3600},
        {"signed": "host date request-target v-c-merchant-id"},
        {"signed": "date request-target digest v-c-merchant-id"},
        {"signed": "host date digest v-c-merchant-id"},
    ],
    ids=str,
)
async def test_a_signature_that_does_not_hold_is_refused(
    visa: Visa, control: Control, http: aiohttp.ClientSession, reference: str, wrong: dict[str, Any]
) -> None:
    path, body = "/pts/v2/payments", b"{}"
    headers = visa.headers("POST", path, body, **wrong)
    async with http.post(f"http://{visa.host}{path}", data=body, headers=headers) as answer:
        assert answer.status == 401
    assert await control.rows(reference) == []


async def test_a_body_other_than_the_signed_one_is_refused(visa: Visa, http: aiohttp.ClientSession) -> None:
    headers = visa.headers("POST", "/pts/v2/payments", b'{"a":1}')
    async with http.post(f"http://{visa.host}/pts/v2/payments", data=b'{"a":2}', headers=headers) as answer:
        assert answer.status == 401


async def test_a_request_without_signature_or_with_nonsense_in_it_is_refused(
    visa: Visa, http: aiohttp.ClientSession
) -> None:
    for headers in ({}, {"Signature": 'keyid="sandbox-key", signature="ü"', "Date": "yesterday"}):
        async with http.post(f"http://{visa.host}/pts/v2/payments", data=b"{}", headers=headers) as answer:
            assert answer.status == 401


@pytest.mark.parametrize("number", VISA_CARDS)
async def test_a_magic_card_says_what_its_table_says(
    visa: Visa, control: Control, reference: str, number: str
) -> None:
    answer = await visa.pay(reference, number=number)
    outcome = VISA_CARDS[number]
    assert (answer.status, answer["status"]) == (201, outcome.status)
    assert answer["errorInformation"]["reason"] == outcome.reason
    rows = await control.moves(reference)
    if not outcome.recorded:
        assert rows == []
    elif outcome.approved:  # held for review: the bank reserved the money, nothing was settled
        assert rows == [("authorize", 1000, "applied")]
    else:
        assert rows == [("sale", 1000, "declined")]


async def test_a_card_whose_check_digit_is_wrong_is_no_account(visa: Visa, reference: str) -> None:
    answer = await visa.pay(reference, number="4111111111111112")
    assert (answer["status"], answer["errorInformation"]["reason"]) == ("DECLINED", "INVALID_ACCOUNT")


async def test_a_card_past_its_month_is_expired(visa: Visa, reference: str) -> None:
    answer = await visa.pay(reference, month="12", year="2020")
    assert (answer["status"], answer["errorInformation"]["reason"]) == ("DECLINED", "EXPIRED_CARD")


async def test_address_amounts_need_an_address(visa: Visa, control: Control, reference: str) -> None:
    assert (await visa.pay(reference, "50.00"))["status"] == "AUTHORIZED"
    body = visa.payment(reference, "50.00")
    body["orderInformation"]["billTo"] = {"address1": "1 Main Street"}
    answer = await visa.call("POST", "/pts/v2/payments", body)
    assert (answer["status"], answer["errorInformation"]["reason"]) == ("AUTHORIZED_RISK_DECLINED", "AVS_FAILED")
    assert [move[0] for move in await control.moves(reference)] == ["sale", "authorize"]


async def test_the_cvn_amount_needs_a_cvn(visa: Visa, reference: str) -> None:
    assert (await visa.pay(reference, "6002.00"))["status"] == "AUTHORIZED"
    answer = await visa.pay(reference, "6002.00", cvn="123")
    assert answer["errorInformation"]["reason"] == "CVN_NOT_MATCH"


async def test_a_part_is_approved_only_where_the_merchant_takes_parts(
    visa: Visa, control: Control, reference: str
) -> None:
    assert (await visa.pay(reference, "6003.00"))["errorInformation"]["reason"] == "INSUFFICIENT_FUND"
    body = visa.payment(reference, "6003.00")
    body["processingInformation"]["authorizationOptions"] = {"partialAuthIndicator": True}
    answer = await visa.call("POST", "/pts/v2/payments", body)
    assert answer["status"] == "PARTIAL_AUTHORIZED"
    assert answer["orderInformation"]["amountDetails"]["authorizedAmount"] == "3001.50"
    assert (await control.moves(reference))[-1] == ("authorize", 300150, "applied")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": "-1.00"}, "INVALID_DATA"),
        ({"amount": "0.00"}, "INVALID_DATA"),
        ({"amount": "1e2"}, "INVALID_DATA"),
        ({"amount": "NaN"}, "INVALID_DATA"),
        ({"amount": "１００"}, "INVALID_DATA"),
        ({"amount": "1.001"}, "INVALID_DATA"),
        ({"amount": "10.50", "currency": "JPY"}, "INVALID_DATA"),
        ({"currency": "XXQ"}, "INVALID_DATA"),
        ({"month": "13"}, "INVALID_DATA"),
        ({"number": "4111 1111 1111 1111"}, "INVALID_DATA"),
    ],
    ids=str,
)
async def test_a_field_that_is_wrong_is_named_and_not_repeated(
    visa: Visa, control: Control, reference: str, change: dict[str, str], reason: str
) -> None:
    answer = await visa.pay(reference, **change)
    assert (answer.status, answer["status"], answer["reason"]) == (400, "INVALID_REQUEST", reason)
    assert answer["details"][0]["field"]
    assert "4111" not in str(answer)
    assert await control.rows(reference) == []


async def test_a_missing_field_is_named(visa: Visa, reference: str) -> None:
    body = visa.payment(reference)
    del body["paymentInformation"]["card"]["number"]
    answer = await visa.call("POST", "/pts/v2/payments", body)
    assert (answer.status, answer["reason"]) == (400, "MISSING_FIELD")
    assert answer["details"][0]["field"] == "paymentInformation.card.number"


async def test_nothing_is_deduplicated(visa: Visa, control: Control, reference: str) -> None:
    id = new_id("op")
    first = await visa.pay(reference, id=id)
    second = await visa.pay(reference, id=id)
    assert first["id"] != second["id"]
    assert len(await control.rows(reference)) == 2
    found = await visa.search(f"clientReferenceInformation.transactionId:{id}")
    assert [summary["id"] for summary in found] == [first["id"], second["id"]]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("payments/1234/captures", "MISSING_AUTH"),
        ("payments/1234/reversals", "MISSING_AUTH"),
        ("payments/1234/voids", "NOT_VOIDABLE"),
        ("captures/1234/refunds", "INVALID_DATA"),
    ],
)
async def test_what_follows_nothing_is_refused(visa: Visa, reference: str, path: str, reason: str) -> None:
    answer = await visa.follow(path, reference, "1.00")
    assert (answer.status, answer["reason"]) == (400, reason)


async def test_an_authorization_is_reversed_once(visa: Visa, control: Control, reference: str) -> None:
    payment = await visa.pay(reference, capture=False)
    path = f"payments/{payment['id']}/reversals"
    answer = await visa.follow(path, reference, id="op_void_" + reference)
    assert (answer["status"], answer["reversalAmountDetails"]["reversedAmount"]) == ("REVERSED", "10.00")
    assert (await visa.follow(path, reference))["reason"] == "AUTH_ALREADY_REVERSED"
    captured = await visa.follow(f"payments/{payment['id']}/captures", reference, "1.00")
    assert captured["reason"] == "AUTH_ALREADY_REVERSED"
    rows = await control.rows(reference)
    assert [row["operation"] for row in rows] == ["authorize", "reversal"]
    assert (rows[1]["of"], rows[1]["request_id"]) == (rows[0]["id"], "op_void_" + reference)


async def test_what_is_settled_is_not_reversed_and_what_is_not_settled_is_not_voided(
    visa: Visa, reference: str
) -> None:
    sale = await visa.pay(reference)
    assert (await visa.follow(f"payments/{sale['id']}/reversals", reference))["reason"] == (
        "TRANSACTION_ALREADY_SETTLED"
    )
    held = await visa.pay(reference, capture=False)
    assert (await visa.follow(f"payments/{held['id']}/voids", reference))["reason"] == "NOT_VOIDABLE"
    await visa.follow(f"payments/{held['id']}/captures", reference, "10.00")
    assert (await visa.follow(f"payments/{held['id']}/reversals", reference))["reason"] == (
        "TRANSACTION_ALREADY_SETTLED"
    )


async def test_an_authorization_is_reversed_as_a_whole(visa: Visa, reference: str) -> None:
    payment = await visa.pay(reference, capture=False)
    answer = await visa.follow(f"payments/{payment['id']}/reversals", reference, "5.00")
    assert answer["reason"] == "INVALID_AMOUNT"


async def test_sales_captures_and_refunds_are_voided_once(visa: Visa, control: Control, reference: str) -> None:
    sale = await visa.pay(reference)
    refund = await visa.follow(f"payments/{sale['id']}/refunds", reference, "10.00")
    assert (await visa.follow(f"payments/{sale['id']}/voids", reference))["reason"] == "NOT_VOIDABLE"
    for path in (f"refunds/{refund['id']}/voids", f"payments/{sale['id']}/voids"):
        assert (await visa.follow(path, reference))["status"] == "VOIDED"
        assert (await visa.follow(path, reference))["reason"] == "NOT_VOIDABLE"
    operations = [row["operation"] for row in await control.rows(reference)]
    assert operations == ["sale", "refund", "void", "void"]


@pytest.mark.parametrize(
    ("capture", "path", "status", "operation"),
    [(False, "reversals/", "REVERSED", "reversal"), (True, "voids/", "VOIDED", "void")],
)
async def test_what_was_never_answered_is_taken_back_by_the_merchants_own_id(
    visa: Visa, control: Control, reference: str, capture: bool, path: str, status: str, operation: str
) -> None:
    id, own = new_id("op"), new_id("op")
    await visa.pay(reference, capture=capture, id=id)
    answer = await visa.follow(path, reference, id=id, **{"v-c-correlation-id": own})
    assert (answer.status, answer["status"]) == (201, status)
    rows = await control.rows(reference)
    assert (rows[1]["operation"], rows[1]["request_id"], rows[1]["of"]) == (operation, own, rows[0]["id"])
    assert (await visa.follow(path, reference, id=id)).status == 400
    assert len(await control.rows(reference)) == 2


@pytest.mark.parametrize(("path", "reason"), [("reversals", "MISSING_AUTH"), ("voids", "NOT_VOIDABLE")])
async def test_there_is_nothing_to_take_back(visa: Visa, reference: str, path: str, reason: str) -> None:
    assert (await visa.follow(path, reference))["reason"] == reason
    answer = await visa.call("POST", f"/pts/v2/{path}", {})
    assert (answer.status, answer["reason"]) == (400, "MISSING_FIELD")


async def test_of_two_calls_under_one_id_each_is_taken_back(visa: Visa, control: Control, reference: str) -> None:
    id = new_id("op")
    for _ in range(2):
        await visa.pay(reference, capture=False, id=id)
    assert [(await visa.follow("reversals", reference, id=id)).status for _ in range(3)] == [201, 201, 400]
    rows = await control.rows(reference)
    assert sorted(row["of"] for row in rows if "of" in row) == [rows[0]["id"], rows[1]["id"]]


async def test_a_search_by_the_merchants_id_tells_what_became_of_a_call(visa: Visa, reference: str) -> None:
    id = new_id("op")
    assert await visa.search(f"clientReferenceInformation.transactionId:{id}") == []
    payment = await visa.pay(reference, id=id)
    [found] = await visa.search(f"clientReferenceInformation.transactionId:{id}")
    assert (found["id"], found["clientReferenceInformation"]["code"]) == (payment["id"], reference)
    applications = found["applicationInformation"]["applications"]
    assert [(a["name"], a["reasonCode"], a["rCode"]) for a in applications] == [
        ("ics_auth", "100", "1"),
        ("ics_bill", "100", "1"),
    ]
    assert found["orderInformation"]["amountDetails"] == {
        "totalAmount": "10.00",
        "authorizedAmount": "10.00",
        "currency": "EUR",
    }


async def test_a_search_shows_declines_reviews_and_reversals(visa: Visa, reference: str) -> None:
    id = new_id("op")
    await visa.pay(reference, id=id, number="4000000000009995")
    await visa.pay(reference, id=id, number="4000000000009235")
    await visa.follow("reversals", reference, id=id)
    found = await visa.search(f"clientReferenceInformation.code:{reference}")
    named = [[(a["name"], a["rCode"]) for a in f["applicationInformation"]["applications"]] for f in found]
    assert named == [[("ics_auth", "0")], [("ics_auth", "1"), ("ics_decision", "0")], [("ics_auth_reversal", "1")]]


async def test_a_transactions_details_name_its_relatives(visa: Visa, reference: str) -> None:
    payment = await visa.pay(reference, capture=False)
    capture = await visa.follow(f"payments/{payment['id']}/captures", reference, "3.00")
    details = await visa.call("GET", f"/tss/v2/transactions/{capture['id']}")
    assert (details["id"], details["rootId"], details["status"]) == (capture["id"], payment["id"], "PENDING")
    assert details["_links"]["relatedTransactions"][0]["href"].endswith(payment["id"])
    assert (await visa.call("GET", "/tss/v2/transactions/1234")).status == 404


async def test_a_path_that_is_none_is_not_found(visa: Visa) -> None:
    assert (await visa.call("GET", "/pts/v2/payments")).status == 404
