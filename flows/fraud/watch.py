"""Watches what labels say against the scores: a source that suddenly denies them, scores that suddenly are worse.

By river's Page-Hinkley test, whose few numbers are part of the state: after a kill and when fed again, the same
labels raise the same alerts.
"""

import hashlib
from typing import Any

import msgspec
from river import drift

from flows.fraud.inputs import LabelInput
from schemas.alerts import LABEL_DRIFT, PRECISION_DROP

SOURCES_KEPT = 64
UNDECIDED = 0.5  # a label on the other side of the score denies it
FADING = 200  # labels over which the recent share fades
MODEL = "model"  # the subject of an alert about the scores themselves


class WatchRule(msgspec.Struct, frozen=True):
    """When a share has changed: by more than `delta`, for so many labels that it adds up to `threshold`.

    `since`: before so many labels nothing is said.
    """

    since: int
    delta: float
    threshold: float


# Ordinary labels deny 0.3 % of the scores, those of which 5 % are flipped one in twenty: that adds up to 6 in 220.
# Of the payments that scores call fraud nineteen of twenty are.
DENIED = WatchRule(200, 0.02, 6.0)
MISTAKEN = WatchRule(50, 0.05, 5.0)


class WatchedShare(msgspec.Struct):
    """A share as the test has it, and the alert that stands. The names are part of the recovery state.

    `usual`: the share before the alert; `recent` fades over `FADING` labels.
    """

    n: float = 0
    mean: float = 0
    rise: float = 0
    lowest: float = 0
    recent: float = 0
    usual: float = 0
    alert_id: str = ""


class FoundAlert(msgspec.Struct, frozen=True):
    """An alert that begins, or is over. `at`: seconds since 1970 UTC; `caused_by`: the label's event."""

    id: str
    kind: str
    subject: str
    facts: dict[str, float]
    at: float
    caused_by: str
    is_over: bool = False


class LabelWatch:
    """The shares by what they are of. `shares` may come from a snapshot; the least recently used are dropped."""

    def __init__(self, shares: dict[str, WatchedShare] | None = None) -> None:
        self.shares = shares if shares is not None else {}

    def update(self, label: LabelInput) -> list[FoundAlert]:
        """The alerts that a label raises, or ends."""
        if label.score is None or not label.source:
            return []
        is_called_fraud = label.score >= UNDECIDED
        found = self._watch(LABEL_DRIFT, label.source, DENIED, is_called_fraud != label.fraud, label)
        if is_called_fraud:
            found += self._watch(PRECISION_DROP, MODEL, MISTAKEN, not label.fraud, label)
        return found

    def _watch(
        self, kind: str, subject: str, rule: WatchRule, is_met: bool, label: LabelInput
    ) -> list[FoundAlert]:
        key = f"{kind} {subject}"
        share = self.shares.pop(key, None) or WatchedShare()
        self.shares[key] = share
        if len(self.shares) > SOURCES_KEPT:
            del self.shares[next(iter(self.shares))]
        share.recent += (is_met - share.recent) / FADING
        if share.alert_id:
            return _end(share, rule, kind, subject, label)
        if not _has_risen(share, rule, float(is_met)):
            return []
        share.alert_id, share.usual = _alert_id(kind, subject, label), share.mean
        return [_found(share, kind, subject, label)]


def _has_risen(share: WatchedShare, rule: WatchRule, value: float) -> bool:
    """Give the test one more value, and take its numbers back."""
    # Nothing is forgotten (alpha): else the sum comes to a rest, where chance alone moves it.
    test: Any = drift.PageHinkley(rule.since, rule.delta, rule.threshold, alpha=1.0, mode="up")
    mean = test._x_mean  # river has no public way to resume
    mean.n, mean._mean = share.n, share.mean
    test._sum_increase, test._min_increase = share.rise, share.lowest if share.n else float("inf")
    test.update(value)
    share.rise, share.lowest = test._sum_increase, test._min_increase
    if not test.drift_detected:  # else the mean stays that of before
        share.n, share.mean = mean.n, mean.get()
    return bool(test.drift_detected)


def _end(share: WatchedShare, rule: WatchRule, kind: str, subject: str, label: LabelInput) -> list[FoundAlert]:
    """The end of an alert, once the recent share is hardly above what was usual; the test then begins anew."""
    if share.recent > share.usual + rule.delta:
        return []
    over = _found(share, kind, subject, label, is_over=True)
    share.n = share.mean = share.rise = share.lowest = 0
    share.alert_id = ""
    return [over]


def _found(
    share: WatchedShare, kind: str, subject: str, label: LabelInput, *, is_over: bool = False
) -> FoundAlert:
    facts = {"share": round(share.recent, 4), "usual": round(share.usual, 4)}
    return FoundAlert(share.alert_id, kind, subject, facts, label.told_at, label.event_id, is_over)


def _alert_id(kind: str, subject: str, label: LabelInput) -> str:
    """Derived from the label that raised it, so that a repeat is recognised."""
    return f"alr_{hashlib.sha256(f'{kind}/{subject}/{label.label_id}'.encode()).hexdigest()[:26]}"
