"""The quality of the scores, told by the labels as they come."""

import random

import msgspec
import pytest

from flows.fraud.quality import Quality, Tally
from sluice.fraud_metrics import rank_metrics


def labels(count: int, skill: float) -> list[tuple[float, bool]]:
    chance = random.Random(3)
    made = []
    for _ in range(count):
        fraud = chance.random() < 0.05
        made.append((min(max(chance.gauss(0.1 + skill * fraud, 0.1), 0.001), 0.999), fraud))
    return made


def told(made: list[tuple[float, bool]]) -> Quality:
    quality = Quality()
    for score, fraud in made:
        quality.update(score, fraud)
    return quality


@pytest.mark.parametrize("skill", [0.0, 0.2, 0.6])
def test_the_tally_comes_close_to_the_exact_average_precision(skill: float) -> None:
    made = labels(4000, skill)
    assert told(made).figures()["pr_auc"] == pytest.approx(rank_metrics(made)[1], abs=0.03)


def test_precision_at_the_top_is_that_of_the_highest_scores() -> None:
    made = [(0.01, False)] * 995 + [(0.9, True)] * 8 + [(0.9, False)] * 2 + [(0.01, False)] * 995
    assert told(made).figures()["precision_top"] == pytest.approx(0.8, abs=0.01)


def test_calibration_compares_what_was_expected_with_what_came() -> None:
    fair = [(0.2, number % 5 == 0) for number in range(1000)]
    assert told(fair).figures()["calibration"] == pytest.approx(1, abs=0.02)
    assert told([(0.4, fraud) for _, fraud in fair]).figures()["calibration"] == pytest.approx(2, abs=0.05)


def test_a_label_without_a_score_is_only_counted() -> None:
    quality = Quality()
    quality.update(None, True)
    assert quality.figures() == {"labels": 1, "unscored": 1, "drifts": 0}


def test_a_change_in_the_loss_is_a_drift() -> None:
    steady = [(0.05, number % 40 == 0) for number in range(4000)]
    assert told(steady).figures()["drifts"] == 0
    assert told([*steady, *((0.05, number % 2 == 0) for number in range(2000))]).figures()["drifts"] >= 1


def test_the_newest_labels_weigh_more_and_the_weight_stays_finite() -> None:
    quality = told([(0.9, False), (0.1, True)] * 20_000)
    before = quality.figures()["pr_auc"]
    for _ in range(500_000):
        quality.tally.update(0.9, True)
        quality.tally.update(0.1, False)
    assert quality.tally.weight < 1e9
    assert quality.figures()["pr_auc"] > 0.99 > before


def test_it_is_kept_and_read_back() -> None:
    tally = told(labels(500, 0.4)).tally
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tally), type=Tally) == tally
