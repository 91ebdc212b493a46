"""What the flow remembers of one instrument (a card, a PayPal payer), and the features it makes of it."""

from bisect import bisect_right
from math import exp

import msgspec

from flows.fraud.amounts import Amounts, latest
from flows.fraud.facts import DAY, Facts, Features, Lesson
from flows.fraud.known import Known, names

TIMES_KEPT = 64  # of the last hour: bounds what the exact counts can count to
REPEATS_KEPT = 8
PLACES_KEPT = 8
JUDGEABLE = 10  # payments before an amount can be called a jump
MINUTE, HOUR = 60.0, 3600.0
KNOWN = names("card")


class Instrument(msgspec.Struct, array_like=True):
    """Its payments by `occurred_at`. The windows move with its own newest payment, never with a clock.

    A payment that happened before the newest one counts as happening with it.
    """

    count: int = 0
    at: float = 0
    day: float = 0  # payments, fading over a day, a week and thirty days
    week: float = 0
    month: float = 0
    unusual: float = 0  # by how much recent payments were out of the ordinary, fading over a week
    times: list[float] = []
    amounts: dict[str, Amounts] = {}
    devices: list[str] = []
    countries: list[str] = []
    payments: list[str] = []
    labels: list[str] = []
    known: Known = msgspec.field(default_factory=Known)

    def update(self, facts: Facts) -> Features | None:
        """The features of a payment, which is then part of the history; None where it was seen already."""
        if facts.payment in self.payments:
            return None
        gap = max(facts.at - self.at, 0.0) if self.count else -1.0
        at = self._move_to(facts.at)
        amounts = self.amounts.get(facts.currency) or Amounts()
        features = {
            "amount": float(facts.amount),
            "gap": gap,
            **amounts.compare(facts.amount, at),
            **self._velocity(at),
            **self._novelty(facts),
            **self.known.features(KNOWN, at),
        }
        features["amount_jump"] = features["amount_to_largest"] if self.count >= JUDGEABLE else 0.0
        amounts.add(facts.amount)
        self._add(facts, at, amounts, features["amount_z"])
        return features

    def learn(self, lesson: Lesson) -> bool:
        """Take a label in; False where it was taken already."""
        if lesson.label in self.labels:
            return False
        self.known.update(lesson)
        self.labels.append(lesson.label)
        del self.labels[:-REPEATS_KEPT]
        return True

    def _move_to(self, at: float) -> float:
        if self.count:
            at = max(at, self.at)
            elapsed = self.at - at
            self.day *= exp(elapsed / DAY)
            self.week *= (fade := exp(elapsed / (7 * DAY)))
            self.unusual *= fade
            self.month *= exp(elapsed / (30 * DAY))
        self.at = at
        del self.times[: bisect_right(self.times, at - HOUR)]
        return at

    def _velocity(self, at: float) -> Features:
        kept = len(self.times) + 1.0  # this payment counts
        return {
            "history": float(self.count),
            "count_1m": kept - bisect_right(self.times, at - MINUTE),
            "count_10m": kept - bisect_right(self.times, at - 10 * MINUTE),
            "count_1h": kept,
            "count_day": self.day,
            "count_week": self.week,
            "count_month": self.month,
            "unusual": self.unusual,
        }

    def _novelty(self, facts: Facts) -> Features:
        return {
            "new_device": novelty(facts.device, self.devices),
            "new_country": novelty(facts.country, self.countries),
            "new_currency": float(bool(self.amounts) and facts.currency not in self.amounts),
        }

    def _add(self, facts: Facts, at: float, amounts: Amounts, z: float) -> None:
        self.count += 1
        self.day += 1
        self.week += 1
        self.month += 1
        self.unusual += beyond(z)
        self.times.append(at)
        del self.times[:-TIMES_KEPT]
        if facts.currency not in self.amounts:
            self.amounts = latest(self.amounts | {facts.currency: amounts}, facts.currency)
        self.devices = remember(facts.device, self.devices)
        self.countries = remember(facts.country, self.countries)
        self.payments.append(facts.payment)
        del self.payments[:-REPEATS_KEPT]


def beyond(z: float) -> float:
    """How far an amount is out of the ordinary: 0 within one spread of the median, 10 at most."""
    return min(z - 1, 10.0) if z > 1 else 0.0


def novelty(value: str | None, seen: list[str]) -> float:
    """0: nobody told, or the first one ever; 1: seen before; 2: another than those seen."""
    if value is None or not seen:
        return 0.0
    return 1.0 if value in seen else 2.0


def remember(value: str | None, seen: list[str]) -> list[str]:
    """`seen` with `value` as its newest, the oldest dropped where there are too many."""
    if value is None or (seen and seen[-1] == value):
        return seen
    return [*(s for s in seen[-PLACES_KEPT + 1 :] if s != value), value]
