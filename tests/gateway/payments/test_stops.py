"""The switch that stops sales: which payments it refuses, which it sends elsewhere, and what goes on."""

import asyncio
from typing import Any

import pytest

from gateway.books.payments import PaymentRow
from gateway.payments.routing import STOPPED_RETRY_S
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import MASTERCARD, RequestOf, Shop
from tests.gateway.payments.test_orders import BY_PAYPAL, asked_to_approve
from tests.gateway.payments.test_unsent_reviews import decide, held

# Whoever adds a route that makes or sends a new payment meets the switch, and a test here.
MEET_THE_SWITCH = {"payments.create_payment", "reviews.decide_review"}


async def stop(shop: Shop, **target: Any) -> str:
    """Stop something; the id of its stop."""
    answer = await shop.gateway.ask("POST", "/v1/stops", {"reason": "a test", **target}, "admin")
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


async def resume(shop: Shop, stop_id: str) -> None:
    assert (await shop.gateway.ask("DELETE", f"/v1/stops/{stop_id}", who="admin")).status == 204


def assert_stopped(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "stopped")
    assert answer.headers["Retry-After"] == str(STOPPED_RETRY_S)


async def test_routing_passes_over_a_stopped_processor(shop: Shop) -> None:
    stopped = await stop(shop, processor="visa")
    passed = (await shop.pay()).json
    assert (passed["state"], passed["processor"], passed["attempts"]) == ("captured", "mastercard", 1)
    (sale,) = (await shop.get(f"/v1/payments/{passed['id']}/operations"))["data"]
    assert sale["routing_reason"] == "first_choice_stopped"
    await resume(shop, stopped)
    assert (await shop.pay()).json["processor"] == "visa"


@pytest.mark.each_on_postgres
@pytest.mark.parametrize(
    ("targets", "payment"),
    [
        ([{"all": True}], {}),
        ([{"merchant": "…"}], {}),
        ([{"processor": "visa"}], {"processor": "visa"}),
        ([{"processor": "visa"}, {"processor": "mastercard"}], {}),
        ([{"processor": "paypal"}], {"payment_method": BY_PAYPAL}),
    ],
)
async def test_where_nobody_is_left_nothing_is_made_until_it_goes_on(
    shop: Shop, targets: list[dict[str, Any]], payment: dict[str, Any]
) -> None:
    merchant = {"merchant": await shop.account("merchant")}
    stops = [await stop(shop, **(merchant if "merchant" in target else target)) for target in targets]
    assert_stopped(await shop.pay(key="again", **payment))
    assert (await shop.get("/v1/payments"))["data"] == []
    assert shop.ledger() == []
    for stop_id in stops:
        await resume(shop, stop_id)
    assert (await shop.pay(key="again", **payment)).status in (201, 202)  # the key was not used up


async def test_what_is_not_stopped_sells_on(shop: Shop) -> None:
    other = (await shop.gateway.ask("POST", "/v1/merchants", {"name": "Other"}, "admin")).json["id"]
    await stop(shop, merchant=other)
    await stop(shop, processor="paypal")
    assert (await shop.pay()).json["state"] == "captured"
    assert_stopped(await shop.pay(merchant=other))


async def test_what_was_answered_is_answered_again(shop: Shop) -> None:
    paid = await shop.pay(key="before")
    await stop(shop, all=True)
    assert (await shop.pay(key="before")).body == paid.body


async def test_what_exists_goes_on(shop: Shop) -> None:
    held_id, other_id = [(await shop.pay(capture="manual")).json["id"] for _ in range(2)]
    asked = await asked_to_approve(shop)
    shop.fault("visa", "apply_then_silence", operation="authorize", times=1)
    unknown_id = (await shop.pay()).json["id"]
    for target in ({"all": True}, {"processor": "visa"}, {"processor": "paypal"}):
        await stop(shop, **target)
    home = await shop.press_at_paypal(asked["next_action"]["url"])
    assert (await shop.come_back(home)).json["state"] == "captured"
    assert (await shop.post(f"/v1/payments/{held_id}/capture", {}, who="merchant")).json["state"] == "captured"
    assert (await shop.post(f"/v1/payments/{held_id}/refunds", {}, who="merchant")).json["status"] == "succeeded"
    assert (await shop.post(f"/v1/payments/{other_id}/void", {}, who="merchant")).json["state"] == "voided"
    await shop.expire()
    assert await shop.state(unknown_id) == "captured"


async def test_a_payment_in_flight_ends_as_it_would(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(_payment: PaymentRow, _budget_s: float) -> None:
        await stop(shop, processor="visa")
        await stop(shop, all=True)

    monkeypatch.setattr(shop.gateway.runtime.verdicts, "wait", wait)
    payment = (await shop.pay()).json
    assert (payment["state"], payment["processor"]) == ("captured", "visa")


@pytest.mark.parametrize(("number", "first"), [("4111111111111111", "visa"), (MASTERCARD, "mastercard")])
async def test_it_does_not_fail_over_to_a_stopped_processor(shop: Shop, number: str, first: str) -> None:
    other = {"visa": "mastercard", "mastercard": "visa"}[first]
    await stop(shop, processor=other)
    shop.fault(first, "refuse")
    card = {"type": "card", "card": await shop.card(number)}
    payment = (await shop.pay(payment_method=card)).json
    assert (payment["state"], payment["decline_code"], payment["attempts"]) == (
        "failed",
        "processor_unavailable",
        1,
    )


async def test_a_passed_over_processor_is_not_gone_back_to(shop: Shop) -> None:
    await stop(shop, processor="visa")
    shop.fault("mastercard", "refuse")
    payment = (await shop.pay()).json
    assert (payment["state"], payment["processor"], payment["attempts"]) == ("failed", "mastercard", 1)


async def test_an_issuer_is_not_asked_by_a_stopped_processor_for_what_was_held(
    shop: Shop, request_of: RequestOf
) -> None:
    payment = await held(shop, request_of, processor="visa")
    stopped = await stop(shop, processor="visa")
    assert_stopped(await decide(shop, "approve"))
    await resume(shop, stopped)
    assert (await decide(shop, "approve")).status == 200
    assert await shop.state(payment.id) == "captured"


async def test_a_held_payment_is_approved_by_another_processor_or_rejected(
    shop: Shop, request_of: RequestOf
) -> None:
    payment = await held(shop, request_of)
    await stop(shop, all=True)
    await stop(shop, processor="visa")
    assert (await decide(shop, "approve")).status == 200
    assert (await shop.get(f"/v1/payments/{payment.id}"))["processor"] == "mastercard"


async def test_two_admins_at_once_make_one_stop(shop: Shop) -> None:
    asking = [
        shop.gateway.ask("POST", "/v1/stops", {"processor": "visa", "reason": f"says {n}"}, "admin")
        for n in range(5)
    ]
    answers = await asyncio.gather(*asking)
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.body for answer in answers}) == 1
    assert len((await shop.get("/v1/stops"))["data"]) == 1
    assert len((await shop.get("/v1/audit?kind=sales_stopped"))["data"]) == 1


async def test_which_routes_meet_the_switch(shop: Shop) -> None:
    views = shop.gateway.app.view_functions
    found = {
        name for name, view in views.items() if "stopped" in getattr(getattr(view, "rules", None), "codes", ())
    }
    assert found == MEET_THE_SWITCH
