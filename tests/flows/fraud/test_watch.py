"""What labels say against the scores raises alerts, the same ones after a kill, and ends them."""

import random
from collections.abc import Iterator

import msgspec
import pytest

from flows.fraud.inputs import LabelInput
from flows.fraud.watch import FoundAlert, LabelWatch, WatchedShare
from schemas.alerts import LABEL_DRIFT, PRECISION_DROP

PER_S = 200  # labels, as a file of a day brings them


def labels(
    count: int, denied: float, *, fraud: float = 0.008, source: str = "bank", seed: int = 1
) -> Iterator[LabelInput]:
    """Labels of one source in order, of which this share says otherwise than the score."""
    chance = random.Random(f"{seed}/{denied}")
    for number in range(count):
        is_called = chance.random() < fraud
        is_fraud = is_called != (chance.random() < denied)
        name = f"{source}/{denied}/{number}"
        yield LabelInput(
            name,
            "fp",
            "acc",
            "EUR",
            is_fraud,
            0.0,
            {},
            0.9 if is_called else 0.01,
            event_id=name,
            source=source,
            told_at=number / PER_S,
        )


def told(watch: LabelWatch, given: Iterator[LabelInput]) -> list[FoundAlert]:
    return [found for label in given for found in watch.update(label)]


def test_ordinary_labels_raise_nothing() -> None:
    assert told(LabelWatch(), labels(100_000, 0.003)) == []


@pytest.mark.parametrize("seed", range(5))
def test_one_flipped_label_in_twenty_raises_an_alert_within_a_minute(seed: int) -> None:
    watch = LabelWatch()
    told(watch, labels(20_000, 0.003))
    first, *_ = told(watch, labels(60 * PER_S, 0.05, seed=seed))
    assert (first.kind, first.subject, first.is_over) == (LABEL_DRIFT, "bank", False)
    assert first.at < 60


def test_an_alert_is_over_once_the_labels_are_as_before() -> None:
    watch = LabelWatch()
    told(watch, labels(20_000, 0.003))
    [raised] = [each for each in told(watch, labels(2_000, 0.08)) if each.kind == LABEL_DRIFT]
    [over] = [each for each in told(watch, labels(5_000, 0.003, seed=2)) if each.kind == LABEL_DRIFT]
    assert (over.id, over.is_over) == (raised.id, True)


def test_scores_that_are_wrong_more_often_raise_an_alert() -> None:
    watch = LabelWatch()
    told(watch, labels(2_000, 0.05, fraud=1))
    found = told(watch, labels(300, 0.6, fraud=1))
    assert {(each.kind, each.subject) for each in found} >= {(PRECISION_DROP, "model")}


def test_after_a_kill_the_same_labels_raise_the_same_alerts() -> None:
    given = [*labels(3_000, 0.003), *labels(1_000, 0.1)]
    through, killed = LabelWatch(), LabelWatch()
    whole = told(through, iter(given))
    parts = []
    for start in range(0, len(given), 333):
        parts += told(killed, iter(given[start : start + 333]))
        kept = msgspec.msgpack.encode(killed.shares)
        killed = LabelWatch(msgspec.msgpack.decode(kept, type=dict[str, WatchedShare]))
    assert whole
    assert parts == whole


def test_sources_without_number_take_no_memory_without_end() -> None:
    watch = LabelWatch()
    for number in range(1_000):
        told(watch, labels(1, 0, source=f"s{number}"))
    assert len(watch.shares) <= 64
