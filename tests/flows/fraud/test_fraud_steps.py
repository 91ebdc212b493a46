"""The three steps: attacks on them, floods, repeats, and going on from what they kept."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from iso4217 import Currency

from flows.fraud.bins import AMOUNT_COARSE, AMOUNT_FINE
from flows.fraud.edges import take_in
from flows.fraud.facts import Lesson
from flows.fraud.inflight import verdict
from flows.fraud.rules import Controls
from flows.fraud.settings import FraudSettings
from flows.fraud.shelf import SHELVES, shelf_of
from flows.fraud.steps import InstrumentStep, Item, MerchantStep, ModelStep
from flows.fraud.warm_up import warm_up
from schemas.events import decode
from schemas.fraud import Label, Verdict
from schemas.payments import Method
from tests.flows.fraud.conftest import BEGIN, in_flight, label_record, payment, payment_record

SETTINGS = FraudSettings(fraud_min_labels=20)


class Steps:
    """All three, with one shelf each, kept and opened again on demand."""

    def __init__(self, settings: FraudSettings = SETTINGS) -> None:
        self._settings = settings
        self.steps: tuple[Any, ...] = (InstrumentStep(settings), MerchantStep(settings), ModelStep(settings))

    def walk(self, *items: Item) -> list[Verdict]:
        walking: list[Any] = list(items)
        for step in self.steps:
            walking = step.walk(walking)
        return [verdict(item, Controls(), BEGIN) for item in walking]

    def reopen(self) -> None:
        self.steps = tuple(type(step)(self._settings, step.keep()) for step in self.steps)


def roomy() -> FraudSettings:
    return FraudSettings(fraud_min_labels=20, fraud_keys_max=SHELVES * 50)


def lesson(number: int, judged: Verdict, fraud: bool) -> Lesson:
    return Lesson(
        f"l{number}", judged.instrument, judged.merchant, "EUR", fraud, number * 1.0, judged.features, 0.1
    )


def teach(steps: Steps, most: int = 60) -> None:
    for number in range(most):
        fraud = number % 3 == 0
        paid = in_flight(number, stream_key=f"fp_{number % 7}", amount=90_000 if fraud else 4000)
        steps.walk(lesson(number, steps.walk(paid)[0], fraud))


def test_every_payment_gets_every_feature_and_a_score_once_there_is_a_model() -> None:
    steps = Steps()
    first = steps.walk(in_flight(0))[0]
    assert (first.score, first.source, first.outcome) == (None, "rules", "allow")
    teach(steps)
    later = steps.walk(in_flight(100))[0]
    assert later.score is not None
    assert later.source == "model"
    assert later.features.keys() == first.features.keys()
    assert len(later.features) > 35


def test_the_model_learns_what_the_labels_say() -> None:
    steps = Steps(roomy())
    teach(steps, 300)
    bad = steps.walk(in_flight(400, stream_key="fp_1", amount=90_000))[0]
    good = steps.walk(in_flight(401, stream_key="fp_1", amount=4000))[0]
    assert bad.score is not None
    assert good.score is not None
    assert bad.score > 0.5 > good.score
    assert bad.outcome in ("review", "block")
    assert bad.source == "model"


def test_kept_and_opened_again_it_judges_bit_for_bit_the_same() -> None:
    one, other = Steps(roomy()), Steps(roomy())
    teach(one)
    teach(other)
    other.reopen()
    for number in range(100, 160):
        args = {"stream_key": f"fp_{number % 9}", "amount": number * 37, "country": "DE"}
        assert one.walk(in_flight(number, **args)) == other.walk(in_flight(number, **args))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": 10**400}, "scoring_error"),
        ({"amount": 10**308}, "scoring_error"),
        ({"amount": -1}, "scoring_error"),
        ({"occurred_at": datetime(2026, 1, 1)}, "scoring_error"),  # noqa: DTZ001 - a time without a zone
        ({"occurred_at": BEGIN + timedelta(days=3650, minutes=6)}, "occurred_at_ahead"),
        ({"occurred_at": datetime(9999, 1, 1, tzinfo=UTC)}, "occurred_at_ahead"),
    ],
)
def test_what_cannot_be_scored_is_held_for_a_person(fields: dict[str, Any], reason: str) -> None:
    steps = Steps()
    teach(steps)
    judged = steps.walk(in_flight(200, **fields))[0]
    assert (judged.outcome, judged.reasons, judged.score) == ("review", [reason], None)
    assert msgspec.json.decode(msgspec.json.encode(judged), type=Verdict).features == judged.features
    assert steps.walk(in_flight(201))[0].score is not None, "and the next one is scored again"


@pytest.mark.parametrize("year", [1, 1969, 1970, 2018])
def test_old_payments_are_judged_like_any_other(year: int) -> None:
    steps = Steps()
    teach(steps)
    judged = steps.walk(in_flight(200, occurred_at=datetime(year, 1, 2, tzinfo=UTC)))[0]
    assert judged.score is not None


def test_a_feature_that_is_no_number_is_held_and_left_out() -> None:
    steps = Steps()
    teach(steps)
    item = in_flight(200)
    walked = steps.steps[1].walk(steps.steps[0].walk([item]))
    walked[0].features["amount_z"] = float("nan")
    judged = verdict(steps.steps[2].walk(walked)[0], Controls(), BEGIN)
    assert (judged.outcome, judged.reasons) == ("review", ["scoring_error"])
    assert "amount_z" not in judged.features


def test_a_payment_or_label_that_comes_again_is_dropped() -> None:
    steps = Steps()
    judged = steps.walk(in_flight(0))[0]
    assert steps.walk(in_flight(0)) == []
    steps.walk(lesson(1, judged, True))
    kept = steps.steps[1].keep()
    steps.walk(lesson(1, judged, True))
    assert steps.steps[1].keep() == kept


def test_a_flood_of_new_keys_stays_bounded() -> None:
    step = InstrumentStep(FraudSettings(fraud_keys_max=SHELVES * 4))
    for number in range(500):
        step.walk([in_flight(number, stream_key=f"fp_{number}")])
    assert len(step.keep()) < 10_000


def test_the_model_stays_under_a_megabyte_in_seventy_currencies() -> None:
    """It is kept every second; above a megabyte it would need a file of its own (design §6)."""
    features = Steps().walk(in_flight(0))[0].features
    step = ModelStep(SETTINGS)
    for number, currency in enumerate(Currency):
        for amount in [*AMOUNT_FINE, *AMOUNT_COARSE] if number < 70 else []:
            told = features | {"amount": amount}
            step.walk([Lesson(f"l{amount}", "fp", "acc", currency.code, False, 1.0, told, 0.1)])
    assert 100_000 < len(step.keep()) < 1_000_000


def test_keys_spread_over_the_shelves() -> None:
    found = {shelf_of(f"fp_{number}") for number in range(10_000)}
    assert len(found) > 8_000
    assert all(0 <= int(shelf) < SHELVES for shelf in found)


def test_a_label_on_a_payment_nobody_scored_is_counted_not_learned() -> None:
    steps = Steps()
    steps.walk(Lesson("l1", "fp_1", "acc_merchant", "EUR", True, 1.0))
    judged = steps.walk(in_flight(0))[0]
    assert judged.features["card_frauds"] == judged.features["merchant_frauds"] == 1
    assert judged.model.endswith("-new-0")


def test_only_cards_at_once_and_paypal_when_approved_are_judged() -> None:
    card, paypal = payment(0), payment(1, method=Method("paypal"))
    judged = [
        (paid.id, type)
        for paid in (card, paypal)
        for type in ("payment.initiated", "payment.approved", "payment.captured")
        if _taken(paid, type)
    ]
    assert judged == [("pay_0", "payment.initiated"), ("pay_1", "payment.approved")]


def test_a_label_that_says_it_happened_in_the_future_is_refused() -> None:
    judged = Steps().walk(in_flight(0))[0]
    ahead = msgspec.structs.replace(judged, occurred_at=BEGIN)
    record = label_record(ahead, True)
    event = decode(record.headers, record.value)
    assert take_in((record, event))
    assert isinstance(event.data, Label)
    future = msgspec.structs.replace(event.data, occurred_at=BEGIN + timedelta(days=30))
    assert take_in((record, msgspec.structs.replace(event, data=future))) == []


def test_the_warm_up_leaves_nothing_behind() -> None:
    warm_up(SETTINGS)
    assert Steps().walk(in_flight(0))[0].flow_sequence == 1


def _taken(paid: Any, type: str) -> list[Item]:
    record = payment_record(paid, type=type)
    return take_in((record, decode(record.headers, record.value)))
