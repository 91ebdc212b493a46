"""What is left of a hold and whose release the processor refuses: it is owed until it is gone, and never taken."""

import msgspec
import pytest

from gateway.books.verdicts import insert_late
from gateway.settings import GatewaySettings
from schemas.times import now_micros
from tests.gateway.payments.conftest import Shop
from tests.gateway.payments.test_captures_in_parts import amounts, capture, void
from tests.gateway.payments.test_late_blocks import cases, late, said
from tests.gateway.payments.test_refunds import paid
from tests.gateway.payments.test_tasks import REFUSES_VOIDS, give_up, resolve, tasks, voids

PAYPAL_REFUSES = 5143  # to void an authorization of which so much is left
PAID = {"visa": 1000, "mastercard": 1000, "paypal": 2 * PAYPAL_REFUSES}


@pytest.fixture
def hurried(hurried: GatewaySettings) -> GatewaySettings:
    """First payments of 102.86 pass the stand-in."""
    return msgspec.structs.replace(hurried, stand_in_first_card_cap=50_000)


async def held(shop: Shop, processor: str) -> str:
    """A payment whose merchant captures, and whose processor refuses to release it or its second half."""
    if processor == "paypal":
        return await paid(shop, "paypal", PAID["paypal"], capture="manual")
    number, exp = REFUSES_VOIDS[processor]
    method = {"type": "card", "card": await shop.card(number, exp=exp)}
    asked = await shop.pay(PAID[processor], payment_method=method, processor=processor, capture="manual")
    return str(asked.json["id"])


async def blocked_in_part(shop: Shop, processor: str) -> str:
    """One of which half was taken before it was blocked, and whose rest is not let go."""
    payment = await held(shop, processor)
    assert (await capture(shop, payment, PAID[processor] // 2, final=False)).status == 200
    await late(shop, payment)
    return payment


@pytest.mark.parametrize("processor", ["visa", "paypal"])
async def test_the_rest_of_a_blocked_payment_is_owed_and_no_capture_takes_it(shop: Shop, processor: str) -> None:
    payment, half = await blocked_in_part(shop, processor), PAID[processor] // 2
    assert (await capture(shop, payment, 100, final=False)).code == "operation_in_progress"
    await give_up(shop)
    tries = len(shop.gateway.runtime.policy.release_us) + 1
    assert [o.amount for o in await voids(shop, payment)] == [half] * tries
    (task,) = await tasks(shop)
    assert (task["kind"], task["payment"], task["tried"]) == ("void_refused", payment, tries)
    refused = await capture(shop, payment, 100, final=False)
    assert (refused.status, refused.code) == (409, "wrong_state")
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["amount_captured"]) == ("partially_captured", half)
    assert len(shop.ledger("capture")) == 1
    assert [case["kind"] for case in await cases(shop)] == ["late"]


@pytest.mark.parametrize("processor", REFUSES_VOIDS)
async def test_of_a_blocked_payment_that_is_held_nothing_is_captured(shop: Shop, processor: str) -> None:
    payment = await held(shop, processor)
    await late(shop, payment)
    await give_up(shop)
    assert [task["kind"] for task in await tasks(shop)] == ["void_refused"]
    assert (await capture(shop, payment)).code == "wrong_state"
    assert (await shop.state(payment), shop.ledger("capture")) == ("authorized", [])


async def test_no_capture_comes_between_a_block_and_the_release(shop: Shop) -> None:
    payment = await held(shop, "visa")
    await shop.gateway.runtime.books.write(insert_late, await said(shop, payment), now_micros())
    assert (await capture(shop, payment)).code == "wrong_state"
    assert (await void(shop, payment)).status == 402  # that may be asked for
    assert (await shop.state(payment), shop.ledger("capture")) == ("authorized", [])


@pytest.mark.each_on_postgres
@pytest.mark.parametrize("outcome", ["released", "lapsed"])
async def test_a_person_says_that_a_rest_is_gone(shop: Shop, outcome: str) -> None:
    payment = await blocked_in_part(shop, "visa")
    await give_up(shop)
    (task,) = await tasks(shop)
    assert (await resolve(shop, task["id"], outcome)).status == 200
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["amount_captured"], shown["amount_capturable"]) == ("captured", 500, 0)
    assert await shop.balance() == {"due:visa": 500, f"due:{await shop.account('merchant')}": -500}


async def test_the_rest_after_a_final_capture_is_owed(shop: Shop) -> None:
    payment = await held(shop, "visa")
    answer = await capture(shop, payment, 100)
    assert (answer.status, amounts(answer)) == (202, ("partially_captured", 100, 900))
    await give_up(shop)
    (task,) = await tasks(shop)
    assert (task["kind"], [o.amount for o in await voids(shop, payment)][-1]) == ("void_refused", 900)
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["last_refusal"]["kind"]) == ("partially_captured", "void")
    assert (await resolve(shop, task["id"], "retry")).status == 200
    await shop.expire()
    await give_up(shop)
    (again,) = await tasks(shop)
    assert again["id"] != task["id"]
