"""What the labels that have arrived say about one card or one merchant."""

from math import exp

import msgspec

from flows.fraud.facts import DAY, Features, Lesson

MEMORY = 10 * DAY  # the risk fades over this time
NEVER = -1.0
KINDS = ("frauds", "labels", "last_label", "streak", "streak_age", "fraud_age", "good_age", "risk")
GOOD, FRAUD = 1, 2  # of `last`; 0: no label yet


class Known(msgspec.Struct, array_like=True, gc=False):
    """Counts, the last run of equal labels and a fading share of frauds, all by when the payments happened.

    Only what has been *told* is in here: a label counts from its arrival, but for the day of its payment.
    """

    frauds: int = 0
    goods: int = 0
    last: int = 0
    at: float = 0  # of the newest labelled payment
    streak: int = 0
    streak_at: float = 0
    fraud_at: float = 0
    good_at: float = 0
    fading_frauds: float = 0
    fading_labels: float = 0

    def update(self, lesson: Lesson) -> None:
        """Take a label in. One that comes after a newer payment's changes counts and shares, not the streak."""
        at, value = lesson.at, FRAUD if lesson.fraud else GOOD
        newest = not self.last or at >= self.at
        if newest:
            self._fade(at)
            self._lengthen(value, at)
        weight = exp((at - self.at) / MEMORY)
        self.fading_labels += weight
        if lesson.fraud:
            self.fading_frauds += weight
            self.fraud_at = max(self.fraud_at, at) if self.frauds else at
            self.frauds += 1
        else:
            self.good_at = max(self.good_at, at) if self.goods else at
            self.goods += 1

    def features(self, names: tuple[str, ...], at: float) -> Features:
        """Their values at a moment, by `names` in the order of `KINDS`; ages in days, -1 where there is none."""
        values = (
            self.frauds,
            self.frauds + self.goods,
            self.last,
            self.streak,
            (at - self.streak_at) / DAY if self.streak else NEVER,
            (at - self.fraud_at) / DAY if self.frauds else NEVER,
            (at - self.good_at) / DAY if self.goods else NEVER,
            # One imagined label of low risk, so that the first real one does not decide alone.
            (self.fading_frauds + 0.01) / (self.fading_labels + 1),
        )
        return dict(zip(names, values, strict=True))

    def _fade(self, at: float) -> None:
        factor = exp((self.at - at) / MEMORY)
        self.fading_frauds *= factor
        self.fading_labels *= factor
        self.at = at

    def _lengthen(self, value: int, at: float) -> None:
        if value != self.last:
            self.last, self.streak, self.streak_at = value, 0, at
        self.streak += 1


def names(of: str) -> tuple[str, ...]:
    """The names of `Known.features` with `of` (`card`, `merchant`) before each."""
    return tuple(f"{of}_{kind}" for kind in KINDS)
