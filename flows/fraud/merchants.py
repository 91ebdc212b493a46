"""What the flow remembers of one merchant, and the features it makes of it."""

from math import exp

import msgspec

from flows.fraud.amounts import Usual, latest
from flows.fraud.facts import DAY, Facts, Features, Lesson
from flows.fraud.instruments import beyond
from flows.fraud.known import Known, names

TESTING_WINDOW = 600.0  # seconds
TESTS_KEPT = 64
TINY_UNITS = 5  # whole units of the currency
TINY_SHARE = 0.2  # of what is usual at the merchant: a baker's ordinary customers test no cards
USUAL_SINCE = 10  # payments: before, nothing is usual at the merchant
KNOWN = names("merchant")


class Merchant(msgspec.Struct, array_like=True):
    """Its payments by `occurred_at`; the windows move with its own newest payment.

    `tests`: when and by which instrument a first payment of a tiny amount was made: the trace of card testing.
    Only a payment that leaves such a trace has the feature: those who shop there meanwhile are no suspects.
    """

    count: int = 0
    at: float = 0
    week: float = 0
    unusual: float = 0
    usual: dict[str, Usual] = {}
    tests: list[tuple[float, str]] = []
    known: Known = msgspec.field(default_factory=Known)

    def update(self, facts: Facts, features: Features) -> Features:
        """Its features of a payment that has its instrument's `features`, and is then part of the history."""
        at = self._move_to(facts.at)
        usual = self.usual.get(facts.currency) or Usual()
        found = {
            "merchant_history": float(self.count),
            "merchant_amount": (facts.amount + 1) / (usual.mean() + 1) if usual.count else 1.0,
            "merchant_unusual": self.unusual / (self.week + 1),
            "merchant_tests": self._tests(facts, features, usual, at),
            **self.known.features(KNOWN, at),
        }
        self._add(facts, at, usual, features["amount_z"])
        return found

    def learn(self, lesson: Lesson) -> None:
        """Take a label in."""
        self.known.update(lesson)

    def _move_to(self, at: float) -> float:
        if self.count:
            at = max(at, self.at)
            self.week *= (fade := exp((self.at - at) / (7 * DAY)))
            self.unusual *= fade
        self.at = at
        return at

    def _tests(self, facts: Facts, features: Features, usual: Usual, at: float) -> float:
        if features["history"] or not _is_tiny(facts, usual):
            return 0.0
        recent = [test for test in self.tests if test[0] >= at - TESTING_WINDOW]
        self.tests = [*recent[-TESTS_KEPT + 1 :], (at, facts.instrument)]
        return float(len({instrument for _, instrument in self.tests}))

    def _add(self, facts: Facts, at: float, usual: Usual, z: float) -> None:
        self.count += 1
        self.week += 1
        self.unusual += beyond(z)
        usual.add(facts.amount, at)
        if facts.currency not in self.usual:
            self.usual = latest(self.usual | {facts.currency: usual}, facts.currency)


def _is_tiny(facts: Facts, usual: Usual) -> bool:
    small = facts.amount <= TINY_UNITS * facts.unit
    return small and (usual.count < USUAL_SINCE or facts.amount <= TINY_SHARE * usual.mean())
