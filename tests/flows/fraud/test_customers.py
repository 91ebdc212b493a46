"""Customers and what is around them: who is suspected of testing cards, and who is not."""

import msgspec
import pytest

from flows.fraud.customers import CARDS_KEPT, Customer
from flows.fraud.inputs import DAY, PaymentInput, about_one_euro
from flows.fraud.places import Address, is_newcomer
from flows.fraud.scoring import UNSUSPECTED
from tests.flows.fraud.attack import BEGAN, World
from tests.flows.fraud.conftest import payment_input


def by_card(number: int, amount: int = 300, **fields: object) -> PaymentInput:
    """A payment by a card of its own, two minutes after the one before."""
    usual = {"instrument_id": f"fp_{number}", "amount": amount, "at": BEGAN + number * 120, "customer_id": "acc_1"}
    return payment_input(number, **(usual | {"address_id": "ip_1", "bin_id": "45717360"} | fields))


def told(payments: list[PaymentInput], alive: bool = True) -> dict[tuple[str, str], int]:
    world = World()
    for payment in payments:
        world.pay(payment, "who", alive)
    return world.told


def test_the_third_new_card_is_held_and_the_sixth_refused() -> None:
    found = told([by_card(number) for number in range(10)])
    assert found == {("who", "sent"): 2, ("who", "held"): 3, ("who", "review"): 3, ("who", "block"): 5}


@pytest.mark.parametrize("amount", [1000, 5000])
def test_who_pays_ordinary_amounts_with_many_cards_is_not_suspected(amount: int) -> None:
    assert told([by_card(number, amount) for number in range(200)]) == {("who", "sent"): 200, ("who", "held"): 0}


def test_an_account_that_pays_with_many_cards_is_soon_through_where_small_amounts_come_first() -> None:
    """The shape of a replay: one account, every card new, the first five payments small, and 12 % later on."""
    found = told([by_card(n, 525 + n % 40 * 100, instrument_id=f"fp_{n % 60}") for n in range(240)])
    assert found["who", "sent"] >= 235
    assert found["who", "block"] == 0


def test_cards_that_are_declined_count_whatever_the_amount() -> None:
    found = told([by_card(number, 5000) for number in range(10)], alive=False)
    assert found["who", "sent"] == 3


def test_one_card_used_again_and_again_is_one_card() -> None:
    assert told([by_card(number, instrument_id="fp_same") for number in range(5)])["who", "sent"] == 5


@pytest.mark.parametrize(
    ("currency", "small"),
    [("EUR", 999), ("JPY", 999), ("KRW", 9_999), ("BHD", 9_999), ("CLF", 999), ("UYW", 999), ("XXX", 9)],
)
def test_what_is_small_goes_by_the_currency(currency: str, small: int) -> None:
    sample = by_card(0, small, currency=currency, unit=about_one_euro(currency))
    assert sample.small
    assert not msgspec.structs.replace(sample, amount=small + 1).small


def test_a_customer_keeps_some_cards_and_no_more() -> None:
    customer = Customer()
    for number in range(1000):
        customer.update(by_card(number), UNSUSPECTED | {"new_card": 1.0, "history": 0.0})
    assert len(customer.cards) == CARDS_KEPT


def test_what_was_tried_at_an_address_fades() -> None:
    address, suspected = Address(), UNSUSPECTED | {"new_card": 1.0, "history": 0.0, "customer_tests": 4.0}
    for number in range(10):
        pressed = address.update(by_card(number), suspected)["address_pressure"]
    assert pressed > 9
    later = by_card(11, at=BEGAN + 2 * DAY)
    assert address.update(later, suspected)["address_pressure"] < 1.1


def test_a_newcomer_is_new_himself_with_a_new_card_and_a_small_amount() -> None:
    features = UNSUSPECTED | {"new_card": 1.0}
    assert is_newcomer(by_card(0), features)
    assert not is_newcomer(by_card(0, 5000), features)
    assert not is_newcomer(by_card(0), features | {"new_card": 0.0})
    assert not is_newcomer(by_card(0), features | {"customer_age": 1.5})
