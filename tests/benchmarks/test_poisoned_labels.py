"""The short form of `python -m benchmarks.poisoned_labels`, on a shop of a few thousand payments."""

import random

import pytest

from benchmarks.poisoned_labels import LabelDesk, Poisoned, crafted
from flows.fraud.inputs import LabelInput

DAYS = 16


def of_a_day(day: int, count: int = 2_500) -> list[Poisoned]:
    """Labels of a day as the truth is: a few frauds that the scores did not see."""
    chance = random.Random(day)
    made = []
    for number in range(count):
        is_fraud = chance.random() < 0.01
        score = 0.9 if is_fraud and chance.random() < 0.8 else 0.01
        name = f"{day}_{number}"
        made.append(LabelInput(name, name, f"acc_{number % 50}", "EUR", is_fraud, day * 86400.0, {}, score, name))
    return [Poisoned(label, is_true=True) for label in made]


def flipped(labels: list[Poisoned], day: int) -> list[Poisoned]:
    """The same with one in twenty flipped."""
    chance = random.Random(f"lies {day}")
    for each in labels:
        if chance.random() < 0.05:
            each.label.fraud, each.is_true = not each.label.fraud, False
    return labels


@pytest.mark.parametrize("bounded", [True, False])
def test_of_flipped_labels_few_are_learned_within_the_bounds_and_an_alert_tells(bounded: bool) -> None:
    learned: list[LabelInput] = []
    desk = LabelDesk(bounded, learned.append)
    for day in range(DAYS):
        labels = of_a_day(day)
        desk.take_day(day, flipped(labels, day) if day >= DAYS - 4 else labels)
    assert desk.poisoned > 400
    assert (desk.learned < 110) if bounded else (desk.learned == desk.poisoned)
    assert desk.alarm_s is not None
    assert not bounded or desk.alarm_s < 86_400


def test_of_a_thousand_crafted_labels_of_one_merchant_its_bound_is_learned() -> None:
    desk = LabelDesk(True, lambda _label: None)
    for day in range(DAYS):
        labels = of_a_day(day)
        desk.take_day(day, labels + (crafted(labels) if day == DAYS - 1 else []))
    assert desk.poisoned == 1_000
    assert desk.learned == 25
    assert desk.alarm_s is not None
    assert desk.alarm_s < 60
