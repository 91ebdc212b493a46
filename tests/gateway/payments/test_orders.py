"""Orders: what becomes of a payment whose payer comes back, refuses, or closes the browser."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.books.operations import Operation, select_operations
from gateway.payments.recovery_pools import sweep
from gateway.policy import ASK_PAYER_US, HOUR_US
from schemas.times import steady_micros
from tests.gateway.payments.conftest import Shop

BY_PAYPAL = {"type": "paypal"}


async def order_of(shop: Shop, payment_id: str) -> Operation:
    """The order of a payment."""
    order, *_ = await shop.gateway.runtime.books.read(select_operations, payment_id)
    return order


async def asked_to_approve(shop: Shop) -> Any:
    """A payment that waits for its payer."""
    asked = (await shop.pay(500, payment_method=BY_PAYPAL)).json
    assert asked["state"] == "requires_action"
    return asked


async def test_paypal_goes_through_its_payer(shop: Shop) -> None:
    back = "http://localhost:9/shop?order=1"
    asked = await shop.pay(500, payment_method={"type": "paypal"}, return_url=back, key="pp")
    assert (asked.status, asked.json["state"], asked.json["next_action"]["type"]) == (
        202,
        "requires_action",
        "redirect",
    )
    home = await shop.press_at_paypal(asked.json["next_action"]["url"])
    done = await shop.come_back(home)
    payment = asked.json["id"]
    assert (done.status, done.headers["Location"]) == (303, f"{back}&payment={payment}")
    assert await shop.state(payment) == "captured"
    assert (await shop.come_back(home)).status == 303  # idempotent
    assert [row.operation for row in shop.ledger()] == ["authorize", "capture"]
    events = (await shop.get(f"/v1/payments/{payment}/events"))["data"]
    assert [event["type"] for event in events] == [
        "payment.initiated",
        "payment.requires_action",
        "payment.approved",
        "payment.authorized",
        "payment.captured",
        "transaction_completed",
    ]
    assert (await shop.pay(500, payment_method={"type": "paypal"}, return_url=back, key="pp")).body == asked.body


async def test_a_payer_who_refuses_voids(shop: Shop) -> None:
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json
    home = await shop.press_at_paypal(asked["next_action"]["url"], "cancel")
    assert (await shop.come_back(home)).json["state"] == "voided"
    assert shop.ledger() == []


BEFORE_ANYBODY_CAME: tuple[dict[str, str], ...] = (
    {"Sec_Purpose": "prefetch;prerender"},
    {"Purpose": "prefetch"},
    {"X_Moz": "prefetch"},
    {"X_Purpose": "preview"},
    {"Sec_Fetch_Mode": "no-cors"},  # a picture on somebody's page
)


async def test_who_only_looks_at_the_address_of_the_cancel_button_voids_nothing(shop: Shop) -> None:
    asked = (await shop.pay(500, payment_method=BY_PAYPAL)).json
    cancel = f"/v1/return/{asked['id']}/{await shop.nonce(asked['id'])}?cancelled"
    looked = await shop.gateway.ask("HEAD", cancel)
    assert (looked.status, looked.json["state"]) == (200, "requires_action")
    for headers in BEFORE_ANYBODY_CAME:
        looked = await shop.gateway.ask("GET", cancel, **headers)
        assert (looked.status, looked.json["state"]) == (200, "requires_action"), headers
    assert await shop.state(asked["id"]) == "requires_action"
    came = await shop.gateway.ask("GET", cancel, Sec_Fetch_Mode="navigate")
    assert came.json["state"] == "voided"


async def test_who_only_looks_at_the_return_address_finishes_nothing(shop: Shop) -> None:
    asked = (await shop.pay(500, payment_method=BY_PAYPAL)).json
    home = await shop.press_at_paypal(asked["next_action"]["url"])
    path = home.removeprefix(shop.gateway.runtime.settings.public_url)
    assert (await shop.gateway.ask("HEAD", path)).json["state"] == "requires_action"
    assert shop.ledger() == []
    assert (await shop.come_back(home)).json["state"] == "captured"


async def test_coming_back_without_approval_changes_nothing(shop: Shop) -> None:
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json
    row = await shop.nonce(asked["id"])
    assert (await shop.come_back(f"/v1/return/{asked['id']}/{row}")).json["state"] == "requires_action"
    for guess in ("guessed", "gu\u00e9ss\u00e9"):
        assert (await shop.come_back(f"/v1/return/{asked['id']}/{guess}")).status == 404


async def test_a_payer_who_approves_and_closes_the_browser_has_paid(shop: Shop) -> None:
    asked = await asked_to_approve(shop)
    await shop.press_at_paypal(asked["next_action"]["url"])
    await shop.expire()
    assert await shop.state(asked["id"]) == "captured"
    assert [row.operation for row in shop.ledger()] == ["authorize", "capture"]
    events = (await shop.get(f"/v1/payments/{asked['id']}/events"))["data"]
    assert [event["type"] for event in events][2:] == [
        "payment.approved",
        "payment.authorized",
        "payment.captured",
        "transaction_completed",
    ]


async def test_paypal_is_asked_at_growing_intervals_for_three_hours(shop: Shop) -> None:
    payment_id = (await asked_to_approve(shop))["id"]
    assert sum(ASK_PAYER_US) == 3 * HOUR_US
    for checks, pause_us in enumerate(ASK_PAYER_US):
        order = await order_of(shop, payment_id)
        assert order.checks == checks
        assert order.lease_until is not None
        assert abs(order.lease_until - steady_micros() - pause_us) < 5_000_000
        assert await shop.state(payment_id) == "requires_action"
        await shop.expire()
    assert await shop.state(payment_id) == "voided"
    assert (await order_of(shop, payment_id)).lease_until is None
    assert shop.ledger() == []


async def test_an_approval_in_the_last_minute_counts(shop: Shop) -> None:
    asked = await asked_to_approve(shop)
    for _ in ASK_PAYER_US[1:]:
        await shop.expire()
    await shop.press_at_paypal(asked["next_action"]["url"])
    await shop.expire()
    assert await shop.state(asked["id"]) == "captured"


async def test_a_question_that_paypal_does_not_answer_voids_nothing(shop: Shop) -> None:
    asked = await asked_to_approve(shop)
    shop.fault("paypal", "refuse")
    for _ in range(len(ASK_PAYER_US) + 2):
        await shop.expire()
    order = await order_of(shop, asked["id"])
    assert (await shop.state(asked["id"]), order.checks) == ("requires_action", 0)
    await shop.sandbox.clear()
    await shop.press_at_paypal(asked["next_action"]["url"])
    await shop.expire()
    assert await shop.state(asked["id"]) == "captured"


async def test_a_payment_whose_order_is_gone_is_voided(shop: Shop) -> None:
    payment_id = (await asked_to_approve(shop))["id"]
    await shop.gateway.runtime.books.write(_forget_order, payment_id)
    await shop.expire()
    assert await shop.state(payment_id) == "voided"


async def test_who_approved_and_then_comes_back_as_cancelled_has_paid(shop: Shop) -> None:
    asked = await asked_to_approve(shop)
    await shop.press_at_paypal(asked["next_action"]["url"])
    nonce = await shop.nonce(asked["id"])
    done = await shop.come_back(f"/v1/return/{asked['id']}/{nonce}?cancelled")
    assert done.json["state"] == "captured"


async def test_a_refusal_is_not_believed_while_paypal_is_silent(shop: Shop) -> None:
    asked = await asked_to_approve(shop)
    await shop.press_at_paypal(asked["next_action"]["url"])
    shop.fault("paypal", "refuse")
    nonce = await shop.nonce(asked["id"])
    done = await shop.come_back(f"/v1/return/{asked['id']}/{nonce}?cancelled")
    assert done.json["state"] == "requires_action"
    await shop.sandbox.clear()
    await shop.expire()
    assert await shop.state(asked["id"]) == "captured"


async def test_a_payer_who_came_back_is_not_asked_about_any_more(shop: Shop) -> None:
    asked = await asked_to_approve(shop)
    await shop.come_back(await shop.press_at_paypal(asked["next_action"]["url"]))
    assert await shop.state(asked["id"]) == "captured"
    await shop.expire()
    assert (await order_of(shop, asked["id"])).lease_until is None


@pytest.mark.each_on_postgres
@pytest.mark.parametrize("hours", [-1, 3.5])
async def test_a_clock_that_is_set_voids_no_payment_that_waits_for_its_payer(
    shop: Shop, set_clock: Callable[[float], None], hours: float
) -> None:
    payment_id = (await asked_to_approve(shop))["id"]
    set_clock(hours)
    await sweep(shop.gateway.runtime)
    assert (await shop.state(payment_id), (await order_of(shop, payment_id)).checks) == ("requires_action", 0)
    await shop.expire()
    order = await order_of(shop, payment_id)
    assert (await shop.state(payment_id), order.checks) == ("requires_action", 1)
    assert order.lease_until is not None
    assert abs(order.lease_until - steady_micros() - ASK_PAYER_US[1]) < 5_000_000


def _forget_order(conn: Any, payment_id: str) -> None:
    conn.exec_driver_sql(f"UPDATE operations SET processor_reference = 'gone' WHERE payment_id = '{payment_id}'")
