"""The demo's people: cards that are known, stolen ones, and captures, voids and refunds that add up."""

from random import Random
from typing import Any

import pytest

from connectors.gateway import GatewayClient
from schemas.cards import luhn_valid
from sluice.shoppers import staff as at_work
from sluice.shoppers.cards import DemoCard, Desk, hideout, home, new_card, stolen_cards
from sluice.shoppers.people import KeptCard
from sluice.shoppers.shops import SHOPS, Shop
from sluice.shoppers.staff import Staff
from sluice.shoppers.traffic import Traffic, wallet_of

PAYMENT = {"id": "pay_1", "state": "authorized", "amount": 1000}
IN_PARTS = Shop("Parts", "EUR", 1000, refunded=1.0, in_parts=1.0)
WHOLE = Shop("Whole", "EUR", 1000)


@pytest.fixture(autouse=True)
def chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on each run, and nobody waits."""
    monkeypatch.setattr(at_work, "random", Random(3))
    monkeypatch.setattr(at_work, "SHIP_AFTER_S", (0, 0))
    monkeypatch.setattr(at_work, "RETURN_AFTER_S", (0, 0))


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


class Shopping:
    """Stands in for a shopper and for the account that imports: it keeps what was asked of it."""

    def __init__(self) -> None:
        self.desk = home()
        self.cards: list[KeptCard] = []
        self.remembered: list[DemoCard] = []

    async def keep(self, card: DemoCard) -> KeptCard:
        return KeptCard(card.number, card)

    async def remember(self, card: DemoCard, _desk: Desk) -> None:
        self.remembered.append(card)


async def test_shoppers_pay_with_cards_that_were_used_before() -> None:
    shopper: Any = Shopping()
    traffic = Traffic([shopper], 3, {}, shopper, shopper)
    for _ in range(50):
        await traffic._card_of(shopper)
    assert [kept.card for kept in shopper.cards] == shopper.remembered
    assert len(shopper.remembered) == 3


def test_stolen_cards_are_of_one_bank_and_used_where_no_customer_lives() -> None:
    stolen, own = stolen_cards(12), [new_card() for _ in range(200)]
    banks = {card.number[:6] for card in stolen}
    assert len(banks) == 1
    assert banks.isdisjoint(card.number[:6] for card in own)
    assert {luhn_valid(card.number) for card in stolen + own} == {True}
    networks = [{desk().ip.rpartition(".")[0] for _ in range(200)} for desk in (home, hideout)]
    assert networks[0].isdisjoint(networks[1])


@pytest.mark.parametrize(("rate", "people"), [(8.0, 40), (0.1, 40), (8.0, 12)])
def test_no_card_pays_so_often_that_it_is_flagged(rate: float, people: int) -> None:
    cards = people * wallet_of(rate, people)
    assert 60 * rate / cards <= 1.5
