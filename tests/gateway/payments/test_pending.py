"""What a processor has not decided yet: seen with its reason, asked about ever more seldom, in nobody's way."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from gateway.books.operations import Operation
from gateway.policy import PENDING_MAX_US
from gateway.settings import GatewaySettings
from schemas.times import steady_micros
from tests.gateway.payments.conftest import Shop
from tests.gateway.payments.test_captures_in_parts import amounts, capture, void
from tests.gateway.payments.test_refunds import due, operations_of, paid, refund


@pytest.fixture
def hurried(hurried: GatewaySettings) -> GatewaySettings:
    """A first payment of 51.40 passes the stand-in."""
    return msgspec.structs.replace(hurried, stand_in_first_card_cap=50_000)


ECHECK = 5144  # what PayPal leaves pending


async def open_call(shop: Shop, payment: str) -> Operation:
    """The call of a payment whose end is not known."""
    (found,) = [o for o in await operations_of(shop, payment) if o.status == "unknown"]
    return found


async def shown(shop: Shop, payment: str) -> tuple[str, Any]:
    """State and pending reason of a payment."""
    view = await shop.get(f"/v1/payments/{payment}", "merchant")
    return view["state"], view.get("pending_reason")


async def test_a_pending_capture_says_why_to_whoever_asks(shop: Shop) -> None:
    payment = await paid(shop, "paypal", ECHECK, capture="manual")
    answer = await capture(shop, payment)
    assert (answer.status, answer.json["state"], answer.json["pending_reason"]) == (202, "authorized", "ECHECK")
    call = (await shop.get(f"/v1/payments/{payment}/operations"))["data"][-1]
    assert (call["kind"], call["status"], call["pending_reason"]) == ("capture", "unknown", "ECHECK")
    assert call["asked_again_at"] > call["created_at"]
    for busy in (await void(shop, payment), await refund(shop, payment), await capture(shop, payment)):
        assert (busy.status, busy.code) == (409, "operation_in_progress")
        assert busy.json["detail"] == "A capture waits for paypal: ECHECK."
        assert int(busy.headers["Retry-After"]) > 1


async def test_what_is_pending_is_asked_about_ever_more_seldom(shop: Shop) -> None:
    payment = await paid(shop, "paypal", ECHECK, capture="manual")
    await capture(shop, payment)
    pauses = []
    for _ in range(14):
        call = await open_call(shop, payment)
        assert call.lease_until is not None
        pauses.append(call.lease_until - steady_micros())
        await shop.expire()
    assert all(later > earlier * 1.5 for earlier, later in pairwise(pauses[:6]))
    assert 0.99 < pauses[-1] / PENDING_MAX_US < 1.01
    assert shop.ledger("capture") == []  # it was asked about, not sent again


async def test_a_pending_capture_that_is_completed_counts(shop: Shop) -> None:
    payment = await paid(shop, "paypal", ECHECK)
    assert await shown(shop, payment) == ("authorized", "ECHECK")
    assert await shop.sandbox.end_pending(completed=True) == 1
    await shop.expire()
    assert await shown(shop, payment) == ("captured", None)
    assert await shop.balance() == await due(shop, "paypal", ECHECK)


async def test_a_pending_capture_that_is_declined_is_one_that_was_refused(shop: Shop) -> None:
    automatic, manual = await paid(shop, "paypal", ECHECK), await paid(shop, "paypal", ECHECK, capture="manual")
    await capture(shop, manual)
    assert await shop.sandbox.end_pending(completed=False) == 2
    await shop.expire()
    assert await shown(shop, automatic) == ("declined", None)
    assert await shown(shop, manual) == ("authorized", None)
    view = await shop.get(f"/v1/payments/{manual}")
    assert view["last_refusal"]["kind"] == "capture"
    assert (await void(shop, manual)).json["state"] == "voided"
    assert await shop.balance() == {}


async def test_a_pending_part_leaves_the_others_as_they_are(shop: Shop) -> None:
    payment = await paid(shop, "paypal", 10_000, capture="manual")
    await capture(shop, payment, 1000, final=False)
    answer = await capture(shop, payment, ECHECK, final=False)
    assert (answer.status, amounts(answer)) == (202, ("partially_captured", 1000, 9000))
    await shop.sandbox.end_pending(completed=True)
    await shop.expire()
    assert (await shop.get(f"/v1/payments/{payment}"))["amount_captured"] == 1000 + ECHECK


async def test_a_pending_refund_says_why_and_ends(shop: Shop) -> None:
    payments = [await paid(shop, "paypal", 10_000) for _ in range(2)]
    asked = [await refund(shop, payment, ECHECK) for payment in payments]
    assert {(a.status, a.json["status"], a.json["pending_reason"]) for a in asked} == {(202, "pending", "ECHECK")}
    assert await shown(shop, payments[0]) == ("captured", "ECHECK")
    await shop.sandbox.end_pending(completed=True)
    await shop.expire()
    for answer in asked:
        ended = await shop.get(f"/v1/refunds/{answer.json['id']}")
        assert (ended["status"], ended.get("pending_reason")) == ("succeeded", None)


async def test_a_review_approved_into_a_pending_capture_is_decided(shop: Shop) -> None:
    payment = await paid(shop, "paypal", 60_000)
    body = {"decision": "approve", "reason": "known"}
    (review,) = (await shop.get("/v1/reviews", "analyst"))["data"]
    shop.fault("paypal", "silence", operation="capture", times=1)
    path = f"/v1/reviews/{review['id']}/decision"
    first = await shop.post(path, body, who="analyst", key="decide")
    assert (first.status, first.json["decision"]) == (202, "approve")
    again = await shop.post(path, body, who="analyst", key="decide")
    assert (again.status, again.body) == (202, first.body)
    await shop.expire()
    assert await shown(shop, payment) == ("captured", None)
