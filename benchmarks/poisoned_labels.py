"""`python -m benchmarks.poisoned_labels FILE.parquet`: what poisoned labels do to the fraud model.

By the protocol of `sluice evaluate`: payments are scored as they come, labels come seven days later, here as the
file of a day that one source sends. From the week before the test weeks on they are poisoned: 5 % of all are
flipped, or 1,000 crafted ones of one merchant call ordinary payments fraud. Once each is learned as it comes, once
within the gateway's bounds (`gateway/payments/label_bursts.py`): labels that deny the score in a burst wait,
and a day later a person tells the wrong ones from the right ones, which are learned then.
"""

import random
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import click
import msgspec

from flows.fraud.inputs import DAY, LabelInput
from flows.fraud.one_hot import as_read, what_is_read
from flows.fraud.pipeline import UNTRAINED_SCORE, ScoringPipeline, label_of, outcome_of
from flows.fraud.scoring import ScoredPayment
from flows.fraud.settings import KEYS_MAX
from flows.fraud.watch import LabelWatch
from gateway.payments.label_bursts import is_burst
from gateway.policy import LabelBounds
from schemas.times import EPOCH
from sluice.evaluate import LabelledPayments, labelled, last_weeks
from sluice.fraud_metrics import RankedPayment, mean, measure_week

DELAY_S = 7 * DAY
UNDECIDED = 0.5
FLIPPED = 0.05
CRAFTED = 1_000
PER_SECOND = 200  # labels of a day's file that the gateway takes
FALL_MAX, ALARM_MAX_S = 0.01, 60.0
SOURCE = "bank"

Poison = Literal["none", "flipped", "crafted"]


class PoisonedFigures(msgspec.Struct, frozen=True):
    """`average_precision`: mean of the test weeks. `alarm_s`: from the first poisoned label to an alert.

    `poisoned`: labels that said the opposite of the truth; `learned`: how many of these the model learned;
    `checked`: labels that a person looked at.
    """

    poison: Poison
    bounded: bool
    average_precision: float
    poisoned: int
    learned: int
    checked: int
    alarm_s: float | None


class Poisoned(msgspec.Struct):
    """A label with what it says, and whether that is the truth; `payment` is that of the label."""

    label: LabelInput
    is_true: bool


class LabelDesk:
    """Takes the labels of a day as the gateway does, and has `learn` called for what the model may learn."""

    def __init__(self, bounded: bool, learn: Callable[[LabelInput], object]) -> None:
        self._bounds, self._bounded, self._learn = LabelBounds(), bounded, learn
        self._denying: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._believed: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._waiting: deque[Poisoned] = deque()
        self._watch = LabelWatch()
        self._first: float | None = None
        self.poisoned = self.learned = self.checked = 0
        self.alarm_s: float | None = None

    def take_day(self, day: int, labels: list[Poisoned]) -> None:
        """The file of a day; what waited since the one before is decided first."""
        self._decide()
        for number, each in enumerate(labels):
            moment = day * DAY + number / PER_SECOND
            each.label.told_at, each.label.source = moment, SOURCE
            self._note(each, moment)
            if self._bounded and self._waits(each.label, EPOCH.date() + timedelta(days=day)):
                self._alarm(moment)
                self._waiting.append(each)
            else:
                self._tell(each, moment)

    def _decide(self) -> None:
        while self._waiting:
            each = self._waiting.popleft()
            self.checked += 1
            if each.is_true:
                self._believe(each.label, datetime.fromtimestamp(each.label.told_at, UTC).date())
                self._learn(each.label)

    def _tell(self, each: Poisoned, moment: float) -> None:
        self.learned += not each.is_true
        self._learn(each.label)
        if any(not found.is_over for found in self._watch.update(each.label)):
            self._alarm(moment)

    def _note(self, each: Poisoned, moment: float) -> None:
        if not each.is_true:
            self.poisoned += 1
            self._first = moment if self._first is None else self._first

    def _alarm(self, moment: float) -> None:
        if self._first is not None and self.alarm_s is None:
            self.alarm_s = round(moment - self._first, 2)

    def _waits(self, label: LabelInput, day: date) -> bool:
        if label.score is None or (label.score >= UNDECIDED) == label.fraud:
            return False
        bounds, source = self._bounds, f"source {label.source}"
        floors = {source: bounds.source_burst, label.merchant_id: bounds.merchant_burst}
        for name in floors:
            self._denying[name][day.isoformat()] += 1
        waits = any(is_burst(self._denying[n], self._believed[n], day, floor) for n, floor in floors.items())
        if not waits:
            self._believe(label, day)
        return waits

    def _believe(self, label: LabelInput, day: date) -> None:
        for name in (f"source {label.source}", label.merchant_id):
            self._believed[name][day.isoformat()] += 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Leave out what comes later: a shorter run.")
def main(file: Path, until: datetime | None) -> None:
    """Print the figures as JSON; ends with 1 where poison costs more than 0.01, or an alert comes too late."""
    payments, _ = labelled(file, "EUR")
    if until is not None:
        payments = [each for each in payments if each[0].at < until.replace(tzinfo=UTC).timestamp()]
    found = [measured(payments, poison, bounded) for poison, bounded in runs()]
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    sys.exit(not is_borne(found))


def runs() -> Iterator[tuple[Poison, bool]]:
    """What is measured: without poison, and each poison without and with the bounds."""
    yield "none", True
    for poison in ("flipped", "crafted"):
        yield poison, False
        yield poison, True


def is_borne(found: list[PoisonedFigures]) -> bool:
    """Whether, within the bounds, no poison costs too much, and an alert tells of each in time."""
    clean = next(each.average_precision for each in found if each.poison == "none")
    return all(
        clean - each.average_precision <= FALL_MAX and (each.alarm_s is not None and each.alarm_s <= ALARM_MAX_S)
        for each in found
        if each.bounded and each.poison != "none"
    )


def measured(payments: LabelledPayments, poison: Poison, bounded: bool) -> PoisonedFigures:
    """One run over all payments."""
    weeks = last_weeks(payments)
    since = weeks[0] - 7
    pipeline = ScoringPipeline(KEYS_MAX, min_labels=0)
    desk = LabelDesk(bounded, pipeline.process)
    chance = random.Random(20)
    pending: deque[Poisoned] = deque()
    ranked: list[RankedPayment] = []
    day = 0
    for payment, fraud in payments:
        if payment.at // DAY > day:
            day = int(payment.at // DAY)
            due = _due(pending, day * DAY - DELAY_S)
            desk.take_day(day, due + (crafted(due) if poison == "crafted" and day == since else []))
        item = ScoredPayment(payment.payment_id, payment)
        pipeline.process(item)
        score = UNTRAINED_SCORE if item.score is None else item.score
        ranked.append(RankedPayment(day, payment.instrument_id, fraud, score))
        payment.by_amount.clear()  # all payments are kept
        pipeline.process(outcome_of(payment, paid=True))
        is_lie = poison == "flipped" and day >= since - 7 and chance.random() < FLIPPED
        pending.append(Poisoned(_told(item, fraud != is_lie), not is_lie))
    precision = mean([measure_week(ranked, start) for start in weeks]).average_precision
    return PoisonedFigures(
        poison, bounded, round(precision, 4), desk.poisoned, desk.learned, desk.checked, desk.alarm_s
    )


def _told(item: ScoredPayment, fraud: bool) -> LabelInput:
    """The label of a payment, with the score of its verdict: none before the model learned anything."""
    assert item.input is not None
    label = label_of(item.input, fraud, as_read(what_is_read(item.features)), 0.0)
    label.score = item.score
    return label


def crafted(due: list[Poisoned]) -> list[Poisoned]:
    """Labels of one merchant that call ordinary payments fraud: made like good ones of the day, by new cards."""
    good = [each.label for each in due if each.is_true and not each.label.fraud]
    made = [
        LabelInput(
            f"crafted_{n}", f"card_{n}", "attacker", like.currency, True, like.at, like.features, like.score
        )
        for n, like in enumerate(islice(cycle(good), CRAFTED))
    ]
    return [Poisoned(label, is_true=False) for label in made]


def _due(pending: deque[Poisoned], until: float) -> list[Poisoned]:
    found = []
    while pending and pending[0].label.at <= until:
        found.append(pending.popleft())
    return found


if __name__ == "__main__":
    main()
