"""The page of one payment over a double of the gateway: who may do what, and how each action ends."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboards import gateway_calls
from tests.dashboards import gateway_double
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble, called, payment

pytestmark = pytest.mark.usefixtures("around")

REFUNDS = "/v1/payments/pay_1/refunds"
TAKEN = {"state": "captured", "status": "succeeded", "amount": 1000, "currency": "EUR", "amount_captured": 1000}
HELD = {"state": "authorized", "amount": 1000, "currency": "EUR", "amount_capturable": 1000}


@pytest.fixture
def shown(gateway: GatewayDouble) -> GatewayDouble:
    gateway.show_payment(**TAKEN)
    return gateway


def refund(status: str, **changes: Any) -> dict[str, Any]:
    made = {
        "id": "ref_1",
        "payment": "pay_1",
        "amount": 500,
        "currency": "EUR",
        "status": status,
        "created_at": AT,
    }
    return made | changes


def half(role: str = "admin") -> AppTest:
    """The second look at half a refund."""
    page = opened(role, "payments", payment="pay_1")
    (amount,) = [field for field in page.text_input if field.label.startswith("Amount in EUR")]
    assert amount.value == "10.00"
    amount.set_value("5.00")
    page.text_input(key="why-pay_1-0").set_value("came broken")
    return press(page, "Look at it once more")


def test_all_that_happened_stands_in_one_timeline(shown: GatewayDouble) -> None:
    sale = called("succeeded", "sale", routing_reason="failover", processor_reference="vis_78")
    shown.show_payment(1, (sale, called("succeeded")), (refund("succeeded"),), **TAKEN)
    said = words(opened("analyst", "payments", payment="pay_1"))
    wanted = ("10.00 EUR", "Captured", "Refund at Visa", "vis_77", "request op_1", "38 ms", "Sale at Visa")
    wanted += ("vis_78", "the one before failed")
    assert [word for word in wanted if word not in said] == []
    assert all(f'href="{path}?id=' in said for path in ("customer", "merchant"))


def test_an_analyst_reads_and_moves_nothing(shown: GatewayDouble) -> None:
    page = opened("analyst", "payments", payment="pay_1")
    assert "10.00 EUR" in words(page)
    assert not [button.label for button in page.button if "Refund" in button.label or "once more" in button.label]


def test_an_administrator_gives_half_back(shown: GatewayDouble) -> None:
    page = half()
    assert "Visa refunds 5.00 EUR to Visa ···· 4242." in words(page)
    assert "5.00 EUR stays captured." in words(page)
    assert shown.acts() == [], "nothing is sent before it is confirmed"
    shown.say("POST", REFUNDS, refund("succeeded"), 201)
    page = press(page, "Refund 5.00 EUR")
    assert shown.acts() == [("POST", REFUNDS, {"amount": 500, "reason": "came broken"})]
    assert "Done: 5.00 EUR was refunded." in words(page)
    assert not [button.label for button in page.button if button.label == "Refund 5.00 EUR"]


def test_what_is_confirmed_twice_is_sent_under_one_key(shown: GatewayDouble) -> None:
    page = half()
    moves = dict(page.session_state["moves"])
    shown.say("POST", REFUNDS, refund("succeeded"), 201)
    page = press(page, "Refund 5.00 EUR")
    page.session_state["moves"] = {**moves}  # as where the first run was cut off by the second click
    press(page.run(), "Refund 5.00 EUR")
    assert len(shown.keys) == 2
    assert {*shown.keys} == {moves["pay_1"].key}


def test_what_got_no_answer_is_asked_again_under_the_same_key(
    shown: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_calls, "RETRY_FOR_S", 0)
    page = half()
    shown.say("POST", REFUNDS, None, gateway_double.NO_ANSWER)
    page = press(page, "Refund 5.00 EUR")
    assert "Nobody knows yet whether it was done" in words(page)
    shown.say("POST", REFUNDS, refund("succeeded"), 201)
    assert "Done: 5.00 EUR was refunded." in words(press(page, "Ask again"))
    assert len({*shown.keys}) == 1


def test_what_got_no_answer_waits_while_another_payments_money_is_moved(
    shown: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_calls, "RETRY_FOR_S", 0)
    page = half()
    shown.say("POST", REFUNDS, None, gateway_double.NO_ANSWER)
    page = press(page, "Refund 5.00 EUR")
    shown.show_payment(2, **HELD)
    page.query_params["payment"] = "pay_2"
    page = press(page.run(), "Void…")
    assert "Void 10.00 EUR" in {button.label for button in page.button}
    page.query_params["payment"] = "pay_1"
    shown.show_payment(1, **TAKEN)
    assert "Ask again" in {button.label for button in page.run().button}


def test_what_the_processor_refuses_says_why(shown: GatewayDouble) -> None:
    page = half()
    shown.refuse("POST", REFUNDS, 402, "processor_declined", decline_code="call_issuer", refund="ref_1")
    assert "Visa refused the refund of 5.00 EUR: call issuer. No money was moved." in words(
        press(page, "Refund 5.00 EUR")
    )


def test_what_is_pending_is_followed_to_its_end(shown: GatewayDouble) -> None:
    page = half()
    shown.say("POST", REFUNDS, refund("pending"), 202)
    shown.show_payment(1, (called("unknown"),), (refund("pending"),), **TAKEN)
    page = press(page, "Refund 5.00 EUR")
    assert "Pending: Visa has not answered yet" in words(page)
    assert "A refund waits for Visa." in words(page)
    shown.show_payment(1, (called("succeeded"),), (refund("succeeded"),), **TAKEN | {"amount_refunded": 500})
    assert "Done: 5.00 EUR was refunded." in words(page.run())


@pytest.mark.parametrize(
    ("status", "code", "said", "is_kept"),
    [
        (409, "wrong_state", "Not done.", False),
        (409, "operation_in_progress", "still works on this payment", True),
        (422, "amount_too_large", "Not done.", False),
        (403, "forbidden", "your role does not include it", False),
    ],
)
def test_what_the_gateway_refuses_is_not_done(
    shown: GatewayDouble, monkeypatch: pytest.MonkeyPatch, status: int, code: str, said: str, is_kept: bool
) -> None:
    monkeypatch.setattr(gateway_calls, "RETRY_FOR_S", 0)
    page = half()
    shown.refuse("POST", REFUNDS, status, code)
    page = press(page, "Refund 5.00 EUR")
    assert said in words(page)
    assert bool(page.session_state["moves"]) == is_kept


def test_more_than_there_is_never_leaves_the_page(shown: GatewayDouble) -> None:
    page = opened("admin", "payments", payment="pay_1")
    page.text_input(key="amount-refund-pay_1-0").set_value("10.01")
    assert "There is 10.00 EUR at most." in words(press(page, "Look at it once more"))
    assert shown.acts() == []


def test_a_part_is_taken_and_the_rest_stays_reserved(shown: GatewayDouble) -> None:
    shown.show_payment(**HELD)
    page = opened("admin", "payments", payment="pay_1")
    page.text_input(key="amount-capture-pay_1-0").set_value("4.00")
    page.checkbox(key="final-pay_1-0").set_value(False)
    page = press(page, "Look at it once more")
    assert "The other 6.00 EUR stays reserved." in words(page)
    shown.say("POST", "/v1/payments/pay_1/capture", payment(1, **HELD))
    press(page, "Capture 4.00 EUR")
    assert shown.acts() == [("POST", "/v1/payments/pay_1/capture", {"amount": 400, "final": False})]


def test_what_is_held_is_let_go(shown: GatewayDouble) -> None:
    shown.show_payment(**HELD)
    page = press(opened("admin", "payments", payment="pay_1"), "Void…")
    assert "Visa lets 10.00 EUR go." in words(page)
    page = press(page, "Do nothing")
    assert shown.acts() == []
    shown.say("POST", "/v1/payments/pay_1/void", payment(1, **HELD))
    page = press(press(page, "Void…"), "Void 10.00 EUR")
    assert shown.acts() == [("POST", "/v1/payments/pay_1/void", {})]
    assert "Done: 10.00 EUR was let go." in words(page)


def test_a_payment_that_nobody_knows_is_told_of(gateway: GatewayDouble) -> None:
    assert "No such payment" in words(opened("admin", "payments", payment="pay_x/../../me"))


def test_the_old_address_leads_on(shown: GatewayDouble) -> None:
    page = opened("analyst", payment="pay_1")
    assert page.query_params["payment"] in ("pay_1", ["pay_1"])
    assert "What happened" in words(page)
