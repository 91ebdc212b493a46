"""The operators: attacks on them, floods, repeats, and resuming from their snapshots."""

import pickle
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from iso4217 import Currency

from flows.fraud.codec import inputs_of, streamed_payment, verdict_of
from flows.fraud.inputs import LabelInput, OutcomeInput
from flows.fraud.key_shard import SHARDS
from flows.fraud.one_hot import AMOUNT_COARSE, AMOUNT_FINE, RECIPE
from flows.fraud.operators import InstrumentOperator, ModelOperator, StreamItem
from flows.fraud.pipeline import outcome_of
from flows.fraud.rules import Controls
from flows.fraud.scoring import StreamedPayment
from flows.fraud.settings import FraudSettings
from flows.fraud.startup import HISTORIES, warm_up
from schemas.controls import DEFAULTS
from schemas.events import decode
from schemas.fraud import Label, Verdict
from schemas.payments import Method
from schemas.states import TRANSITIONS, PaymentState
from tests.flows.fraud.conftest import BEGIN, in_flight, label_record, payment, payment_record

SETTINGS = FraudSettings(fraud_min_labels=20)
EVERY = (*HISTORIES, ModelOperator)
MOMENT = datetime.fromtimestamp(1e9 + 7200, UTC)


class Operators:
    """All of them, with one shard each, resumed from their snapshots on demand."""

    def __init__(self, settings: FraudSettings = SETTINGS) -> None:
        self._settings = settings
        self.operators: tuple[Any, ...] = tuple(make(settings) for make in EVERY)

    def process(self, *items: StreamItem) -> list[Verdict]:
        passed: list[Any] = list(items)
        for operator in self.operators:
            passed = operator.process(passed)
        return [verdict_of(item, Controls(DEFAULTS), BEGIN) for item in passed]

    def resume(self) -> None:
        kept = [operator.snapshot() for operator in self.operators]
        self.operators = tuple(make(self._settings, snapshot) for make, snapshot in zip(EVERY, kept, strict=True))


def roomy() -> FraudSettings:
    return FraudSettings(fraud_min_labels=20, fraud_keys_max=SHARDS * 50)


def label(number: int, judged: Verdict, fraud: bool) -> LabelInput:
    return LabelInput(
        f"l{number}", judged.instrument, judged.merchant, "EUR", fraud, number * 1.0, judged.features, 0.1
    )


def outcome(number: int, paid: bool, **fields: Any) -> OutcomeInput:
    found = in_flight(number, **fields).input
    assert found
    return outcome_of(found, paid)


def teach(operators: Operators, most: int = 60) -> None:
    for number in range(most):
        fraud = number % 3 == 0
        paid = in_flight(number, stream_key=f"fp_{number % 7}", amount=90_000 if fraud else 4000)
        judged = operators.process(paid)[0]
        assert paid.input
        operators.process(outcome_of(paid.input, paid=True), label(number, judged, fraud))


def test_every_payment_gets_every_feature_and_a_score_once_there_is_a_model() -> None:
    operators = Operators()
    first = operators.process(in_flight(0))[0]
    assert (first.score, first.source, first.outcome) == (None, "rules", "allow")
    teach(operators)
    later = operators.process(in_flight(100))[0]
    assert later.score is not None
    assert later.source == "model"
    firsts = {name for name in later.features.keys() - first.features.keys() if name.endswith(("_age", "_gap"))}
    assert later.features.keys() - firsts == first.features.keys(), "only what has a before comes later"
    assert len(later.features) > 35


@pytest.mark.parametrize("fields", [{}, {"amount": 10**400}, {"amount": -1}])
def test_a_payment_is_the_same_at_a_worker_of_another_process(fields: dict[str, Any]) -> None:
    item = in_flight(7, method=Method("card", bin="411111"), device_hash="d", ip_hash="i", **fields)
    for make in HISTORIES:
        make(SETTINGS).process([item])
    there = pickle.loads(pickle.dumps(item))
    assert there == item
    assert bool(there.input and there.input.by_amount) == (not fields)


def test_the_model_learns_what_the_labels_say() -> None:
    operators = Operators(roomy())
    teach(operators, 300)
    bad = operators.process(in_flight(400, stream_key="fp_1", amount=90_000))[0]
    good = operators.process(in_flight(401, stream_key="fp_1", amount=4000))[0]
    assert bad.score is not None
    assert good.score is not None
    assert bad.score > 0.5 > good.score
    assert bad.outcome in ("review", "block")
    assert bad.source == "model"


def test_kept_and_opened_again_it_judges_bit_for_bit_the_same() -> None:
    one, other = Operators(roomy()), Operators(roomy())
    teach(one)
    teach(other)
    other.resume()
    for number in range(100, 160):
        args = {"stream_key": f"fp_{number % 9}", "amount": number * 37, "country": "DE"}
        assert one.process(in_flight(number, **args)) == other.process(in_flight(number, **args))


def test_a_payment_whose_clock_was_set_back_is_scored() -> None:
    """At PayPal an hour may lie between a payment's creation and its approval; by the wall clock, any."""
    paid = payment(200, occurred_at=BEGIN + timedelta(hours=1), created_at=BEGIN + timedelta(hours=1))
    judged = Operators().process(streamed_payment("evt_200", None, paid, BEGIN, 0, 200))[0]
    assert "occurred_at_ahead" not in judged.reasons


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": 10**400}, "scoring_error"),
        ({"amount": 10**308}, "scoring_error"),
        ({"amount": -1}, "scoring_error"),
        ({"occurred_at": datetime(2026, 1, 1)}, "scoring_error"),  # noqa: DTZ001 - a time without a zone
        ({"occurred_at": BEGIN + timedelta(days=3650, minutes=6), "created_at": BEGIN}, "occurred_at_ahead"),
        ({"occurred_at": datetime(9999, 1, 1, tzinfo=UTC), "created_at": BEGIN}, "occurred_at_ahead"),
    ],
)
def test_what_cannot_be_scored_is_held_for_a_person(fields: dict[str, Any], reason: str) -> None:
    operators = Operators()
    teach(operators)
    judged = operators.process(in_flight(200, **fields))[0]
    assert (judged.outcome, judged.reasons, judged.score) == ("review", [reason], None)
    assert msgspec.json.decode(msgspec.json.encode(judged), type=Verdict).features == judged.features
    assert operators.process(in_flight(201))[0].score is not None, "and the next one is scored again"


@pytest.mark.parametrize("year", [1, 1969, 1970, 2018])
def test_old_payments_are_judged_like_any_other(year: int) -> None:
    operators = Operators()
    teach(operators)
    judged = operators.process(in_flight(200, occurred_at=datetime(year, 1, 2, tzinfo=UTC)))[0]
    assert judged.score is not None


def test_a_feature_that_is_no_number_is_held_and_left_out() -> None:
    operators = Operators()
    teach(operators)
    item = in_flight(200)
    passed: Any = [item]
    for operator in operators.operators[:-1]:
        passed = operator.process(passed)
    passed[0].features["amount_z"] = float("nan")
    judged = verdict_of(operators.operators[-1].process(passed)[0], Controls(DEFAULTS), BEGIN)
    assert (judged.outcome, judged.reasons) == ("review", ["scoring_error"])
    assert "amount_z" not in judged.features


def test_a_payment_label_or_outcome_that_comes_again_is_dropped() -> None:
    operators = Operators()
    judged = operators.process(in_flight(0))[0]
    assert operators.process(in_flight(0)) == []
    operators.process(label(1, judged, True))
    told = outcome(0, paid=True)
    operators.process(told)
    kept = [operator.snapshot() for operator in operators.operators]
    operators.process(label(1, judged, True))
    operators.process(told)
    assert [operator.snapshot() for operator in operators.operators] == kept


def test_what_is_all_sent_again_is_counted_once_however_much_it_is() -> None:
    """`sluice outbox resend`, or a log that is read again from further back than the ids that are remembered."""
    operators, items = Operators(roomy()), list[StreamItem]()
    for number in range(20):
        paid = in_flight(number, method=Method("card", bin="411111"), ip_hash="ip_1")
        told = msgspec.structs.replace(outcome(number, paid=True), event_id=f"evt_{number:04}_outcome")
        learned = LabelInput(
            f"l{number}", "fp_1", "acc_merchant", "EUR", True, 1.0, event_id=f"evt_{number:04}_label"
        )
        items += [paid, told, learned]
    operators.process(*items)
    kept = [operator.snapshot() for operator in operators.operators[:-1]]
    again = operators.process(*items)
    assert [verdict.payment for verdict in again] == [f"pay_{n}" for n in range(12)], "a payment may be new to us"
    assert [operator.snapshot() for operator in operators.operators[:-1]] == kept
    next = operators.process(in_flight(20))[0]
    assert (next.features["count_1m"], next.features["history"], next.features["card_labels"]) == (1, 20, 20)


def test_the_events_of_a_payment_say_whether_it_may_have_been_counted() -> None:
    record = payment_record(payment(0))
    judged, told = (
        inputs_of((record, decode(record.headers, record.value)))[0],
        _taken(payment(0), "payment.captured")[0],
    )
    assert isinstance(judged, StreamedPayment)
    assert judged.input
    assert isinstance(told, OutcomeInput)
    assert judged.input.event_id == told.event_id == "evt_pay_0"


def test_a_flood_of_new_keys_stays_bounded() -> None:
    operator = InstrumentOperator(FraudSettings(fraud_keys_max=SHARDS * 4))
    for number in range(500):
        operator.process([in_flight(number, stream_key=f"fp_{number}")])
    assert len(operator.snapshot()) < 10_000


def test_the_model_stays_under_a_megabyte_in_seventy_currencies() -> None:
    """It is kept every second; above a megabyte it would need a file of its own."""
    features = Operators().process(in_flight(0))[0].features
    operator = ModelOperator(SETTINGS)
    for number, currency in enumerate(Currency):
        for amount in [*AMOUNT_FINE, *AMOUNT_COARSE] if number < 70 else []:
            told = features | {"amount": amount}
            operator.process([LabelInput(f"l{amount}", "fp", "acc", currency.code, False, 1.0, told, 0.1)])
    assert 100_000 < len(operator.snapshot()) < 1_000_000


def test_a_label_on_a_payment_nobody_scored_is_counted_not_learned() -> None:
    operators = Operators()
    operators.process(LabelInput("l1", "fp_1", "acc_merchant", "EUR", True, 1.0))
    judged = operators.process(in_flight(0))[0]
    assert judged.features["card_frauds"] == judged.features["merchant_frauds"] == 1
    assert judged.model.endswith("-new-0")


def test_only_cards_at_once_and_paypal_when_approved_are_judged() -> None:
    card, paypal = payment(0), payment(1, method=Method("paypal"))
    judged = [
        (paid.id, type)
        for paid in (card, paypal)
        for type in ("payment.initiated", "payment.approved", "payment.captured")
        for item in _taken(paid, type)
        if isinstance(item, StreamedPayment)
    ]
    assert judged == [("pay_0", "payment.initiated"), ("pay_1", "payment.approved")]


@pytest.mark.parametrize(
    ("type", "fields", "paid"),
    [
        ("payment.authorized", {}, True),
        ("payment.captured", {}, True),
        ("payment.declined", {"decline_code": "insufficient_funds"}, False),
        ("payment.declined", {"decline_code": "blocked"}, None),
        ("payment.declined", {"decline_code": "issuer_unavailable"}, None),
        ("payment.failed", {"decline_code": "processor_unavailable"}, None),
        ("payment.in_review", {}, None),
        ("payment.voided", {}, None),
        ("payment.captured", {"amount": 10**400}, None),
        ("payment.captured", {"occurred_at": datetime(9999, 1, 1, tzinfo=UTC), "created_at": BEGIN}, None),
    ],
)
def test_what_became_of_a_payment_is_read_from_its_later_events(
    type: str, fields: dict[str, Any], paid: bool | None
) -> None:
    taken = _taken(payment(0, **fields), type)
    assert [item.paid for item in taken if isinstance(item, OutcomeInput)] == ([] if paid is None else [paid])


def test_a_payment_settles_once_whatever_way_it_goes() -> None:
    """However many payments of its card settle between its authorization and its parts."""
    begins: PaymentState = "processing"
    ways = [[begins, after] for after in TRANSITIONS[begins]]
    while ways:
        way = ways.pop()
        told = [
            item
            for previous, state in pairwise(way)
            for item in _taken(payment(0), _type_of(state), previous)
            if isinstance(item, OutcomeInput)
        ]
        was_paid = any(state in ("authorized", "captured") for state in way)
        assert [item.paid for item in told[:1]] == [was_paid] * (was_paid or "declined" in way), way
        assert len(told) <= 1, way
        ways += [[*way, after] for after in TRANSITIONS[way[-1]] if way.count(after) < 2]


def test_a_label_that_says_it_happened_in_the_future_is_refused() -> None:
    judged = Operators().process(in_flight(0))[0]
    ahead = msgspec.structs.replace(judged, occurred_at=BEGIN)
    record = label_record(ahead, True)
    event = decode(record.headers, record.value)
    assert inputs_of((record, event))
    assert isinstance(event.data, Label)
    future = msgspec.structs.replace(event.data, occurred_at=BEGIN + timedelta(days=30))
    assert inputs_of((record, msgspec.structs.replace(event, data=future))) == []


def test_the_warm_up_leaves_nothing_behind() -> None:
    warm_up(SETTINGS)
    assert Operators().process(in_flight(0))[0].flow_sequence == 1


def _type_of(state: PaymentState) -> str:
    return "payment.approved" if state == "processing" else f"payment.{state}"


def _taken(paid: Any, type: str, previous: PaymentState | None = None) -> list[StreamItem]:
    record = payment_record(paid, type=type, previous=previous)
    return inputs_of((record, decode(record.headers, record.value)))


def test_a_snapshot_of_an_earlier_release_is_resumed() -> None:
    """Literal state as it stands in recovery stores: whoever moves or renames a stored field must read both."""
    labels = [1, 0, 2, 1e9, 1, 1e9, 1e9, 0, 1.0, 1.0]
    amounts = {"EUR": [1, 4200.0, 4200.0, 1e9, 1.0, 4200.0, 1.0, 4200.0, [4200.0]]}
    card = [1, 1e9, 1.0, 1.0, 1.0, 0.0, [1e9], amounts, ["d1"], ["DE"], ["pay_0"], ["evt_l0"], labels]
    merchant = [1, 1e9, 1.0, 0.0, {"EUR": [1, 4200.0, 1e9]}, [[1e9, "fp_1"]], labels]
    tally = [[0.0] * 128, [0.0] * 128, 0.5, 1.25, 30, 1]
    learned = {"recipe": RECIPE, "labels": 30, "chain": b"\x01\x02", "intercept": -1.0}
    model = {"learned": learned | {"weights": {}, "squares": {}}, "tally": tally, "sequence": 41}
    encode = msgspec.msgpack.encode
    operators = Operators()
    operators.operators = (
        InstrumentOperator(roomy(), encode({"fp_1": card})),
        *(make(roomy()) for make in HISTORIES[1:-1]),  # that release had no such steps
        HISTORIES[-1](roomy(), encode({"acc_merchant": merchant})),
        ModelOperator(roomy(), encode(model)),
    )
    assert operators.process(in_flight(0)) == [], "a repeat"
    judged = operators.process(in_flight(1, device_hash="d1", country="FR"))[0]
    assert judged.model == f"logistic-{RECIPE}-0102-30"
    assert (judged.flow_sequence, judged.score) == (42, pytest.approx(0.2689, abs=1e-4))
    expected = {
        "history": 1,
        "new_device": 1,
        "new_country": 2,
        "card_frauds": 1,
        "new_card": 0,
        "merchant_history": 1,
        "merchant_amount": 1,
        "merchant_frauds": 1,
    }
    assert {name: judged.features[name] for name in expected} == expected


def test_what_the_release_before_the_keys_wrote_is_resumed() -> None:
    """Customer, address and BIN had no activity, and no history knew declines and risks by window."""
    customer = [3, 1e9, 1e9 + 3600, {"fp_9": [1e9, True, True, False], "fp_8": [1e9, True, True, False]}]
    place = [1e9, 2.0, 0.0, 1.0, 3.0, 0.0]
    encode, operators = msgspec.msgpack.encode, Operators(roomy())
    kept = {"acc_customer": customer, "address": place, "411111": place}
    operators.operators = (
        operators.operators[0],
        *(make(roomy(), encode({id: kept[id]})) for make, id in zip(HISTORIES[1:4], kept, strict=True)),
        *operators.operators[4:],
    )
    paid = in_flight(1, ip_hash="address", method=Method("card", bin="411111"), occurred_at=MOMENT, amount=500)
    features = operators.process(paid)[0].features
    assert features["customer_tests"] == pytest.approx(3, abs=0.1), "the two cards of before, and this one"
    assert features["customer_age"] == pytest.approx(2 / 24)
    assert (features["customer_history"], features["address_history"]) == (0, 0), "counted from now on"
    assert features["address_pressure"] > 1
    assert "customer_gap" not in features
