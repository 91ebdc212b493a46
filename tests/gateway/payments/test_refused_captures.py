"""A capture that the processor refuses, asked for by a merchant, by itself, or by a reviewer."""

from typing import Any

import msgspec
import pytest

from gateway.settings import GatewaySettings
from tests.gateway.payments.conftest import MASTERCARD, Shop
from tests.gateway.payments.test_captures_in_parts import capture
from tests.gateway.payments.test_refunds import operations_of, paid


@pytest.fixture
def hurried(hurried: GatewaySettings) -> GatewaySettings:
    """A first payment of 51.40 passes the stand-in."""
    return msgspec.structs.replace(hurried, stand_in_first_card_cap=50_000)


REFUSED = 5140  # PayPal authorizes it, and declines to capture it
REFUSING = {"visa": ("4000000000000341", (1, 2039)), "mastercard": (MASTERCARD, (2, 2039))}
PROCESSORS = ["paypal", *REFUSING]
CODES = {"paypal": "invalid_account", "visa": "generic_decline", "mastercard": "generic_decline"}


async def refusing(shop: Shop, processor: str, **fields: Any) -> str:
    """A payment whose capture its processor refuses."""
    if processor == "paypal":
        return await paid(shop, processor, REFUSED, **fields)
    number, exp = REFUSING[processor]
    method = {"type": "card", "card": await shop.card(number, exp=exp)}
    return str((await shop.pay(REFUSED, payment_method=method, processor=processor, **fields)).json["id"])


async def told(shop: Shop, payment: str) -> list[str]:
    events = (await shop.get(f"/v1/payments/{payment}/events"))["data"]
    return [event["type"] for event in events]


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_a_merchants_capture_is_a_402_and_the_payment_stays(shop: Shop, processor: str) -> None:
    payment = await refusing(shop, processor, capture="manual")
    answer = await capture(shop, payment, key="take")
    assert (answer.status, answer.code) == (402, "processor_declined")
    assert answer.json["decline_code"] == CODES[processor]
    assert (await capture(shop, payment, key="take")).body == answer.body
    view = await shop.get(f"/v1/payments/{payment}")
    refusal = view["last_refusal"]
    assert (view["state"], refusal["kind"], refusal["decline_code"]) == ("authorized", "capture", CODES[processor])
    assert (await told(shop, payment))[-1] == "payment.capture_declined"


async def test_an_automatic_capture_frees_the_hold_and_declines(shop: Shop) -> None:
    payment = await refusing(shop, "paypal")
    view = await shop.get(f"/v1/payments/{payment}")
    assert (view["state"], view["status"], view["decline_code"]) == ("declined", "failed", "invalid_account")
    assert [o.kind for o in await operations_of(shop, payment)] == ["order", "authorize", "capture", "void"]
    assert await shop.balance() == {}
    events = await told(shop, payment)
    assert events[-4:] == [
        "payment.authorized",
        "payment.capture_declined",
        "payment.declined",
        "transaction_completed",
    ]


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_an_approved_review_stands_and_the_payment_is_declined(shop: Shop, processor: str) -> None:
    runtime = shop.gateway.runtime
    runtime.policy = msgspec.structs.replace(runtime.policy, card_cap=0)  # so that a person decides
    payment = await refusing(shop, processor)
    assert await shop.state(payment) == "in_review"
    (review,) = (await shop.get("/v1/reviews", "analyst"))["data"]
    path, body = f"/v1/reviews/{review['id']}/decision", {"decision": "approve", "reason": "known"}
    answer = await shop.post(path, body, who="analyst", key="decide")
    assert (answer.status, answer.json["decision"]) == (200, "approve")
    assert (await shop.post(path, body, who="analyst", key="decide")).body == answer.body
    assert (await shop.post(path, body, who="analyst")).code == "wrong_state"
    view = await shop.get(f"/v1/payments/{payment}")
    assert (view["state"], view["decline_code"]) == ("declined", CODES[processor])
    assert await shop.balance() == {}


async def test_a_capture_after_a_part_leaves_what_was_taken(shop: Shop) -> None:
    payment = await paid(shop, "paypal", 10_000, capture="manual")
    assert (await capture(shop, payment, 1000, final=False)).status == 200
    assert (await capture(shop, payment, REFUSED, final=False)).status == 402
    view = await shop.get(f"/v1/payments/{payment}")
    assert (view["state"], view["amount_captured"]) == ("partially_captured", 1000)
    assert (await capture(shop, payment, 500)).json["state"] == "captured"
