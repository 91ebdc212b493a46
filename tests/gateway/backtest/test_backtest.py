"""Backtests: what they meet is what the rule met in shadow, payment by payment."""

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.warehouse import WarehouseAway
from flows.fraud.codec import verdict_of
from flows.fraud.pipeline import ScoringPipeline
from flows.fraud.rules import Controls
from gateway.backtest.desk import BacktestDesk, WarehouseSilent
from gateway.backtest.results import sums_between, total, wilson
from gateway.backtest.statements import cuts, figures, judged
from schemas.controls import DEFAULTS
from schemas.expressions import parse
from schemas.payments import Method
from schemas.rules import FraudRule
from schemas.settings import Settings
from tests.flows.analytics.conftest import Kept, Log, event, step
from tests.flows.analytics.lives import labelled
from tests.flows.fraud.conftest import BEGIN, in_flight

END = BEGIN + timedelta(days=3650)
RULES = [
    "amount > 5000 and currency == 'EUR'",
    "count_1h >= 2 or has(amount_eur) and amount_eur * 2 > 90",
    "not (gap > 3600) and hour in [13, 14, 15]",
    "merchant_count_7d > 100 and brand != 'visa'",
    "score > 0.9 or customer_amount_z > 2",
    "not has(country) and weekday < 6 and max(amount, amount_to_mean) / history > 10",
]


def shadow(number: int, expression: str) -> FraudRule:
    return FraudRule(
        id=f"rule_{number}",
        version=1,
        expression=expression,
        outcome="block",
        reason="a test",
        mode="shadow",
        recorded_at=BEGIN,
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kept, dict[str, list[str]]]]:
    """A warehouse of made-up payments, and for each rule in shadow what it met."""
    path: Path = tmp_path_factory.mktemp("backtest")
    kept, log, chance = Kept(path), Log(), random.Random(7)
    pipeline, controls = ScoringPipeline(1000, min_labels=0), Controls(DEFAULTS)
    controls.apply(*(shadow(*rule) for rule in enumerate(RULES)))
    met: dict[str, list[str]] = {f"rule_{number}": [] for number in range(len(RULES))}
    records = []
    for number in range(300):
        item = in_flight(
            number,
            occurred_at=BEGIN + timedelta(minutes=20 * number),
            amount=chance.randint(100, 9000),
            amount_eur_cents=chance.choice([None, chance.randint(100, 9000)]),
            currency=chance.choice(["EUR", "USD"]),
            country=chance.choice([None, "DE", "FR"]),
            stream_key=f"fp_{chance.randint(0, 30)}",
            customer=f"acc_{chance.randint(0, 20)}",
            method=Method("card", "card_1", chance.choice(["visa", "mastercard"]), "411111", "1111"),
        )
        assert pipeline.process(item)
        if number % 40 == 7:
            item.fault = "scoring_error"
        item.live, item.score = number > 100, round(chance.random(), 3)
        verdict = verdict_of(item, controls, END + timedelta(minutes=number))
        for rule_id in verdict.shadow_met:
            met[rule_id].append(verdict.payment)
        state: Any = chance.choice(["captured", "declined"])
        records.append(
            log.event("payments.v1", step(1, None, replace(item.payment, state=state, status=_status(state))))
        )
        records.append(log.event("risk.v1", event("risk.verdict", verdict)))
        if number % 5 == 0:
            told = {"payment": verdict.payment, "recorded_at": END + timedelta(days=3)}
            records.append(log.event("labels.v1", labelled("fraud" if number % 10 else "good", **told)))
    kept.write(*records)
    # As an earlier release wrote them, and one with other features.
    kept.ask("UPDATE store.verdicts SET numbers = NULL, layout = NULL WHERE input_offset % 3 = 0")
    kept.ask("UPDATE store.verdicts SET numbers = [0.0], layout = 'other' WHERE input_offset % 3 = 1")
    yield kept, met
    kept.warehouse.close()


def _status(state: str) -> str:
    return "succeeded" if state == "captured" else "failed"


@pytest.mark.parametrize("number", range(len(RULES)))
def test_a_backtest_meets_what_the_rule_met_in_shadow(
    stored: tuple[Kept, dict[str, list[str]]], number: int
) -> None:
    kept, met = stored
    asked = judged(parse(RULES[number]), END, END + timedelta(days=1))
    rows = kept.ask(f"SELECT payment_id FROM ({asked}) WHERE met ORDER BY judged_at")
    assert [payment_id for [payment_id] in rows] == met[f"rule_{number}"]
    assert 0 < len(rows) < 290, "a rule that meets none, or all, shows nothing"


def rows_of(kept: Kept, sql: str) -> list[dict[str, Any]]:
    found = kept.warehouse._con.cursor().execute(sql)
    return [dict(zip([column[0] for column in found.description], row, strict=True)) for row in found.fetchall()]


def test_the_figures_of_the_parts_of_a_span_add_up_to_those_of_the_whole(
    stored: tuple[Kept, dict[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, met = stored
    monkeypatch.setattr("gateway.backtest.statements.SPAN_PAYMENTS", 100)
    tree, end = parse(RULES[1]), END + timedelta(days=1)
    minutes = [row["minute"].replace(tzinfo=END.tzinfo) for row in rows_of(kept, cuts(END, end))]
    assert len(minutes) == 3
    edges = [END, *minutes, end]
    parts = [row for a, b in pairwise(edges) for row in rows_of(kept, figures(tree, a, b))]
    whole = total(tree, rows_of(kept, figures(tree, END, end)))
    assert total(tree, parts) == whole
    assert (whole.payments, whole.hits) == (292, len(met["rule_1"])), "8 had a fault"
    assert whole.frauds_caught + whole.good_lost <= whole.hits
    assert sum(week.hits for week in whole.by_week) == whole.hits
    for told in ("caught", "lost"):
        by_week = sum(getattr(each, told) for week in whole.by_week for each in week.amounts)
        assert by_week == sum(getattr(each, told) for each in whole.amounts) > 0
        for each in whole.amounts:
            low, high = getattr(each, f"{told}_interval")
            assert low < getattr(each, told) < high
    assert 0.3 < whole.coverage["amount_eur"] < 0.7
    assert whole.coverage["count_1h"] == 1


def test_the_interval_is_wilsons() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1


def test_the_interval_of_a_sum_is_that_of_its_payments() -> None:
    """Of ten payments Poisson's is 4.80 to 18.39; a large one among many small ones decides alone."""
    low, high = sums_between(10 * 500, 10 * 500.0**2) or (0, 0)
    assert (low, high) == pytest.approx((4.80 * 500, 18.39 * 500), rel=0.01)
    assert sums_between(0, 0.0) is None
    low, high = sums_between(100_000 + 99 * 10, 100_000.0**2 + 99 * 10.0**2) or (0, 0)
    assert (low, high) == pytest.approx((0.025 * 100_000, 5.57 * 100_000), rel=0.1, abs=2_000)


async def test_a_warehouse_that_is_away_is_a_refusal_and_the_next_backtest_runs(tmp_path: Path) -> None:
    desk = BacktestDesk(Settings(data=tmp_path))

    def away(sql: str) -> list[dict[str, Any]]:
        raise WarehouseAway("away")

    desk._answer = away  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(WarehouseSilent):
            await desk.run(parse("amount > 1"), BEGIN, END)


async def test_who_hangs_up_is_given_up_and_only_one_statement_runs_at_a_time(tmp_path: Path) -> None:
    desk, asked = BacktestDesk(Settings(data=tmp_path)), 0
    begun, end = asyncio.Event(), asyncio.Event()

    async def slow(sql: str) -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        begun.set()
        await end.wait()
        return []

    desk._alone = slow  # type: ignore[method-assign]
    running = asyncio.create_task(desk.run(parse("amount > 1"), BEGIN, END))
    await begun.wait()
    with pytest.raises(WarehouseSilent):
        await desk.run(parse("amount > 1"), BEGIN, END)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    end.set()
    assert asked == 1, "no further statement began"
