"""Captures in parts at the processors' twins: what is taken, what stays held, and how the rest is released."""

from typing import Any

import msgspec
import pytest

from connectors.processors.contract import FollowUp
from connectors.processors.registry import CAPABILITIES
from gateway.books.operations import select_operations
from gateway.payments.processor_calls import query_of
from schemas.money import Money
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import Shop
from tests.gateway.payments.test_refunds import BY_CARD, PROCESSORS, due, operations_of, paid


async def capture(shop: Shop, payment: str, amount: int | None = None, *, key: str = "", **given: Any) -> Answer:
    """Ask for a capture."""
    body = ({"amount": amount} if amount else {}) | given
    return await shop.post(f"/v1/payments/{payment}/capture", body, who="merchant", key=key)


async def void(shop: Shop, payment: str, key: str = "") -> Answer:
    return await shop.post(f"/v1/payments/{payment}/void", {}, who="merchant", key=key)


def amounts(answer: Answer) -> tuple[str, int, int]:
    """State, what was captured and what can be."""
    return answer.json["state"], answer.json["amount_captured"], answer.json["amount_capturable"]


async def released(shop: Shop, payment: str) -> list[tuple[int, str]]:
    """The voids of a payment: amount and status."""
    operations = await shop.gateway.runtime.books.read(select_operations, payment)
    return [(o.amount, o.status) for o in operations if o.kind == "void"]


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_what_is_not_final_leaves_the_rest_held_and_the_last_one_frees_it(
    shop: Shop, processor: str
) -> None:
    payment = await paid(shop, processor, capture="manual")
    first = await capture(shop, payment, 300, final=False)
    assert (first.status, first.json["status"]) == (200, "succeeded")
    assert amounts(first) == ("partially_captured", 300, 700)
    assert amounts(await capture(shop, payment, 100, final=False)) == ("partially_captured", 400, 600)
    assert amounts(await capture(shop, payment, 200)) == ("captured", 600, 0)
    assert [row.amount for row in shop.ledger("capture")] == [300, 100, 200]
    assert await shop.balance() == await due(shop, processor, 600)
    by_itself = CAPABILITIES[processor].final_capture_releases  # type: ignore[index]
    assert await released(shop, payment) == ([] if by_itself else [(400, "succeeded")])
    events = [event["type"] for event in (await shop.get(f"/v1/payments/{payment}/events"))["data"]]
    assert events.count("payment.partially_captured") == (2 if by_itself else 3)
    assert events.count("payment.captured") == 1


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_parts_that_come_to_all_of_it_leave_nothing_to_release(shop: Shop, processor: str) -> None:
    payment = await paid(shop, processor, capture="manual")
    await capture(shop, payment, 600, final=False)
    over = await capture(shop, payment, 401, final=False)
    assert (over.status, over.code) == (422, "amount_too_large")
    assert amounts(await capture(shop, payment, 400, final=False)) == ("captured", 1000, 0)
    assert await released(shop, payment) == []
    assert (await capture(shop, payment, 1)).code == "amount_too_large"
    assert await shop.balance() == await due(shop, processor, 1000)


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_a_void_of_the_rest_ends_captured_with_what_was_taken(shop: Shop, processor: str) -> None:
    payment = await paid(shop, processor, capture="manual")
    await capture(shop, payment, 300, final=False)
    answer = await void(shop, payment)
    assert (answer.status, amounts(answer)) == (200, ("captured", 300, 0))
    assert await released(shop, payment) == [(700, "succeeded")]
    assert await shop.balance() == await due(shop, processor, 300)
    *_, release = await operations_of(shop, payment)
    assert release.requested_by == await shop.account("merchant")
    assert (await void(shop, payment)).code == "wrong_state"


async def test_where_no_call_releases_a_rest_it_lapses_and_its_operation_says_so(shop: Shop) -> None:
    payment = await paid(shop, "mastercard", capture="manual")
    await capture(shop, payment, 300)
    *_, release = await operations_of(shop, payment)
    assert (release.kind, release.amount, release.status) == ("void", 700, "succeeded")
    assert release.detail
    assert shop.ledger("void") == []


async def test_a_processor_that_captures_once_takes_no_part_that_is_not_final(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = msgspec.structs.replace(CAPABILITIES["visa"], captures_in_parts=False)
    monkeypatch.setitem(CAPABILITIES, "visa", once)
    payment = await paid(shop, "visa", capture="manual")
    answer = await capture(shop, payment, 300, key="part", final=False)
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, "$.final")
    assert (await capture(shop, payment, 300, key="part")).status == 200  # the key was not claimed


# --- processors that misbehave ------------------------------------------------------------------------------


@pytest.mark.parametrize("processor", BY_CARD)
async def test_a_capture_that_the_processor_refuses_is_a_402_and_kept(shop: Shop, processor: str) -> None:
    payment = await paid(shop, processor, capture="manual")
    (held,) = await operations_of(shop, payment)
    await shop.gateway.runtime.processors[held.processor].reverse("op_elsewhere", query_of(held))
    answer = await capture(shop, payment, 300, key="take")
    assert (answer.status, answer.code) == (402, "processor_declined")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "refund" not in answer.json
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (answer.json["payment"], shown["state"], shown["amount_captured"]) == (payment, "authorized", 0)
    assert shown["last_refusal"]["kind"] == "capture"
    assert shown["last_refusal"]["decline_code"] == answer.json["decline_code"]
    again = await capture(shop, payment, 300, key="take")
    assert (again.status, again.body) == (402, answer.body)
    assert again.headers["Content-Type"] == "application/problem+json"
    events = (await shop.get(f"/v1/payments/{payment}/events"))["data"]
    assert events[-1]["type"] == "payment.capture_declined"


async def test_a_void_that_the_processor_refuses_is_a_402_and_kept(shop: Shop) -> None:
    payment = await paid(shop, "visa", capture="manual")
    (held,) = await operations_of(shop, payment)
    elsewhere = FollowUp(
        "op_elsewhere", held.attempt_id, Money(1000, "EUR"), held.processor_reference or "", held.id
    )
    assert (await shop.gateway.runtime.processors["visa"].capture(elsewhere)).result == "succeeded"
    answer = await void(shop, payment)
    assert (answer.status, answer.code, answer.json["payment"]) == (402, "processor_declined", payment)
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["last_refusal"]["kind"]) == ("authorized", "void")
    events = (await shop.get(f"/v1/payments/{payment}/events"))["data"]
    assert events[-1]["type"] == "payment.void_declined"


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_a_part_nobody_got_is_taken_in_the_end_and_once(shop: Shop, processor: str) -> None:
    payment = await paid(shop, processor, capture="manual")
    shop.fault(processor, "silence", operation="capture", times=1)
    silent = await capture(shop, payment, 300, final=False)
    assert (silent.status, amounts(silent)) == (202, ("authorized", 0, 1000))
    for _ in range(3):
        await shop.expire()
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["amount_captured"], shown["amount_capturable"]) == (
        "partially_captured",
        300,
        700,
    )
    back = {row.of for row in shop.ledger("void") + shop.ledger("reversal")}
    assert [row.amount for row in shop.ledger("capture") if row.id not in back] == [300]


async def test_a_release_nobody_answered_is_made_in_the_end(shop: Shop) -> None:
    payment = await paid(shop, "visa", capture="manual")
    for operation in ("void", "reversal"):
        shop.fault("visa", "silence", operation=operation, times=1)
    silent = await capture(shop, payment, 300)
    assert (silent.status, amounts(silent)) == (202, ("partially_captured", 300, 700))
    for _ in range(3):
        await shop.expire()
    assert await shop.state(payment) == "captured"
    assert await shop.balance() == await due(shop, "visa", 300)
