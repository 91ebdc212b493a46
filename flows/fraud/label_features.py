"""Features of the labels that have arrived for one card or one merchant."""

from math import exp

import msgspec

from flows.fraud.inputs import DAY, Features, LabelInput

MEMORY = 10 * DAY  # the time over which the risk decays
NEVER = -1.0
KINDS = ("frauds", "labels", "last_label", "streak", "streak_age", "fraud_age", "good_age", "risk")
GOOD, FRAUD = 1, 2  # values of `last`; 0: no label yet


class LabelHistory(msgspec.Struct, array_like=True, gc=False):
    """Counts, the last run of equal labels and a decaying share of frauds, by when the payments happened.

    A label counts from its arrival on, never before, and with the time of its payment. The order of the fields is
    part of the recovery state.
    """

    frauds: int = 0
    goods: int = 0
    last: int = 0
    at: float = 0  # of the newest labelled payment
    streak: int = 0
    streak_at: float = 0
    fraud_at: float = 0
    good_at: float = 0
    decayed_frauds: float = 0
    decayed_labels: float = 0

    def update(self, label: LabelInput) -> None:
        """Add a label. One of a payment older than the newest labelled one does not change the streak."""
        at, value = label.at, FRAUD if label.fraud else GOOD
        newest = not self.last or at >= self.at
        if newest:
            self._decay_to(at)
            self._extend_streak(value, at)
        weight = exp((at - self.at) / MEMORY)
        self.decayed_labels += weight
        if label.fraud:
            self.decayed_frauds += weight
            self.fraud_at = max(self.fraud_at, at) if self.frauds else at
            self.frauds += 1
        else:
            self.good_at = max(self.good_at, at) if self.goods else at
            self.goods += 1

    def tell(self, names: tuple[str, ...], at: float, found: Features) -> None:
        """Write the features at `at`, by `names` in the order of `KINDS`; ages in days, -1 where there is none."""
        frauds, labels, last_label, streak, streak_age, fraud_age, good_age, risk = names
        found[frauds], found[labels] = self.frauds, self.frauds + self.goods
        found[last_label], found[streak] = self.last, self.streak
        # Not below 0: a label may be of a payment that came before this history was begun.
        found[streak_age] = max(at - self.streak_at, 0.0) / DAY if self.streak else NEVER
        found[fraud_age] = max(at - self.fraud_at, 0.0) / DAY if self.frauds else NEVER
        found[good_age] = max(at - self.good_at, 0.0) / DAY if self.goods else NEVER
        # Smoothed by one imagined label of low risk, so that the first real one does not decide alone.
        found[risk] = (self.decayed_frauds + 0.01) / (self.decayed_labels + 1)

    def _decay_to(self, at: float) -> None:
        factor = exp((self.at - at) / MEMORY)
        self.decayed_frauds *= factor
        self.decayed_labels *= factor
        self.at = at

    def _extend_streak(self, value: int, at: float) -> None:
        if value != self.last:
            self.last, self.streak, self.streak_at = value, 0, at
        self.streak += 1


def feature_names(subject: str) -> tuple[str, ...]:
    """The names of the features of a `subject` (`card`, `merchant`), in the order of `KINDS`."""
    return tuple(f"{subject}_{kind}" for kind in KINDS)
