"""What one key paid before, in one currency: what an amount is measured against."""

from math import exp
from typing import TypeVar

import msgspec

from flows.fraud.facts import DAY, Features

RECENT = 24  # amounts kept: enough for steady quartiles, and cheap to snapshot
CURRENCIES_KEPT = 4


class Usual(msgspec.Struct, array_like=True, gc=False):
    """A plain mean: `count` payments of `total` minor units, the newest at `at`."""

    count: int = 0
    total: float = 0
    at: float = 0

    def mean(self) -> float:
        """The mean amount; 0 where there was none."""
        return self.total / self.count if self.count else 0.0

    def add(self, amount: float, at: float) -> None:
        """Make a payment part of the past."""
        self.count, self.total, self.at = self.count + 1, self.total + amount, at


class Amounts(msgspec.Struct, array_like=True, gc=False):
    """Sums over all payments, sums that fade over a day and over thirty, and the last amounts. Minor units."""

    count: int = 0
    total: float = 0
    largest: float = 0
    at: float = 0
    day_count: float = 0
    day_total: float = 0
    month_count: float = 0
    month_total: float = 0
    recent: list[float] = []

    def compare(self, amount: float, at: float) -> Features:
        """How `amount`, paid at `at`, stands against what was paid before; 1 or 0 where nothing was."""
        if not self.count:
            self.at = at
            return dict(NOTHING_BEFORE)
        self._move_to(at)
        mean = self.total / self.count + 1
        return {
            "amount_to_mean": (amount + 1) / mean,
            "amount_to_largest": (amount + 1) / (self.largest + 1),
            "amount_to_month": (amount + 1) / (self.month_total / max(self.month_count, 1e-9) + 1),
            "amount_z": self._robust_z(amount),
            # Of the last day against all: a key that began to pay more than it used to.
            "day_to_mean": (self.day_total + 1) / (self.day_count + 0.01) / mean,
        }

    def add(self, amount: float) -> None:
        """Make a payment that was compared part of the past."""
        self.count += 1
        self.total += amount
        self.largest = max(self.largest, amount)
        self.day_count += 1
        self.day_total += amount
        self.month_count += 1
        self.month_total += amount
        self.recent.append(amount)
        del self.recent[:-RECENT]

    def _move_to(self, at: float) -> None:
        day, month = exp((self.at - at) / DAY), exp((self.at - at) / (30 * DAY))
        self.day_count *= day
        self.day_total *= day
        self.month_count *= month
        self.month_total *= month
        self.at = at

    def _robust_z(self, amount: float) -> float:
        if len(self.recent) < 4:
            return 0
        ordered = sorted(self.recent)
        middle = ordered[len(ordered) // 2]
        spread = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
        # A tenth of the median: who always pays the same is not unusual by one unit more.
        return (amount - middle) / (spread + 0.1 * middle + 1)


NOTHING_BEFORE: Features = {
    "amount_to_mean": 1,
    "amount_to_largest": 1,
    "amount_to_month": 1,
    "amount_z": 0,
    "day_to_mean": 1,
}

Past = TypeVar("Past", Usual, Amounts)


def latest(past: dict[str, Past], currency: str) -> dict[str, Past]:
    """`past` without the currency that was used longest ago, where there are too many; `currency` stays."""
    if len(past) <= CURRENCIES_KEPT:
        return past
    oldest = min((c for c in past if c != currency), key=lambda c: past[c].at)
    return {c: p for c, p in past.items() if c != oldest}
