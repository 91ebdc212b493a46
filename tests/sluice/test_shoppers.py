"""What the demo's staff does with payments: whole captures, parts, voids and refunds that add up."""

from random import Random
from typing import Any

import pytest

from connectors.gateway import GatewayClient
from sluice.shoppers import people
from sluice.shoppers.people import Staff
from sluice.shoppers.shops import SHOPS, Shop

PAYMENT = {"id": "pay_1", "state": "authorized", "amount": 1000}
IN_PARTS = Shop("Parts", "EUR", 1000, refunded=1.0, in_parts=1.0)
WHOLE = Shop("Whole", "EUR", 1000)


@pytest.fixture(autouse=True)
def chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on each run, and nobody waits."""
    monkeypatch.setattr(people, "random", Random(3))
    monkeypatch.setattr(people, "SHIP_AFTER_S", (0, 0))
    monkeypatch.setattr(people, "RETURN_AFTER_S", (0, 0))


@pytest.fixture
def staff(client: GatewayClient) -> Staff:
    return Staff(client, client)


async def test_an_order_is_captured_in_two_parts_or_voided(till: Any, staff: Staff) -> None:
    for _ in range(20):
        till.asked.clear()
        await staff.finish(PAYMENT, IN_PARTS)
        if till.verbs() == ["void"]:
            continue
        first, last = till.bodies("capture")
        assert (first["final"], last["final"]) == (False, True)
        assert 0 < first["amount"] < first["amount"] + last["amount"] <= 1000


async def test_other_shops_take_all_of_it(till: Any, staff: Staff) -> None:
    for _ in range(20):
        await staff.finish(PAYMENT, WHOLE)
    assert set(till.verbs()) == {"capture", "void"}
    assert till.bodies("capture") == [{}] * till.verbs().count("capture")


async def test_a_refund_is_of_all_or_of_a_part(till: Any, staff: Staff) -> None:
    for _ in range(20):
        await staff.give_back_later(PAYMENT)
    bodies = till.bodies("refunds")
    assert {} in bodies
    assert all(1 <= body["amount"] <= 1000 for body in bodies if body)
    assert len({key for *_, key in till.asked}) == 20, "each is a request of its own"


def test_some_shops_refund_and_some_capture_in_parts() -> None:
    assert {bool(shop.refunded) for shop in SHOPS} == {bool(shop.in_parts) for shop in SHOPS} == {True, False}
    assert all(shop.refunded < 0.1 for shop in SHOPS)
