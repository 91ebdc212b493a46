"""With which amount a held payment would have passed: asked again of the stages, with the state of before it."""

import pickle
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import structlog

from flows.fraud import counterfactual as explaining
from flows.fraud.codec import verdict_of
from flows.fraud.counterfactual import HELD, at_amount, judge
from flows.fraud.inputs import payment_input
from flows.fraud.instruments import Instrument
from flows.fraud.keys import KEYS, KeyStage
from flows.fraud.pipeline import label_of, outcome_of
from flows.fraud.rules import Controls, decide
from flows.fraud.scoring import InstrumentStage, ModelStage, StreamedPayment
from schemas.controls import DEFAULTS, default_rule
from schemas.fraud import Counterfactual
from schemas.lists import FraudListing
from schemas.payments import Method
from tests.flows.fraud.conftest import BEGIN, in_flight

RULES = (
    *DEFAULTS,
    default_rule("score", "score >= 0.3", "review"),
    default_rule("jump", "amount_jump >= 1.2", "review"),
    default_rule("dear", "amount_eur > 70 and history < 20", "block"),
    default_rule("product", "amount * count_1h > 14000", "review"),
    default_rule("ratio", "merchant_amount / amount_to_mean > 3 and amount > 900", "review"),
    default_rule("unusual", "customer_amount_z >= 3 or device_amount_z >= 3", "review"),
    default_rule("tiny", "merchant_tests >= 2 and bin_pressure < 1", "review"),
)

Saved = dict[str, bytes]


class Stages:
    """All stages; `save` keeps the histories that a payment names, and `again` scores it by these alone."""

    def __init__(self) -> None:
        self.instruments = InstrumentStage(10_000)
        self.keys = [KeyStage(key, 10_000) for key in KEYS]
        self.model = ModelStage(min_labels=20)

    def process(self, item: Any) -> None:
        for stage in (self.instruments, *self.keys, self.model):
            stage.process(item)

    def save(self, item: StreamedPayment) -> Saved:
        named = {"instrument": (self.instruments.shard, item.instrument_id)}
        named |= {key.name: (stage.shard, key.id_of(item)) for key, stage in zip(KEYS, self.keys, strict=True)}
        kept = {name: shard.histories.get(id) for name, (shard, id) in named.items() if id}
        return {name: msgspec.msgpack.encode(history) for name, history in kept.items() if history is not None}

    def again(self, item: StreamedPayment, saved: Saved) -> StreamedPayment:
        def known(name: str, kind: type[Any], id: str | None) -> dict[str, Any]:
            return {id: msgspec.msgpack.decode(saved[name], type=kind)} if id and name in saved else {}

        instruments = known("instrument", Instrument, item.instrument_id)
        InstrumentStage(10, instruments).process(item)
        for key in KEYS:
            KeyStage(key, 10, known(key.name, key.history, key.id_of(item))).process(item)
        self.model.process(item)
        return item


def drawn(number: int, chance: random.Random) -> dict[str, Any]:
    """The fields of a payment: some cards are new, some currencies without a rate."""
    card = chance.choice([chance.randrange(60), 1000 + number // 3, 1000 + number])
    amount = round(chance.choice([300, 2500, 9000]) * chance.lognormvariate(0, 0.7)) + 1
    currency = "EUR" if chance.random() < 0.8 else "JPY"
    return {
        "stream_key": f"fp_{card}",
        "amount": amount,
        "currency": currency,
        "amount_eur_cents": amount if currency == "EUR" else None,
        "customer": f"acc_c{card // 4 % 40}",
        "merchant": f"acc_{chance.randrange(8)}",
        "method": Method("card", brand="visa", bin=f"41111{card % 3}"),
        "ip_hash": f"ip_{card % 25}",
        "ip_network_hash": f"net_{card % 5}",
        "device_hash": f"dev_{card % 30}" if card % 2 else None,
        "occurred_at": BEGIN + timedelta(minutes=7 * number),
    }


def held_payments(
    count: int, seed: int = 3
) -> list[tuple[StreamedPayment, dict[str, Any], Saved, Stages, Controls]]:
    """The first `count` that name an amount are asked again at once, as the model goes on learning."""
    chance, stages, controls = random.Random(seed), Stages(), Controls(RULES)
    found = []
    number = 0
    while len(found) < count:
        fields = drawn(number, chance)
        item = in_flight(number, **fields)
        saved = stages.save(item)
        stages.process(item)
        judge(item, stages.model.model, controls)
        assert item.decision
        if item.decision.outcome in HELD:
            found.append((item, fields, saved, stages, controls))
            _assert_named_amount_decides(item, fields, saved, stages, controls)
        _learn(item, stages, chance)
        number += 1
    return found


def _assert_named_amount_decides(
    item: StreamedPayment, fields: dict[str, Any], saved: Saved, stages: Stages, controls: Controls
) -> None:
    def outcome_with(amount: int) -> str:
        cents = amount if fields["amount_eur_cents"] is not None else None
        changed = fields | {"amount": amount, "amount_eur_cents": cents}
        again = stages.again(in_flight(int(item.payment_id[4:]), **changed), saved)
        rebuilt = at_amount(item, amount, stages.model.model)
        assert (again.features, again.score) == (rebuilt.features, rebuilt.score)
        return decide(again, controls).outcome

    if named := item.counterfactual:
        assert 0 < named.amount < item.payment.amount
        assert named.currency == item.payment.currency
        assert outcome_with(named.amount) in ("allow", "flag")
        assert outcome_with(named.amount + 1) in HELD
    else:
        assert outcome_with(max(1, item.payment.amount // 3)) in HELD


def _learn(item: StreamedPayment, stages: Stages, chance: random.Random) -> None:
    assert item.input
    paid = chance.random() < 0.85
    stages.process(outcome_of(item.input, paid))
    if chance.random() < 0.5:
        fraud = not paid or item.input.amount > 12_000
        stages.process(label_of(item.input, fraud, item.features, item.score or 0.0))


def test_of_1000_held_payments_the_named_amount_passes_and_one_unit_more_does_not() -> None:
    held = held_payments(1000)
    named = [item for item, *_ in held if item.counterfactual]
    met = Counter(rule for item in named if item.decision for rule in item.decision.rules_met)
    assert len(named) > 400
    assert {"score", "jump", "dear", "product", "ratio", "unusual"} <= set(met), met


def judged(controls: Controls, **fields: Any) -> StreamedPayment:
    """The one payment of new stages, as it went to another worker on its way."""
    stages, item = Stages(), in_flight(0, **fields)
    for stage in (stages.instruments, *stages.keys, stages.model):
        item = pickle.loads(pickle.dumps(item))
        stage.process(item)
    judge(item, stages.model.model, controls)
    return item


def test_the_verdict_tells_it() -> None:
    controls = Controls([default_rule("dear", "amount >= 4001", "review")])
    item = judged(controls)
    assert item.counterfactual == Counterfactual(4000, "EUR")
    verdict = verdict_of(item, controls, BEGIN)
    assert (verdict.outcome, verdict.counterfactual) == ("review", Counterfactual(4000, "EUR"))
    assert judged(controls, amount=4000).counterfactual is None


@pytest.mark.parametrize("expression", ["count_1m >= 1", "amount >= 1", "merchant == 'acc_merchant'"])
def test_where_no_amount_helps_none_is_named(expression: str) -> None:
    controls = Controls([default_rule("always", expression, "block"), default_rule("dear", "amount > 1", "block")])
    item = judged(controls)
    assert item.decision
    assert (item.decision.outcome, item.counterfactual) == ("block", None)


def test_where_a_list_decides_or_there_is_a_fault_none_is_named() -> None:
    controls = Controls([default_rule("dear", "amount > 1", "review")])
    assert judged(controls, occurred_at=BEGIN + timedelta(days=9999)).counterfactual is None
    controls.apply(FraudListing("le_1", 1, "block", "customer", "acc_customer", None, None, BEGIN))
    item = judged(controls)
    assert item.decision
    assert (item.decision.listed, item.counterfactual) == ("le_1", None)


def test_a_mistake_in_it_costs_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "at_amount", lambda *_: 1 / 0)
    with structlog.testing.capture_logs() as logs:
        item = judged(Controls([default_rule("dear", "amount > 1", "review")]))
    assert item.decision
    assert (item.decision.outcome, item.counterfactual) == ("review", None)
    assert logs == [
        {
            "event": "counterfactual.failed",
            "log_level": "error",
            "payment_id": "pay_0",
            "error": "ZeroDivisionError",
        }
    ]


def test_euro_by_the_ratio_of_the_payment_are_rounded_up() -> None:
    item = judged(Controls(), amount=1000, currency="USD", amount_eur_cents=925)
    changed = at_amount(item, 333, ModelStage(1).model)
    assert changed.input
    assert (changed.input.eur_cents, changed.payment.amount_eur_cents, item.payment.amount_eur_cents) == (
        309,
        309,
        925,
    )
    assert payment_input("", changed.payment).amount == 333
