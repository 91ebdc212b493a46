"""What the features say of a payment, by lists of payments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.fraud.amounts import UsualAmount
from flows.fraud.inputs import DAY, Features, LabelInput, PaymentInput
from flows.fraud.instruments import Instrument
from flows.fraud.label_features import LabelHistory, feature_names
from flows.fraud.merchants import Merchant
from flows.fraud.pipeline import outcome_of
from flows.fraud.places import Place
from flows.fraud.scoring import UNSUSPECTED
from tests.flows.fraud.conftest import payment_input


def features(card: Instrument, number: int, *, paid: bool = True, **fields):  # type: ignore[no-untyped-def]
    sample = payment_input(number, **fields)
    found = card.update(sample)
    assert found is not None
    card.settle(outcome_of(sample, paid))
    return found


def at_merchant(merchant: Merchant, sample: PaymentInput, paid: bool = True) -> Features:
    """The features of a merchant's payment by a card of its own."""
    found = merchant.update(sample, UNSUSPECTED | (Instrument().update(sample) or {}))
    merchant.settle(outcome_of(sample, paid))
    return found


def test_velocity_counts_the_payments_of_the_windows_before() -> None:
    card = Instrument()
    for number, seconds in enumerate((0, 3000, 3400, 3650, 3700)):
        last = features(card, number, at=1e9 + seconds)
    assert (last["count_1m"], last["count_10m"], last["count_1h"]) == (2, 3, 4)
    assert last["gap"] == 50
    assert last["history"] == 4


def test_the_amount_is_measured_against_the_cards_own_past() -> None:
    card = Instrument()
    for number in range(20):
        features(card, number, amount=1000 + number)
    jump = features(card, 20, amount=10_000)
    assert jump["amount_to_mean"] == pytest.approx(9.9, rel=0.02)
    assert jump["amount_jump"] == jump["amount_to_largest"] == pytest.approx(9.8, rel=0.02)
    assert jump["amount_z"] > 50
    assert features(card, 21, amount=1010)["unusual"] > 5


def test_exact_counts_have_a_bound() -> None:
    card = Instrument()
    for number in range(200):
        last = features(card, number, at=1e9 + number)
    assert (last["count_1m"], last["count_1h"], len(card.times)) == (60, 65, 64)
    assert features(card, 200, at=1e9 + 8000)["count_1h"] == len(card.times) == 1


def test_a_short_history_has_no_jumps() -> None:
    card = Instrument()
    features(card, 0, amount=100)
    assert features(card, 1, amount=90_000)["amount_jump"] == 0


def test_currencies_are_never_mixed() -> None:
    card, other = Instrument(), Instrument()
    for number in range(10):
        features(card, number, amount=5000)
        features(other, number, amount=5000)
    for number in range(10, 20):
        features(card, number, amount=800_000, currency="JPY")
    euros = features(card, 20, amount=5000)
    assert euros["amount_to_mean"] == features(other, 20, amount=5000)["amount_to_mean"]
    assert features(card, 21, currency="USD")["new_currency"] == 1
    assert euros["new_currency"] == 0


def test_new_devices_and_countries_are_seen() -> None:
    card = Instrument()
    assert features(card, 0, device_hash="d1", country="DE")["new_device"] == 0
    again = features(card, 1, device_hash="d1", country="FR")
    assert (again["new_device"], again["new_country"]) == (1, 2)
    assert features(card, 2)["new_device"] == 0


def test_a_payment_that_comes_again_changes_nothing() -> None:
    card = Instrument()
    features(card, 0)
    before = repr(card)
    assert card.update(payment_input(0)) is None
    assert repr(card) == before


def test_windows_never_move_back() -> None:
    card = Instrument()
    features(card, 0, at=1e9)
    late = features(card, 1, at=1e9 - 30 * DAY)
    assert late["gap"] == 0
    assert late["count_1m"] == 2
    assert card.at == 1e9


def test_labels_count_by_the_day_of_their_payment() -> None:
    history = LabelHistory()
    for day, fraud in ((1, False), (2, True), (3, True)):
        history.update(LabelInput(f"l{day}", "fp", "acc", "EUR", fraud, 1e9 + day * DAY))
    found: Features = {}
    history.tell(feature_names("card"), 1e9 + 5 * DAY, found)
    assert (found["card_frauds"], found["card_labels"], found["card_last_label"], found["card_streak"]) == (
        2,
        3,
        2,
        2,
    )
    assert (found["card_fraud_age"], found["card_streak_age"], found["card_good_age"]) == pytest.approx((2, 3, 4))


def test_an_old_label_that_comes_late_does_not_end_a_streak() -> None:
    history = LabelHistory()
    history.update(LabelInput("l1", "fp", "acc", "EUR", True, 1e9))
    history.update(LabelInput("l2", "fp", "acc", "EUR", False, 1e9 - 3 * DAY))
    assert (history.last, history.streak, history.goods) == (2, 1, 1)


def test_a_label_that_comes_again_is_not_counted() -> None:
    card, label = Instrument(), LabelInput("l1", "fp", "acc", "EUR", True, 1e9)
    assert card.learn(label)
    assert not card.learn(label)
    assert card.labels.frauds == 1


def test_card_testing_leaves_a_trace_at_the_merchant() -> None:
    merchant = Merchant()
    for number in range(20):
        ordinary = payment_input(number, instrument_id=f"fp_{number}", amount=5_000, at=1e9 - 1000 + number)
        at_merchant(merchant, ordinary)
    for number in range(20, 35):
        sample = payment_input(number, instrument_id=f"fp_{number}", amount=100, at=1e9 + number)
        found = at_merchant(merchant, sample, paid=False)
    assert found["merchant_tests"] == 15
    bystander = payment_input(98, instrument_id="fp_98", amount=5_000, at=1e9 + 40)
    assert at_merchant(merchant, bystander)["merchant_tests"] == 0
    later = payment_input(99, instrument_id="fp_99", amount=100, at=1e9 + 2000)
    assert at_merchant(merchant, later)["merchant_tests"] == 1


def test_small_first_payments_are_no_test_of_cards_where_they_are_usual() -> None:
    baker = Merchant()
    for number in range(200):
        sample = payment_input(number, instrument_id=f"fp_{number}", amount=350 + number % 7 * 50, at=1e9 + number)
        assert at_merchant(baker, sample)["merchant_tests"] == 0
    for number in range(200, 215):
        sample = payment_input(number, instrument_id=f"fp_{number}", amount=1, at=1e9 + 2000 + number)
        found = at_merchant(baker, sample)
    assert found["merchant_tests"] == 15


def test_what_is_declined_counts_and_moves_no_amount() -> None:
    card, twin = Instrument(), Instrument()
    for number in range(20):
        features(card, number, amount=4_000 + number)
        features(twin, number, amount=4_000 + number)
    features(card, 20, amount=999_999_999_999, paid=False)
    after, usual = features(card, 21), features(twin, 21)
    assert after["history"] == usual["history"] + 1
    for name in ("amount_to_mean", "amount_to_largest", "amount_to_month", "amount_z", "day_to_mean"):
        assert after[name] == pytest.approx(usual[name], rel=1e-3), name
    assert (card.unusual, len(card.amounts)) == (pytest.approx(twin.unusual), 1)


def test_a_payment_is_paid_once_however_often_it_is_told() -> None:
    card, sample = Instrument(), payment_input(0)
    card.update(sample)
    assert card.settle(outcome_of(sample, paid=True))
    assert not card.settle(outcome_of(sample, paid=True)), "captured, after it was authorized"
    assert card.amounts["EUR"].count == 1


@pytest.mark.parametrize("paid", [False, True])
def test_what_became_of_a_new_card_is_still_known_where_its_place_had_been_forgotten(paid: bool) -> None:
    place, sample = Place(), payment_input(0)
    outcome = outcome_of(sample, paid)
    outcome.new_card = True
    place.settle(outcome)
    later = payment_input(1, instrument_id="fp_2", at=sample.at + 60)
    place.pressure(later, UNSUSPECTED | (Instrument().update(later) or {}))
    assert (round(place.paid), round(place.failed)) == (paid, not paid)


@pytest.mark.parametrize("paid", [False, True])
@pytest.mark.parametrize("when", ["first", "later"])
def test_one_huge_amount_makes_nothing_tiny_at_a_baker(paid: bool, when: str) -> None:
    baker = Merchant()
    huge = payment_input(999, instrument_id="fp_huge", amount=999_999_999_999, at=1e9)
    if when == "first":
        at_merchant(baker, huge, paid)
    for number in range(30):
        at_merchant(baker, payment_input(number, instrument_id=f"fp_{number}", amount=350, at=1e9 + number))
    if when == "later":
        at_merchant(baker, huge, paid)
    for number in range(30, 60):
        roll = payment_input(number, instrument_id=f"fp_{number}", amount=350, at=1e9 + number)
        assert at_merchant(baker, roll)["merchant_tests"] == 0
    assert baker.amounts["EUR"].usual() == 350


def test_one_huge_amount_that_is_paid_moves_a_cards_mean_by_what_it_is_used_to() -> None:
    card = Instrument()
    for number in range(20):
        features(card, number, amount=4_000)
    features(card, 20, amount=999_999_999_999)
    assert features(card, 21, amount=4_000)["amount_to_mean"] > 0.6


def test_what_a_merchant_used_to_sell_fades() -> None:
    jeweller = Merchant()
    for number in range(30):
        at_merchant(jeweller, payment_input(number, instrument_id=f"fp_{number}", amount=200_000, at=1e9 + number))
    half_a_year_later = payment_input(30, instrument_id="fp_30", amount=300, at=1e9 + 180 * DAY)
    at_merchant(jeweller, half_a_year_later)
    assert len(jeweller.amounts["EUR"].recent) == 2


def test_the_mean_of_an_earlier_release_stands_for_the_amounts_it_was_made_of() -> None:
    usual = UsualAmount(500, 500 * 320.0, 1e9)
    usual.add(999_999_999_999, 1e9)
    assert usual.usual() == 320.0


@given(
    st.lists(
        st.tuples(
            st.floats(0, 4e9),
            st.integers(0, 10**12),
            st.sampled_from(["EUR", "JPY", "BHD", "USD", "CHF", "SEK"]),
            st.integers(0, 3),
        ),
        max_size=40,
    )
)
def test_features_are_finite_whatever_comes(history: list[tuple[float, int, str, int]]) -> None:
    card, merchant = Instrument(), Merchant()
    for number, (at, amount, currency, device) in enumerate(history):
        sample = payment_input(number, at=at, amount=amount, currency=currency, device_hash=str(device))
        found = UNSUSPECTED | (card.update(sample) or {})
        found |= merchant.update(sample, found)
        outcome = outcome_of(sample, paid=number % 3 > 0)
        card.settle(outcome)
        merchant.settle(outcome)
        assert all(abs(value) < 1e15 for value in found.values()), found
    assert len(card.amounts) <= 4
    assert len(card.times) <= 64
