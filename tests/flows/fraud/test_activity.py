"""What each key knows of itself: pace, failures, risks, amounts, counterparts, and what has no value."""

from math import exp

import msgspec
import pytest

from flows.fraud.activity import Activity, Network, PayingDevice
from flows.fraud.inputs import DAY, Features, LabelInput, PaymentInput
from flows.fraud.key_shard import FRAUD, KNOWN, UNKNOWN
from flows.fraud.keys import KEYS, KeyStage
from flows.fraud.pipeline import ScoringPipeline, outcome_of
from flows.fraud.scoring import ScoredPayment
from schemas.features import FEATURES
from schemas.states import DECLINE_CODES
from tests.flows.fraud.conftest import payment_input

HOUR = 3600.0


def paid(number: int, **fields: object) -> PaymentInput:
    return payment_input(number, **({"device_hash": "d", "customer_id": "acc_1", "eur_cents": 4200} | fields))


def seen_by(history: Activity, *payments: PaymentInput) -> Features:
    """The features of the last of some payments."""
    return [history.update(payment, {}) for payment in payments][-1]


def label(number: int, fraud: bool, day: float = 0) -> LabelInput:
    return LabelInput(f"l{number}", "fp_1", "acc_merchant", "EUR", fraud, 1e9 + day * DAY)


def test_a_key_that_is_new_has_no_age_and_no_gap_and_nothing_is_unusual() -> None:
    first = seen_by(PayingDevice(), paid(0))
    assert not first.keys() & {"device_age", "device_gap", "device_amount_z"}
    assert (first["device_history"], first["device_cards_7d"], first["device_failed_1d"]) == (0, 1, 0)


def test_counts_fade_with_the_keys_own_payments() -> None:
    found = seen_by(PayingDevice(), paid(0), paid(1), paid(3))
    assert found["device_history"] == 2
    assert found["device_count_1h"] == pytest.approx(exp(-3) + exp(-2))
    assert found["device_count_1d"] == pytest.approx(exp(-3 / 24) + exp(-2 / 24))
    assert (found["device_gap"], found["device_age"]) == (2 * HOUR, pytest.approx(3 / 24))


def test_a_payment_that_comes_late_counts_as_if_it_came_with_the_newest() -> None:
    found = seen_by(PayingDevice(), paid(5), paid(2))
    assert (found["device_gap"], found["device_age"], found["device_count_1h"]) == (0, 0, 1)


def test_distinct_cards_are_counted_exactly_up_to_a_bound_and_forgotten_after_a_week() -> None:
    device = PayingDevice()
    found = seen_by(device, *(paid(n, instrument_id=f"fp_{n % 5}") for n in range(20)))
    assert (found["device_cards_7d"], found["device_customers_7d"]) == (5, 1)
    assert seen_by(device, paid(20 + 8 * 24, instrument_id="fp_9"))["device_cards_7d"] == 1
    many = seen_by(Network(), *(paid(0, instrument_id=f"fp_{n}") for n in range(100)))
    assert many["network_cards_7d"] == 32


def test_failures_are_told_apart_by_their_reason_and_every_code_has_one() -> None:
    device, expected = PayingDevice(), {"details": 5, "funds": 2, "stolen": 3}
    for code in DECLINE_CODES:
        outcome = outcome_of(paid(0), paid=False)
        outcome.decline_code = code
        device.settle(outcome)
    found = seen_by(device, paid(0))
    assert found["device_failed_1d"] == len(DECLINE_CODES)
    assert {reason: found[f"device_failed_{reason}_1d"] for reason in expected} == expected
    assert seen_by(device, paid(24))["device_failed_funds_1d"] == pytest.approx(2 * exp(-1))


def test_only_what_was_paid_moves_what_is_usual_and_no_single_amount_decides() -> None:
    device = PayingDevice()
    for number in range(20):
        device.settle(outcome_of(paid(number), paid=True))
    usual = device.update(paid(20), {})["device_amount_z"]
    huge = device.update(paid(20, eur_cents=10**9), {})["device_amount_z"]
    assert abs(usual) < 0.1
    assert huge == 40
    device.settle(outcome_of(paid(20, eur_cents=10**9), paid=False))
    assert device.update(paid(20), {})["device_amount_z"] == usual
    device.settle(outcome_of(paid(20, eur_cents=10**9), paid=True))
    assert abs(device.update(paid(20), {})["device_amount_z"]) < 1
    assert "device_amount_z" not in device.update(paid(20, eur_cents=None), {})


def test_amounts_of_any_currency_add_up_in_euro() -> None:
    device = PayingDevice()
    for currency, cents in (("USD", 100), ("JPY", 250)):
        device.settle(outcome_of(paid(0, currency=currency, eur_cents=cents), paid=True))
    assert device.update(paid(0), {})["device_eur_7d"] == 3.5


def test_risks_remember_for_as_long_as_their_window() -> None:
    network = Network()
    network.learn(label(0, fraud=True))
    for day in range(1, 40):
        network.learn(label(day, fraud=False, day=day))
    found = seen_by(network, paid(40 * 24))
    assert found["network_risk_7d"] < found["network_risk_30d"] < found["network_risk_90d"] < 1 / 20
    assert seen_by(Network(), paid(0))["network_risk_7d"] == 0.01


def test_labels_in_any_order_say_the_same_in_the_end() -> None:
    one, other = Network(), Network()
    told = [label(n, fraud=n == 3, day=n) for n in range(10)]
    for forth, back in zip(told, reversed(told), strict=True):
        one.learn(forth)
        other.learn(back)
    names = [name for name in FEATURES if name.startswith("network_risk")]
    found = [seen_by(history, paid(0)) for history in (one, other)]
    assert [found[0][name] for name in names] == pytest.approx([found[1][name] for name in names])


def test_what_is_worth_keeping() -> None:
    fresh, spending, bad = PayingDevice(), PayingDevice(), PayingDevice()
    spending.settle(outcome_of(paid(0), paid=True))
    bad.learn(label(0, fraud=True))
    assert (fresh.worth, spending.worth, bad.worth) == (UNKNOWN, KNOWN, FRAUD)


def test_a_payment_without_a_key_has_none_of_its_features() -> None:
    pipeline = ScoringPipeline(1_000_000, min_labels=0)
    bare = ScoredPayment("pay_0", payment_input(0))
    pipeline.process(bare)
    prefixes = (
        "device_",
        "network_",
        "domain_",
        "address_count",
        "bin_count",
        "customer_count",
        "customer_merchant",
    )
    assert [name for name in bare.features if name.startswith(prefixes)] == []
    assert bare.features["card_merchant_history"] == 0


def test_a_pair_knows_how_often_it_met() -> None:
    pipeline = ScoringPipeline(1_000_000, min_labels=0)
    found = []
    for number, merchant in enumerate(("acc_a", "acc_b", "acc_a")):
        item = ScoredPayment(f"pay_{number}", paid(number, payment_id=f"pay_{number}", merchant_id=merchant))
        pipeline.process(item)
        found.append(item.features)
    assert [each["customer_merchant_history"] for each in found] == [0, 0, 1]
    assert [each.get("customer_merchant_gap") for each in found] == [None, None, 2 * HOUR]
    assert [each["customer_device_history"] for each in found] == [0, 1, 2]
    assert [each["card_merchants_7d"] for each in found] == [1, 2, 2]


def test_a_card_that_is_in_two_countries_at_once_travels_too_fast() -> None:
    pipeline = ScoringPipeline(1_000_000, min_labels=0)
    found = []
    for number, country in enumerate((None, "DE", "DE", "JP", "XX", "DE")):
        item = ScoredPayment(f"pay_{number}", paid(number, payment_id=f"pay_{number}", country=country))
        pipeline.process(item)
        found.append(item.features.get("speed"))
    assert found == [None, None, 0, pytest.approx(8_900, rel=0.05), None, None]


def test_every_history_comes_back_from_its_snapshot_with_the_same_features() -> None:
    for key in KEYS:
        stage = KeyStage(key, 10)
        items = [ScoredPayment(f"pay_{n}", everything(n), features=dict(KNOWN_BEFORE)) for n in range(5)]
        for item in items[:4]:
            stage.process(item)
            stage.process(outcome_of(everything(0), paid=item.payment_id != "pay_2"))
        kept = msgspec.msgpack.encode(stage.shard.histories)
        resumed = KeyStage(key, 10, msgspec.msgpack.decode(kept, type=dict[str, key.history]))  # type: ignore[name-defined]
        again = ScoredPayment("pay_4", everything(4), features=dict(KNOWN_BEFORE))
        stage.process(items[4])
        resumed.process(again)
        assert items[4].fault is None
        assert items[4].features == again.features, key.name


KNOWN_BEFORE = {"new_card": 1.0, "history": 0.0, "customer_tests": 2.0, "customer_age": 0.1}


def everything(number: int) -> PaymentInput:
    return paid(number, address_id="a", bin_id="411111", network_id="n", domain_id="d", amount=500)
