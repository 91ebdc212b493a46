"""PayPal's twin over HTTP, with bodies written from PayPal's OpenAPI documents."""

import json
from typing import Any

import pytest

from connectors.sandbox.magic import PAYPAL_DENIED
from schemas.ids import new_id
from tests.connectors.sandbox.wires import Control, PayPal


def issue(answer: Any) -> str:
    return str(answer["details"][0]["issue"])


async def test_a_token_is_given_for_the_right_credentials_only(paypal: PayPal) -> None:
    good = await paypal.token()
    assert (good.status, good["token_type"]) == (200, "Bearer")
    assert good["expires_in"] > 3600
    bad = await paypal.token(secret="guess")
    assert (bad.status, bad["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer A21AAnonsense", "Bearer A21AA" + "A" * 60, "Basic eDp5"])
async def test_calls_need_a_token_of_ours(paypal: PayPal, token: str) -> None:
    answer = await paypal.call("GET", "/v2/checkout/orders/X", Authorization=token)
    assert (answer.status, answer["name"]) == (401, "AUTHENTICATION_FAILURE")


async def test_creating_an_order_moves_nothing_and_sends_the_payer_to_a_page(
    paypal: PayPal, control: Control, reference: str
) -> None:
    order = await paypal.create(reference)
    assert (order.status, order["status"]) == (201, "PAYER_ACTION_REQUIRED")
    [page] = [link["href"] for link in order["links"] if link["rel"] == "payer-action"]
    assert page == f"{paypal.base}/checkoutnow?token={order['id']}"
    assert await control.rows(reference) == []


async def test_an_order_of_the_older_kind_is_created_and_approved_by_link(paypal: PayPal, reference: str) -> None:
    body = {
        "intent": "AUTHORIZE",
        "purchase_units": [{"reference_id": reference, "amount": {"currency_code": "EUR", "value": "1.00"}}],
        "application_context": {"return_url": "http://localhost:1/r", "cancel_url": "http://localhost:1/c"},
    }
    order = await paypal.call("POST", "/v2/checkout/orders", body)
    assert order["status"] == "CREATED"
    assert "approve" in [link["rel"] for link in order["links"]]


async def test_the_payers_page_is_a_form_with_two_buttons_and_escapes_what_it_shows(
    paypal: PayPal, reference: str
) -> None:
    order = await paypal.create(reference, "12.34")
    status, html, _ = await paypal.page(order["id"])
    assert status == 200
    assert ">Approve</button>" in html
    assert ">Cancel</button>" in html
    assert "12.34\N{NO-BREAK SPACE}EUR" in html
    assert "Two &lt;b&gt;&amp;&lt;/b&gt; one" in html
    assert "<script" not in html


async def test_approving_sends_the_payer_back_and_the_order_says_so(paypal: PayPal, reference: str) -> None:
    order = await paypal.create(reference)
    status, _, location = await paypal.page(order["id"], "approve")
    assert status == 303
    assert location.startswith(f"http://localhost:1/back?a=1&token={order['id']}&PayerID=")
    shown = await paypal.call("GET", f"/v2/checkout/orders/{order['id']}")
    assert (shown["status"], shown["purchase_units"][0]["reference_id"]) == ("APPROVED", reference)
    assert (await paypal.page(order["id"]))[0] == 303  # a payer who comes back is sent on


async def test_cancelling_leaves_the_order_as_it_was(paypal: PayPal, reference: str) -> None:
    order = await paypal.create(reference)
    status, _, location = await paypal.page(order["id"], "cancel")
    assert (status, location) == (303, f"http://localhost:1/back?cancelled=&token={order['id']}")
    shown = await paypal.call("GET", f"/v2/checkout/orders/{order['id']}")
    assert shown["status"] == "PAYER_ACTION_REQUIRED"


async def test_the_page_of_no_order_is_not_found(paypal: PayPal) -> None:
    assert (await paypal.page("NOBODY"))[0] == 404


async def test_an_approved_order_is_authorized_once(paypal: PayPal, control: Control, reference: str) -> None:
    order, id = await paypal.approved(reference), new_id("op")
    path = f"/v2/checkout/orders/{order}/authorize"
    first = await paypal.call("POST", path, {}, id)
    assert (first.status, first["status"]) == (201, "COMPLETED")
    [made] = first["purchase_units"][0]["payments"]["authorizations"]
    assert (made["status"], made["amount"]["value"], made["custom_id"]) == ("CREATED", "10.00", reference)
    again = await paypal.call("POST", path, {}, id)
    assert (again.status, dict(again)) == (200, dict(first))
    other = await paypal.call("POST", path, {})
    assert (other.status, issue(other)) == (422, "ORDER_ALREADY_AUTHORIZED")
    [row] = await control.rows(reference)
    assert (row["operation"], row["request_id"], row["amount"]) == ("authorize", id, 1000)


async def test_an_order_nobody_approved_is_not_authorized(
    paypal: PayPal, control: Control, reference: str
) -> None:
    order = await paypal.create(reference)
    path = f"/v2/checkout/orders/{order['id']}"
    answer = await paypal.call("POST", f"{path}/authorize", {}, "same")
    assert (answer.status, issue(answer)) == (422, "ORDER_NOT_APPROVED")
    assert issue(await paypal.call("POST", f"{path}/capture", {})) == "ACTION_DOES_NOT_MATCH_INTENT"
    await paypal.page(order["id"], "approve")
    assert (await paypal.call("POST", f"{path}/authorize", {}, "same")).status == 201  # a no is not kept
    assert len(await control.rows(reference)) == 1


async def test_an_order_to_capture_is_a_sale(paypal: PayPal, control: Control, reference: str) -> None:
    order = await paypal.approved(reference, intent="CAPTURE")
    answer = await paypal.call("POST", f"/v2/checkout/orders/{order}/capture", {})
    assert answer["purchase_units"][0]["payments"]["captures"][0]["status"] == "COMPLETED"
    assert await control.moves(reference) == [("sale", 1000, "applied")]


@pytest.mark.parametrize("amount", PAYPAL_DENIED)
async def test_a_denied_authorization_comes_as_201_of_a_completed_order(
    paypal: PayPal, control: Control, reference: str, amount: str
) -> None:
    order = await paypal.approved(reference, amount)
    answer = await paypal.call("POST", f"/v2/checkout/orders/{order}/authorize", {})
    assert (answer.status, answer["status"]) == (201, "COMPLETED")
    [made] = answer["purchase_units"][0]["payments"]["authorizations"]
    assert made["status"] == "DENIED"
    assert made["processor_response"]["response_code"] == PAYPAL_DENIED[amount]
    assert [move[2] for move in await control.moves(reference)] == ["declined"]
    assert issue(await paypal.move(f"authorizations/{made['id']}/capture")) == "AUTHORIZATION_DENIED"
    assert issue(await paypal.move(f"authorizations/{made['id']}/void")) == "CANNOT_BE_VOIDED"


async def test_a_capture_can_be_declined_after_all(paypal: PayPal, control: Control, reference: str) -> None:
    _, authorization = await paypal.authorized(reference, "51.40")
    capture = await paypal.move(f"authorizations/{authorization}/capture", final_capture=True)
    assert (capture.status, capture["status"]) == (201, "DECLINED")
    assert issue(await paypal.move(f"captures/{capture['id']}/refund")) == "REFUND_NOT_ALLOWED"
    assert (await paypal.move(f"authorizations/{authorization}/void")).status == 204
    assert [move[2] for move in await control.moves(reference)] == ["applied", "declined", "applied"]


async def test_captures_follow_an_authorization_and_no_further(
    paypal: PayPal, control: Control, reference: str
) -> None:
    order, authorization = await paypal.authorized(reference)
    path, id = f"authorizations/{authorization}/capture", new_id("op")
    first = await paypal.move(path, "4.00", id, invoice_id=id)
    assert (first.status, first["status"], first["invoice_id"]) == (201, "COMPLETED", id)
    assert await paypal.move(path, "4.00", id, invoice_id=id) == first
    assert issue(await paypal.move(path, "1.00", invoice_id=id)) == "DUPLICATE_INVOICE_ID"
    assert issue(await paypal.move(path, "6.01")) == "MAX_CAPTURE_AMOUNT_EXCEEDED"
    shown = await paypal.call("GET", f"/v2/payments/authorizations/{authorization}")
    assert shown["status"] == "PARTIALLY_CAPTURED"
    assert (await paypal.move(path)).status == 201  # without an amount: the rest
    assert issue(await paypal.move(path, "0.01")) == "AUTHORIZATION_ALREADY_CAPTURED"
    payments = (await paypal.call("GET", f"/v2/checkout/orders/{order}"))["purchase_units"][0]["payments"]
    assert payments["authorizations"][0]["status"] == "CAPTURED"
    assert [capture["amount"]["value"] for capture in payments["captures"]] == ["4.00", "6.00"]
    rows = await control.rows(reference)
    assert [(row["operation"], row["amount"], row.get("of")) for row in rows] == [
        ("authorize", 1000, None),
        ("capture", 400, rows[0]["id"]),
        ("capture", 600, rows[0]["id"]),
    ]


async def test_a_final_capture_is_the_last(paypal: PayPal, reference: str) -> None:
    _, authorization = await paypal.authorized(reference)
    path = f"authorizations/{authorization}/capture"
    await paypal.move(path, "4.00", final_capture=True)
    assert issue(await paypal.move(path, "1.00")) == "AUTHORIZATION_ALREADY_CAPTURED"
    shown = await paypal.call("GET", f"/v2/payments/authorizations/{authorization}")
    assert shown["status"] == "CAPTURED"


async def test_an_authorization_is_voided_once(paypal: PayPal, control: Control, reference: str) -> None:
    _, authorization = await paypal.authorized(reference)
    path, id = f"authorizations/{authorization}/void", new_id("op")
    shown = await paypal.call("POST", f"/v2/payments/{path}", {}, id, Prefer="return=representation")
    assert (shown.status, shown["status"]) == (200, "VOIDED")
    again = await paypal.call("POST", f"/v2/payments/{path}", {}, id, Prefer="return=representation")
    assert (again.status, dict(again)) == (200, dict(shown))
    assert issue(await paypal.move(path)) == "PREVIOUSLY_VOIDED"
    assert issue(await paypal.move(f"authorizations/{authorization}/capture")) == "AUTHORIZATION_VOIDED"
    assert await control.moves(reference) == [("authorize", 1000, "applied"), ("void", 1000, "applied")]


async def test_a_void_without_representation_has_no_body_and_neither_has_its_repetition(
    paypal: PayPal, control: Control, reference: str
) -> None:
    _, authorization = await paypal.authorized(reference)
    for _ in range(2):
        answer = await paypal.move(f"authorizations/{authorization}/void", id="void-" + reference)
        assert (answer.status, dict(answer)) == (204, {})
    assert len(await control.rows(reference)) == 2


async def test_a_void_after_a_part_releases_the_rest(paypal: PayPal, control: Control, reference: str) -> None:
    order, authorization = await paypal.authorized(reference)
    await paypal.move(f"authorizations/{authorization}/capture", "4.00")
    assert (await paypal.move(f"authorizations/{authorization}/void")).status == 204
    payments = (await paypal.call("GET", f"/v2/checkout/orders/{order}"))["purchase_units"][0]["payments"]
    assert [payments["authorizations"][0]["status"], payments["captures"][0]["status"]] == ["VOIDED", "COMPLETED"]
    assert issue(await paypal.move(f"authorizations/{authorization}/capture", "1.00")) == "AUTHORIZATION_VOIDED"
    assert (await paypal.move(f"captures/{payments['captures'][0]['id']}/refund")).status == 201
    assert await control.moves(reference) == [
        ("authorize", 1000, "applied"),
        ("capture", 400, "applied"),
        ("void", 600, "applied"),
        ("refund", 400, "applied"),
    ]


@pytest.mark.parametrize("amount", ["10.00", "1.00"])
async def test_after_the_final_capture_there_is_nothing_to_void(
    paypal: PayPal, reference: str, amount: str
) -> None:
    _, authorization = await paypal.authorized(reference)
    await paypal.move(f"authorizations/{authorization}/capture", amount, final_capture=True)
    assert issue(await paypal.move(f"authorizations/{authorization}/void")) == "PREVIOUSLY_CAPTURED"


async def test_a_magic_amount_is_not_voided(paypal: PayPal, control: Control, reference: str) -> None:
    _, authorization = await paypal.authorized(reference, "51.43")
    assert issue(await paypal.move(f"authorizations/{authorization}/void")) == "CANNOT_BE_VOIDED"
    assert len(await control.rows(reference)) == 1


async def test_a_refund_can_fail_or_be_refused(paypal: PayPal, control: Control, reference: str) -> None:
    order, authorization = await paypal.authorized(reference, "200.00")
    capture = await paypal.move(f"authorizations/{authorization}/capture")
    path = f"captures/{capture['id']}/refund"
    failed = await paypal.move(path, "51.41")
    assert (failed.status, failed["status"]) == (201, "FAILED")
    assert issue(await paypal.move(path, "51.42")) == "PAYER_ACCOUNT_LOCKED_OR_CLOSED"
    payments = (await paypal.call("GET", f"/v2/checkout/orders/{order}"))["purchase_units"][0]["payments"]
    assert [(refund["id"], refund["status"]) for refund in payments["refunds"]] == [(failed["id"], "FAILED")]
    assert payments["captures"][0]["status"] == "COMPLETED"
    assert (await control.moves(reference))[2:] == [("refund", 5141, "declined")]


async def test_an_invoice_id_refunds_a_capture_once(paypal: PayPal, reference: str) -> None:
    _, authorization = await paypal.authorized(reference)
    capture = await paypal.move(f"authorizations/{authorization}/capture")
    path = f"captures/{capture['id']}/refund"
    assert (await paypal.move(path, "1.00", invoice_id="mine")).status == 201
    assert issue(await paypal.move(path, "1.00", invoice_id="mine")) == "DUPLICATE_INVOICE_ID"


async def test_refunds_never_exceed_the_capture(paypal: PayPal, control: Control, reference: str) -> None:
    _, authorization = await paypal.authorized(reference)
    capture = await paypal.move(f"authorizations/{authorization}/capture")
    path, id = f"captures/{capture['id']}/refund", new_id("op")
    first = await paypal.move(path, "4.00", id)
    assert (first.status, first["status"]) == (201, "COMPLETED")
    assert (await paypal.move(path, "4.00", id))["id"] == first["id"]
    shown = await paypal.call("GET", f"/v2/payments/captures/{capture['id']}")
    assert shown["status"] == "PARTIALLY_REFUNDED"
    assert issue(await paypal.move(path, "6.01")) == "REFUND_AMOUNT_EXCEEDED"
    assert (await paypal.move(path))["amount"]["value"] == "6.00"
    assert issue(await paypal.move(path, "0.01")) == "CAPTURE_FULLY_REFUNDED"
    refund = await paypal.call("GET", f"/v2/payments/refunds/{first['id']}")
    assert (refund["status"], refund["amount"]["value"]) == ("COMPLETED", "4.00")
    assert [move[1] for move in await control.moves(reference)] == [1000, 1000, 400, 600]


@pytest.mark.parametrize("wanted", ["INSTRUMENT_DECLINED", ["TRANSACTION_REFUSED"]])
async def test_a_mocked_issue_is_answered_and_moves_nothing(
    paypal: PayPal, control: Control, reference: str, wanted: Any
) -> None:
    order = await paypal.approved(reference)
    header = json.dumps({"mock_application_codes": wanted})
    path = f"/v2/checkout/orders/{order}/authorize"
    answer = await paypal.call("POST", path, {}, **{"PayPal-Mock-Response": header})
    assert (answer.status, issue(answer)) == (422, wanted if isinstance(wanted, str) else wanted[0])
    assert await control.rows(reference) == []


async def test_what_does_not_exist_is_not_found(paypal: PayPal) -> None:
    for path in ("checkout/orders/NONE", "payments/authorizations/NONE", "payments/captures/NONE", "nowhere"):
        answer = await paypal.call("GET", f"/v2/{path}")
        assert (answer.status, answer["name"]) == (404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"intent": "AUTHORIZE", "purchase_units": []}, 400),
        ({"intent": "KEEP", "purchase_units": [{"amount": {"currency_code": "EUR", "value": "1.00"}}]}, 400),
        ({"intent": "CAPTURE", "purchase_units": [{"amount": {"currency_code": "EUR", "value": "0"}}]}, 422),
        ({"intent": "CAPTURE", "purchase_units": [{"amount": {"currency_code": "JPY", "value": "1.5"}}]}, 422),
        ({"intent": "CAPTURE", "purchase_units": [{"amount": {"currency_code": "EUR", "value": 1}}]}, 400),
    ],
    ids=str,
)
async def test_a_bad_order_is_refused(paypal: PayPal, body: dict[str, Any], status: int) -> None:
    answer = await paypal.call("POST", "/v2/checkout/orders", body)
    assert answer.status == status
    assert answer["details"][0]["field"].startswith("/")


@pytest.mark.parametrize(
    ("currency", "value", "told"),
    [
        ("HUF", "1.50", "DECIMALS_NOT_SUPPORTED"),
        ("TWD", "100.00", "DECIMALS_NOT_SUPPORTED"),
        ("JPY", "100.0", "DECIMALS_NOT_SUPPORTED"),
        ("EUR", "1.005", "DECIMAL_PRECISION"),
        ("CLF", "1.00", "INVALID_CURRENCY_CODE"),
        ("XXX", "1", "INVALID_CURRENCY_CODE"),
    ],
)
async def test_currencies_and_decimals_that_paypal_does_not_take(
    paypal: PayPal, currency: str, value: str, told: str
) -> None:
    unit = {"amount": {"currency_code": currency, "value": value}}
    answer = await paypal.call("POST", "/v2/checkout/orders", {"intent": "AUTHORIZE", "purchase_units": [unit]})
    assert (answer.status, issue(answer)) == (422, told)


async def test_whole_units_are_written_without_decimals(paypal: PayPal) -> None:
    unit = {"amount": {"currency_code": "HUF", "value": "1500"}}
    made = await paypal.call("POST", "/v2/checkout/orders", {"intent": "AUTHORIZE", "purchase_units": [unit]})
    shown = await paypal.call("GET", f"/v2/checkout/orders/{made['id']}")
    assert (made.status, shown["purchase_units"][0]["amount"]["value"]) == (201, "1500")


@pytest.mark.parametrize(("outcome", "status"), [("completed", "COMPLETED"), ("declined", "DECLINED")])
async def test_what_is_pending_moves_nothing_until_it_is_decided(
    paypal: PayPal, control: Control, reference: str, outcome: str, status: str
) -> None:
    _, authorization = await paypal.authorized(reference, "60.00")
    made = await paypal.move(f"authorizations/{authorization}/capture", "51.44")
    assert (made.status, made["status"], made["status_details"]) == (201, "PENDING", {"reason": "ECHECK"})
    early = await paypal.move(f"captures/{made['id']}/refund", "1.00")
    assert issue(early) == "PENDING_CAPTURE"
    assert await control.moves(reference) == [("authorize", 6000, "applied")]
    assert await control.decide(outcome) == (200, {"decided": 1})
    assert (await paypal.call("GET", f"/v2/payments/captures/{made['id']}"))["status"] == status
    ended = ("capture", 5144, "applied" if outcome == "completed" else "declined")
    assert (await control.moves(reference))[1:] == [ended]
    assert (await control.decide("forgotten"))[0] == 422
