"""With which amount a held payment would have passed: asked again of the stages, with the state of before it."""

import pickle
from datetime import timedelta
from typing import Any

import pytest
import structlog

from benchmarks.counterfactuals import Stages, proved
from flows.fraud import counterfactual as explaining
from flows.fraud.codec import verdict_of
from flows.fraud.counterfactual import at_amount, judge
from flows.fraud.inputs import payment_input
from flows.fraud.rules import Controls
from flows.fraud.scoring import ModelStage, StreamedPayment
from schemas.fraud import Counterfactual
from schemas.lists import FraudListing
from schemas.rules import default_rule
from tests.flows.fraud.conftest import BEGIN, in_flight


def test_with_the_named_amount_it_passes_and_with_one_unit_more_it_does_not() -> None:
    """`python -m benchmarks.counterfactuals` proves it of a thousand."""
    figures = proved(150)
    assert (figures.held, figures.wrong) == (150, 0)
    assert figures.named > 60
    assert {"score", "dear", "product", "ratio"} <= set(figures.met), figures.met


def judged(controls: Controls, **fields: Any) -> StreamedPayment:
    """The one payment of new stages, as it went to another worker on its way."""
    stages, item = Stages(), in_flight(0, **fields)
    steps: tuple[Any, ...] = stages.instruments, *stages.keys, stages.model
    for stage in steps:
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
    controls.apply(FraudListing("le_1", 1, "block", "customer", "acc_customer", "acc_analyst", None, BEGIN))
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
