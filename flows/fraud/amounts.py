"""What one key paid before, in one currency: the amounts a new amount is compared with.

Amounts are added when they are paid: what was only asked for, and declined, must not move what is usual.
"""

from math import ceil, exp
from typing import TypeVar

import msgspec

from flows.fraud.inputs import DAY, Features, PaymentInput

RECENT = 24  # amounts kept: enough for steady quartiles, and small in a snapshot
USUAL_KEPT = 31  # amounts of which a merchant's median is taken: half as many move it
CURRENCIES_KEPT = 4
SILENCE = 30 * DAY  # over which the amounts of a key that has none since are forgotten
HUGE = 10  # times the largest before: what is above does not count
HUGE_SINCE = 10  # payments: with fewer, nothing counts as huge


class UsualAmount(msgspec.Struct, array_like=True, gc=False):
    """The median of the last amounts, in minor units, which no single one moves; the newest was at `at` (s, UTC).

    `total` is that of an earlier release, which kept a mean: it stands in for the amounts it was made of.
    """

    count: int = 0
    total: float = 0
    at: float = 0
    recent: list[float] = []

    def usual(self) -> float:
        """The usual amount in minor units; 0 where there was no payment."""
        if self.recent:
            return sorted(self.recent)[len(self.recent) // 2]
        return self.total / self.count if self.count else 0.0

    def add(self, amount: float, at: float) -> None:
        """Add what was paid at `at`."""
        if self.count and not self.recent:
            self.recent = [self.usual()] * min(self.count, USUAL_KEPT)
        if at > self.at:
            remembered = ceil(len(self.recent) * exp((self.at - at) / SILENCE))
            del self.recent[: len(self.recent) - remembered]
            self.at = at
        self.count += 1
        self.recent.append(amount)
        del self.recent[:-USUAL_KEPT]


class AmountScale(msgspec.Struct, gc=False):
    """What an amount is measured by, all in minor units; `spread` is 0 where too little was paid to tell."""

    mean: float
    largest: float
    month: float
    middle: float
    spread: float

    def compare(self, amount: float, features: Features) -> None:
        """Write the `features` of an amount."""
        features["amount_to_mean"] = (amount + 1) / self.mean
        features["amount_to_largest"] = (amount + 1) / self.largest
        features["amount_to_month"] = (amount + 1) / self.month
        features["amount_z"] = (amount - self.middle) / self.spread if self.spread else 0

    def features(self, payment: PaymentInput, features: Features) -> Features:
        """Those of the payment's amount; see `ByAmount`. `amount_jump` is 0 where no amount is a jump yet."""
        found: Features = {}
        self.compare(payment.amount, found)
        if features["amount_jump"]:
            found["amount_jump"] = found["amount_to_largest"]
        return found


class AmountHistory(msgspec.Struct, array_like=True, gc=False):
    """All payments, sums that decay over a day and over thirty days, and the last amounts, all in minor units."""

    count: int = 0
    total: float = 0
    largest: float = 0
    at: float = 0
    day_count: float = 0
    day_total: float = 0
    month_count: float = 0
    month_total: float = 0
    recent: list[float] = []

    def compare(self, payment: PaymentInput, at: float, features: Features) -> None:
        """Write the `features` of a payment's amount at `at`, against what was paid; neutral where nothing was."""
        if not self.count:
            features.update(NEUTRAL)
            return
        self._decay_to(at)
        mean = self.total / self.count + 1
        month = self.month_total / max(self.month_count, 1e-9) + 1
        scale = AmountScale(mean, self.largest + 1, month, *self._spread())
        payment.by_amount.append(scale)
        scale.compare(payment.amount, features)
        # The mean of the last day against that of all: above 1 for a key that pays more than it used to.
        features["day_to_mean"] = (self.day_total + 1) / (self.day_count + 0.01) / mean

    def add(self, amount: float, at: float) -> None:
        """Add what was paid at `at`."""
        if self.count:
            self._decay_to(at)
        else:
            self.at = at
        if self.count >= HUGE_SINCE:
            amount = min(amount, HUGE * self.largest)
        self.count += 1
        self.total += amount
        self.largest = max(self.largest, amount)
        self.day_count += 1
        self.day_total += amount
        self.month_count += 1
        self.month_total += amount
        self.recent.append(amount)
        del self.recent[:-RECENT]

    def robust_z(self, amount: float) -> float:
        """How far `amount` is above the usual, in spreads of the last amounts; 0 where these are too few."""
        middle, spread = self._spread()
        return (amount - middle) / spread if spread else 0

    def _spread(self) -> tuple[float, float]:
        """The median of the last amounts and their spread, which is 0 where these are too few."""
        if len(self.recent) < 4:
            return 0.0, 0.0
        ordered = sorted(self.recent)
        middle = ordered[len(ordered) // 2]
        spread = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
        # A tenth of the median: for a key that always pays the same, one unit more is not unusual.
        return middle, spread + 0.1 * middle + 1

    def _decay_to(self, at: float) -> None:
        if at <= self.at:
            return
        day, month = exp((self.at - at) / DAY), exp((self.at - at) / (30 * DAY))
        self.day_count *= day
        self.day_total *= day
        self.month_count *= month
        self.month_total *= month
        self.at = at


NEUTRAL: Features = {
    "amount_to_mean": 1,
    "amount_to_largest": 1,
    "amount_to_month": 1,
    "amount_z": 0,
    "day_to_mean": 1,
}

CurrencyHistory = TypeVar("CurrencyHistory", UsualAmount, AmountHistory)


def drop_oldest(histories: dict[str, CurrencyHistory], currency: str) -> dict[str, CurrencyHistory]:
    """`histories` by currency, without the one used longest ago where there are too many; `currency` stays."""
    if len(histories) <= CURRENCIES_KEPT:
        return histories
    oldest = min((c for c in histories if c != currency), key=lambda c: histories[c].at)
    return {c: history for c, history in histories.items() if c != oldest}
