"""The pages Money and Notifications as people use them, over a real warehouse and a double of the gateway."""

from datetime import timedelta
from typing import Any

import pytest
import streamlit as st

from dashboards import door
from schemas.times import now
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble, payment

TASK = {
    "id": "tsk_1",
    "kind": "refund_refused",
    "payment": "pay_1",
    "operation": "op_1",
    "tried": 5,
    "opened_at": AT,
}


@pytest.fixture(autouse=True)
def around(gateway: GatewayDouble, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setenv("SLUICE_DATA", str(shop.settings.data))
    monkeypatch.setenv("SLUICE_PORT_OFFSET", str(shop.settings.port_offset))
    monkeypatch.setenv("SLUICE_GATEWAY", gateway.url)
    monkeypatch.setattr(door, "_browser", lambda: "one")
    gateway.say("GET", "/v1/tasks", [TASK])
    gateway.say(
        "GET", "/v1/payments/pay_1", payment(1, state="captured", amount_captured=500, amount_refunded=500)
    )


def test_money_is_shown_by_currency_and_says_where_there_is_none(shop: Any) -> None:
    assert "Nothing in this time" in words(opened("analyst", "money"))
    taken = shop.payment(now() - timedelta(hours=1), amount=1050, currency="EUR", state="captured")
    shop.take(taken)
    shop.take(shop.payment(now() - timedelta(hours=1), amount=700, currency="JPY", state="unknown"))
    shop.refund(taken, 50)
    st.cache_data.clear()
    said = words(opened("analyst", "money"))
    assert all(word in said for word in ("10.50", "0.50", "10.00", "Processor silent", taken.id))
    assert "?payment=" in said
    assert "700 JPY" in words(opened("analyst", "money", currency="JPY"))
    assert taken.id in words(opened("analyst", "money", view="refunds"))


def test_the_books_say_what_differs_and_that_all_agrees(shop: Any) -> None:
    said = words(opened("analyst", "money", view="books"))
    assert "All agree" in said
    assert "sluice reconcile" in said
    shop.take(shop.payment(now() - timedelta(days=2), amount=1050, currency="EUR", state="captured"))
    st.cache_data.clear()
    said = words(opened("analyst", "money", view="books", month="2020-02"))
    assert "-10.50" in said
    assert "Nothing was captured or refunded in this month" in said
    assert "Nothing was captured" in words(opened("analyst", "money", view="books", month="x'y"))


def test_an_administrator_resolves_a_task_and_reads_where_its_payment_stands(gateway: GatewayDouble) -> None:
    gateway.say("POST", "/v1/tasks/tsk_1/resolve", TASK | {"outcome": "released"})
    page = press(opened("admin", "money", view="tasks", task="tsk_1"), "Resolve now")
    assert "Say why" in words(page)
    assert gateway.acts() == []
    page.text_area[0].set_value("their support wrote on Monday")
    said = words(press(page, "Resolve now"))
    assert [body for _, _, body in gateway.acts()] == [
        {"outcome": "released", "reason": "their support wrote on Monday"}
    ]
    assert "Released: written down. The payment is captured now, and 0.00 GBP of it stays captured." in said


def test_what_was_resolved_by_another_is_said_and_the_page_stays(gateway: GatewayDouble) -> None:
    gateway.refuse("POST", "/v1/tasks/tsk_1/resolve", 409, "wrong_state", detail="It is resolved already.")
    page = opened("admin", "money", view="tasks", task="tsk_1")
    page.text_area[0].set_value("asked")
    assert "It is resolved already." in words(press(page, "Resolve now"))


def test_an_analyst_sees_tasks_and_resolves_none(gateway: GatewayDouble) -> None:
    page = opened("analyst", "money", view="tasks", task="tsk_1")
    assert "An administrator writes down the answer" in words(page)
    assert not [button for button in page.button if "Resolve" in button.label]


def test_messages_are_found_by_the_masked_address_alone(shop: Any) -> None:
    page = opened("analyst", "notifications")
    assert "Nobody was to be told" in words(page)
    page.text_input[0].set_value("carol@example.com")
    page = press(page, "Find")
    assert page.query_params["q"] in ("c…@example.com", ["c…@example.com"])
    assert "Nothing was sent about it" in words(page)
