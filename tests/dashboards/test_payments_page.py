"""The page Payments: filters are the address, pages go forth and back, views are kept, roles see their own."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dashboards.payment_columns import chosen_columns, columns_for, named
from dashboards.payment_csv import payments_csv
from dashboards.payment_reading import ListedPayment, PaidWith, Risk
from dashboards.session_checks import Person
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble, payment

pytestmark = pytest.mark.usefixtures("around")
VIEW = "/v1/me/saved/payments_view"
NOW = datetime(2026, 11, 27, 7, tzinfo=UTC)


def asked(gateway: GatewayDouble) -> dict[str, str]:
    """The query of the last list, without the times."""
    queries = [query for method, path, query in gateway.asked if (method, path) == ("GET", "/v1/payments")]
    return {name: value for name, value in queries[-1].items() if name not in ("after", "limit")}


@pytest.fixture
def listed(gateway: GatewayDouble) -> GatewayDouble:
    """A gateway with one payment, and one view."""
    gateway.say("GET", "/v1/me/saved", [{"name": "Failed", "content": "status=failed&evil=1", "updated_at": AT}])
    gateway.say("GET", "/v1/payments", [payment(1, updated_at=AT, reference="order <7>")])
    return gateway


def test_rows_lead_to_a_payment(listed: GatewayDouble) -> None:
    said = words(opened("analyst", "payments"))
    assert 'href="payments?payment=pay_1"' in said
    assert all(part in said for part in ("283.45", "GBP", "Held for review", "Visa ···· 4242", "order &lt;7&gt;"))
    assert asked(listed) == {}


def test_a_payment_is_left_for_the_list_it_was_found_in(listed: GatewayDouble) -> None:
    said = words(opened("analyst", "payments", status="pending", tz="Asia/Tokyo", cursor="~x"))
    assert 'href="payments?payment=pay_1&amp;status=pending&amp;tz=Asia%2FTokyo"' in said
    listed.show_payment()
    said = words(opened("analyst", "payments", payment="pay_1", status="pending", tz="Asia/Tokyo"))
    assert 'href="payments?status=pending&amp;tz=Asia%2FTokyo"' in said


def test_a_search_has_no_period_until_one_is_chosen(listed: GatewayDouble) -> None:
    page = opened("analyst", "payments", q="4242", cursor="~old")
    assert period(page).value is None
    page = period(page).set_value("24h").run()
    assert page.query_params == {"q": "4242", "period": "24h"}, "and the first page of it"
    assert period(page).value == "24h"


def period(page: Any) -> Any:
    (control,) = [control for control in page.get("button_group") if control.label == "Period"]
    return control


def test_what_is_typed_stands_in_the_address_and_can_be_meant_otherwise(listed: GatewayDouble) -> None:
    page = opened("analyst", "payments", cursor="~old")
    page = page.text_input(key="payments-typed").set_value(" 4242 ").run()
    assert page.query_params["q"] == "4242"
    assert "cursor" not in page.query_params
    assert "last four digits of a card, in all time" in words(page)
    assert asked(listed) == {"last4": "4242"}
    page = press(page, "Take it for a reference")
    assert asked(listed) == {"reference": "4242"}
    page = page.text_input(key="payments-typed").set_value("4111 1111 1111 1111").run()
    assert page.query_params["q"] == "1111"
    assert "stands nowhere here" in words(page)
    assert "4111 1111" not in str(listed.asked)


def test_filters_are_chosen_shown_and_taken_away(listed: GatewayDouble) -> None:
    page = opened("analyst", "payments", status="failed", processor="visa")
    assert asked(listed) == {"status": "failed", "processor": "visa"}
    (state,) = [box for box in page.selectbox if box.label == "State"]
    state.set_value("declined")
    page = press(page, "Show these")
    assert asked(listed) == {"status": "failed", "processor": "visa", "state": "declined"}
    page = press(page, "Processor: Visa ✕")
    assert asked(listed) == {"status": "failed", "state": "declined"}


def test_an_amount_without_its_currency_asks_for_nothing(listed: GatewayDouble) -> None:
    assert "Add the currency" in words(opened("analyst", "payments", q="42.00"))
    assert "/v1/payments" not in {path for _, path, _ in listed.asked}


def test_pages_go_forth_and_back_in_the_same_period(listed: GatewayDouble) -> None:
    page = opened("analyst", "payments")
    listed.say("GET", "/v1/payments", {"data": [payment(2, updated_at=AT)] * 50, "next_cursor": "two"})
    page = press(press(page, "Look again"), "Older →")
    periods = [query["after"] for _, path, query in listed.asked if path == "/v1/payments"]
    assert asked(listed) == {"cursor": "two"}
    assert periods[-1] == periods[-2], "a cursor holds for its filters alone"
    page = press(page, "← Newer")
    assert asked(listed) == {}
    assert [button.disabled for button in page.button if button.label == "← Newer"] == [True]


def test_an_id_leads_to_its_payment_whatever_the_filters_are(listed: GatewayDouble) -> None:
    listed.say("GET", "/v1/refunds/ref_9", {"id": "ref_9", "payment": "pay_1"})
    listed.say("GET", "/v1/payments/pay_1", payment(1, updated_at=AT))
    assert "pay_1" in words(opened("analyst", "payments", q="ref_9", status="failed"))
    page = opened("analyst", "payments", q="pay_nobodys", status="failed")
    assert "No payment is like that" in words(page)


def test_a_search_that_came_not_far_enough_goes_on(listed: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.payment_list.LOOKS_S", 0)
    listed.say("GET", "/v1/payments", {"data": [], "next_cursor": "further"})
    page = opened("analyst", "payments", state="unknown")
    assert "looked at so far" in words(page)
    press(page, "Older →")
    assert asked(listed) == {"state": "unknown", "cursor": "further"}


def test_a_view_is_saved_chosen_and_removed(listed: GatewayDouble) -> None:
    page = opened("analyst", "payments", status="failed", cols="time,amount", cursor="~x")
    assert "/v1/me/saved" not in {path for _, path, _ in listed.asked}, "nobody opened the menu"
    page.session_state["views-menu"] = True
    page = page.run()
    page = press(page, "Failed")
    assert page.query_params == {"status": "failed"}, "the address says what is shown"
    page.query_params["cols"] = "time,amount"
    page.session_state["views-menu"] = True
    page = page.run()
    listed.say("PUT", f"{VIEW}/My%20failed", {})
    (name,) = [field for field in page.text_input if field.label == "Save what is shown as"]
    name.set_value("My failed")
    assert "is saved" in words(press(page, "Save"))
    content = {"content": "status=failed&cols=time%2Camount"}
    assert listed.acts() == [("PUT", f"{VIEW}/My%20failed", content)]
    listed.say("DELETE", f"{VIEW}/Failed", None, 204)
    page.session_state["views-menu"] = True
    assert "is removed" in words(press(page.run(), "✕"))


def test_columns_are_chosen_and_those_of_staff_are_theirs_alone() -> None:
    staff, merchants = (columns_for(Person("acc_1", role)) for role in ("analyst", "merchant"))  # type: ignore[arg-type]
    of_staff = {column.name for column in staff} - {column.name for column in merchants}
    assert of_staff == {"risk", "reasons", "customer", "merchant"}
    assert [column.name for column in chosen_columns("amount,risk", merchants)] == ["time", "amount"]
    assert chosen_columns("nonsense", staff) == chosen_columns("", staff)
    assert named(["amount", "risk"], staff) == "time,amount,risk"
    assert named([column.name for column in chosen_columns("", staff)], staff) == ""


def listed_payment(**changes: Any) -> ListedPayment:
    given: dict[str, Any] = {"id": "pay_1", "status": "succeeded", "state": "captured", "amount": 1234}
    given |= {"currency": "JPY", "customer": "acc_ada", "merchant": "acc_shop", "capture": "automatic"}
    given |= {"payment_method": PaidWith("card", "visa", "0042"), "processor": "visa", "amount_captured": 1234}
    times = {"created_at": NOW, "updated_at": NOW}
    return ListedPayment(**given | times | changes)


def test_csv_has_both_forms_of_money_no_formula_and_for_staff_more() -> None:
    rows = [
        listed_payment(reference="=1+1"),
        listed_payment(currency="EUR", risk=Risk("flag", reasons=["a", "b"])),
    ]
    first, *lines = payments_csv(rows, Person("acc_1", "analyst")).decode().splitlines()
    found = [dict(zip(first.split(","), line.split(","), strict=True)) for line in lines]
    assert [(row["amount_minor"], row["amount"], row["currency"]) for row in found] == [
        ("1234", "1234", "JPY"),
        ("1234", "12.34", "EUR"),
    ]
    assert (found[0]["reference"], found[0]["last4"], found[1]["risk_reasons"]) == ("'=1+1", "0042", "a b")
    of_merchants = payments_csv(rows, Person("acc_1", "merchant")).decode()
    assert "acc_ada" not in of_merchants
    assert "flag" not in of_merchants


def test_what_became_of_a_payment_is_said() -> None:
    for changes, said in (
        ({}, ""),
        ({"amount_captured": 400, "state": "partially_captured"}, "400 captured"),
        ({"amount_refunded": 1234}, "refunded"),
        ({"amount_refunded": 34}, "34 refunded"),
        ({"state": "declined", "decline_code": "expired_card", "amount_captured": 0}, "expired card"),
    ):
        assert listed_payment(**changes).what_became() == said
