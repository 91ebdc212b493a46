"""What one key paid, in euro, whatever the currencies: a fading sum, and how unusual an amount is.

Amounts are added when they are paid: what was only asked for, and declined, must not move what is usual.
"""

from math import exp, log2

import msgspec

from flows.fraud.inputs import DAY, Features, PaymentInput
from schemas.feature_families import Z_MAX

WEEK = 7 * DAY
MEMORY = 32  # payments over which the usual amount moves
KNOWN_SINCE = 3  # payments: with fewer nothing is unusual
REACH = 3.0  # spreads, and a doubling: an amount farther off moves the usual one no more than this
SPREAD_LEAST = 0.1  # doublings: for a key that always pays the same, one cent more is not unusual


class PaidScale(msgspec.Struct, gc=False):
    """What an amount in euro is measured by: the feature `name` is how many spreads it is above the usual one."""

    name: str
    usual: float
    spread: float

    def z(self, cents: int) -> float:
        """How far an amount is above the usual, in spreads."""
        z = (log2(cents + 1) - self.usual) / self.spread
        return min(max(z, -Z_MAX), Z_MAX)

    def features(self, payment: PaymentInput, _features: Features) -> Features:
        """That of the payment's amount; see `ByAmount`."""
        return {} if payment.eur_cents is None else {self.name: self.z(payment.eur_cents)}


class PaidAmounts(msgspec.Struct, array_like=True, gc=False):
    """`cents` of euro, fading over a week, at `at` (s since 1970 UTC).

    `usual` and `spread`: the middle of the amounts' logarithms to base 2 and how far they lie from it, each moved
    by a bounded step, so that no single amount decides. The order of the fields is part of the recovery state.
    """

    count: int = 0
    at: float = 0
    cents: float = 0
    usual: float = 0
    spread: float = 0

    def add(self, cents: int, at: float) -> None:
        """Add what was paid at `at`."""
        if at > self.at:
            self.cents *= exp((self.at - at) / WEEK)
            self.at = at
        self.cents += cents
        self.count += 1
        self._move(log2(cents + 1))

    def euros(self, at: float) -> float:
        """Euro paid, as faded by `at`."""
        return self.cents / 100 * exp(min(self.at - at, 0.0) / WEEK)

    def scale(self, name: str) -> PaidScale | None:
        """What an amount is measured by for the feature `name`; None where too little was paid to tell."""
        if self.count < KNOWN_SINCE:
            return None
        return PaidScale(name, self.usual, self.spread + SPREAD_LEAST)

    def _move(self, amount: float) -> None:
        if self.count == 1:
            self.usual = amount
            return
        step, reach = 1 / min(self.count, MEMORY), REACH * self.spread + 1
        distance = min(max(amount - self.usual, -reach), reach)
        self.usual += step * distance
        self.spread += step * (abs(distance) - self.spread)
