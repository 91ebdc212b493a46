"""Refunds of what was taken before its block came: nobody asks us for them, so a refusal is a person's to end."""

from typing import Any

import msgspec
import pytest

from gateway.settings import GatewaySettings
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import Shop
from tests.gateway.payments.test_late_blocks import NO_REFUND, decide, late
from tests.gateway.payments.test_refunds import operations_of, paid, refund
from tests.gateway.payments.test_tasks import give_up, resolve, tasks

NO_VISA_REFUND = ("4000000000005126", (1, 2039))
REFUSED, FAILED, PENDING = 5142, 5141, 5144  # refunds of so much at PayPal
REFUSES = {"visa": NO_VISA_REFUND, "mastercard": NO_REFUND, "paypal": REFUSED, "paypal, at first taken": FAILED}


@pytest.fixture
def hurried(hurried: GatewaySettings) -> GatewaySettings:
    """First payments past 50.00 pass the stand-in."""
    return msgspec.structs.replace(hurried, stand_in_first_card_cap=50_000)


async def taken(shop: Shop, refuses: int | tuple[str, tuple[int, int]]) -> str:
    """A captured payment whose processor refuses to give it back."""
    if isinstance(refuses, int):
        return await paid(shop, "paypal", refuses)
    number, exp = refuses
    method = {"type": "card", "card": await shop.card(number, exp=exp)}
    return str((await shop.pay(900, payment_method=method)).json["id"])


async def rejected(shop: Shop, payment: str) -> Answer:
    """A payment was blocked late, and a person has it refunded."""
    await late(shop, payment)
    return await decide(shop, "reject")


async def refunds(shop: Shop, payment: str) -> list[Any]:
    """Amount and status of a payment's refunds, the newest first."""
    found = (await shop.get(f"/v1/refunds?payment={payment}", "admin"))["data"]
    return [(made["amount"], made["status"]) for made in found]


@pytest.mark.parametrize("refuses", REFUSES.values(), ids=REFUSES)
async def test_a_refund_of_ours_that_is_refused_is_a_task(shop: Shop, refuses: Any) -> None:
    payment = await taken(shop, refuses)
    answer = await rejected(shop, payment)
    assert (answer.status, answer.json["decision"]) == (200, "reject")
    (task,) = await tasks(shop)
    *_, call = await operations_of(shop, payment)
    assert (task["kind"], task["payment"], task["operation"]) == ("refund_refused", payment, call.id)
    assert (call.kind, call.requested_by, task["tried"]) == ("refund", None, 1)
    assert [status for _, status in await refunds(shop, payment)] == ["failed"]
    assert (await decide(shop, "reject")).code == "wrong_state"


@pytest.mark.parametrize("completed", [True, False])
async def test_a_refund_of_ours_that_was_pending_and_fails_later_is_a_task(shop: Shop, completed: bool) -> None:
    payment = await paid(shop, "paypal", 10_000)
    assert (await refund(shop, payment, 10_000 - PENDING)).status == 201
    assert (await rejected(shop, payment)).status == 202
    await give_up(shop)
    assert await tasks(shop) == []
    assert await shop.sandbox.end_pending(completed=completed) == 1
    await shop.expire()
    assert [task["kind"] for task in await tasks(shop)] == ([] if completed else ["refund_refused"])
    assert (await refunds(shop, payment))[0] == (PENDING, "succeeded" if completed else "failed")


async def test_what_somebody_asked_for_and_was_refused_is_no_task(shop: Shop) -> None:
    payment = await taken(shop, NO_VISA_REFUND)
    for who in ("merchant", "admin"):
        assert (await refund(shop, payment, who=who, reason="late_block")).status == 402
    assert await tasks(shop) == []


async def test_a_refund_of_ours_that_reached_nobody_is_sent_again(shop: Shop) -> None:
    payment = await paid(shop)
    await late(shop, payment)
    shop.fault("visa", "refuse", seconds=600)
    assert (await decide(shop, "reject")).status == 202
    await shop.expire()
    await shop.sandbox.clear()
    await give_up(shop)
    assert await refunds(shop, payment) == [(1000, "succeeded")]
    assert (await tasks(shop), await shop.balance(), len(shop.ledger("refund"))) == ([], {}, 1)


@pytest.mark.each_on_postgres
@pytest.mark.parametrize(("outcome", "given_back"), [("released", 900), ("lapsed", 0)])
async def test_a_person_says_what_became_of_a_refund(shop: Shop, outcome: str, given_back: int) -> None:
    payment = await taken(shop, NO_VISA_REFUND)
    await rejected(shop, payment)
    (task,) = await tasks(shop)
    assert (await resolve(shop, task["id"], outcome)).status == 200
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["amount_refunded"]) == ("captured", given_back)
    assert sum((await shop.balance()).values()) == 0
    assert (await shop.balance()).get("due:visa", 0) == 900 - given_back
    assert (await tasks(shop), shop.ledger("refund")) == ([], [])
    assert (await resolve(shop, task["id"], outcome)).code == "wrong_state"


async def test_all_of_several_captures_is_given_back_by_a_persons_word(shop: Shop) -> None:
    payment = await paid(shop, "paypal", 2 * REFUSED, capture="manual")
    for final in (False, True):
        body = {"amount": REFUSED, "final": final}
        assert (await shop.post(f"/v1/payments/{payment}/capture", body, who="merchant")).status == 200
    await rejected(shop, payment)
    (task,) = await tasks(shop)
    assert (await resolve(shop, task["id"], "released")).status == 200
    assert await refunds(shop, payment) == [(2 * REFUSED, "succeeded"), (2 * REFUSED, "failed")]
    assert (await shop.balance(), await tasks(shop)) == ({}, [])


async def test_a_person_has_the_refund_asked_for_again(shop: Shop) -> None:
    payment = await taken(shop, NO_VISA_REFUND)
    await rejected(shop, payment)
    (task,) = await tasks(shop)
    assert (await resolve(shop, task["id"], "retry")).status == 200
    (again,) = await tasks(shop)
    assert again["id"] != task["id"]
    assert await refunds(shop, payment) == [(900, "failed")] * 2


async def test_a_refund_of_all_that_the_merchant_makes_ends_the_task(shop: Shop) -> None:
    payment = await taken(shop, REFUSED)
    await rejected(shop, payment)
    assert (await refund(shop, payment, 1000)).status == 201
    assert len(await tasks(shop)) == 1
    assert (await refund(shop, payment)).status == 201
    assert await tasks(shop) == []
    assert [task["outcome"] for task in await tasks(shop, "?status=resolved")] == ["settled"]
