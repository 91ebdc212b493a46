"""Currencies and their decimals at the processors: what none takes is refused before anything is sent."""

from typing import Any

import pytest

from gateway.payments.routing import amount_error
from tests.gateway.payments.conftest import MASTERCARD, Shop
from tests.gateway.payments.test_refunds import paid, refund

BY_PAYPAL = {"type": "paypal"}


def errors_of(answer: Any) -> tuple[int, str, list[str]]:
    return answer.status, answer.code, [error["path"] for error in answer.json["errors"]]


@pytest.mark.parametrize("currency", ["HUF", "TWD"])
async def test_paypal_takes_whole_units_of_huf_and_twd_alone(shop: Shop, currency: str) -> None:
    broken = await shop.pay(100_050, currency=currency, payment_method=BY_PAYPAL)
    assert errors_of(broken) == (422, "invalid_request", ["$.amount"])
    assert "multiples of 100 minor units" in broken.json["errors"][0]["message"]
    asked = await shop.pay(100_000, currency=currency, payment_method=BY_PAYPAL)
    assert (asked.status, asked.json["state"]) == (202, "requires_action")
    assert (await shop.pay(100_050, currency=currency)).status in (201, 202)  # by card


async def test_a_payment_in_whole_units_is_captured_and_refunded_in_whole_units(shop: Shop) -> None:
    payment = await paid(shop, "paypal", 100_000, currency="HUF", capture="manual")
    capture = f"/v1/payments/{payment}/capture"
    broken = await shop.post(capture, {"amount": 150, "final": False}, who="merchant")
    assert errors_of(broken) == (422, "invalid_request", ["$.amount"])
    assert (await shop.post(capture, {"amount": 30_000}, who="merchant")).json["state"] == "captured"
    assert errors_of(await refund(shop, payment, 150)) == (422, "invalid_request", ["$.amount"])
    assert (await refund(shop, payment, 10_000)).json["status"] == "succeeded"
    assert (await refund(shop, payment)).json["amount"] == 20_000
    assert [row.amount for row in shop.ledger("refund")] == [10_000, 20_000]


@pytest.mark.parametrize("currency", ["CLF", "BHD", "BRX", "XAU"])
async def test_what_paypal_does_not_take_is_said_before_it_is_asked(shop: Shop, currency: str) -> None:
    answer = await shop.pay(10_000, currency=currency, payment_method=BY_PAYPAL)
    assert errors_of(answer) == (422, "invalid_request", ["$.currency"])
    assert shop.ledger() == []


@pytest.mark.parametrize("currency", ["CLF", "UYW"])
async def test_four_decimals_go_to_a_processor_that_takes_them(shop: Shop, currency: str) -> None:
    method = {"type": "card", "card": await shop.card(MASTERCARD)}
    named = await shop.pay(12_345, currency=currency, payment_method=method, processor="mastercard")
    assert errors_of(named) == (422, "invalid_request", ["$.amount"])
    held = (await shop.pay(12_340, currency=currency, payment_method=method)).json  # no rate: a person decides
    assert (held["state"], held["processor"]) == ("in_review", None)
    (review,) = (await shop.get("/v1/reviews", who="analyst"))["data"]
    decision = {"decision": "approve", "reason": "known"}
    decided = await shop.post(f"/v1/reviews/{review['id']}/decision", decision, who="analyst")
    assert decided.status == 200
    payment = await shop.get(f"/v1/payments/{held['id']}")
    assert (payment["state"], payment["processor"], payment["amount_captured"]) == ("captured", "visa", 12_340)
    assert {(row.processor, row.amount, row.currency) for row in shop.ledger()} == {("visa", 12_340, currency)}
    assert (await refund(shop, held["id"], 1)).json["status"] == "succeeded"


@pytest.mark.parametrize("currency", ["BGN", "HRK", "XXX", "XTS", "XDR", "DEM"])
async def test_nobody_pays_in_what_is_no_money_or_no_longer(shop: Shop, currency: str) -> None:
    assert errors_of(await shop.pay(100, currency=currency)) == (422, "invalid_request", ["$.currency"])


def test_the_finest_processor_decides() -> None:
    assert amount_error(("visa", "mastercard"), 1, "CLF") is None
    error = amount_error(("mastercard", "paypal"), 1, "CLF")
    assert error is not None
    assert error.message == "Of this currency only multiples of 10 minor units are taken here."
