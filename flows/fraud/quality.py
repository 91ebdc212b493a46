"""Prequential quality: how good the scores were, measured as the labels arrive (scored before learned)."""

from collections.abc import Iterator
from math import log
from typing import Any

import msgspec
from river import drift

BINS = 128  # of the score's logit
REACH = 12.0  # logits beyond this fall into the outermost bin
MEMORY = 20_000  # labels over which older ones lose their weight
TOP = 0.005  # the share of payments that people can review
WEIGHT_MAX = 1e9


class Tally(msgspec.Struct, array_like=True):
    """Labels by the score of their payment. Newer ones count more: `weight`, that of the next label, grows.

    The order of the fields is part of the recovery state.
    """

    frauds: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    goods: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    expected: float = 0  # number of frauds, if the scores are probabilities
    weight: float = 1
    labels: int = 0
    unscored: int = 0

    def update(self, score: float | None, fraud: bool) -> None:
        """Count a label. One without a score changes only the counts."""
        self.labels += 1
        if score is None:
            self.unscored += 1
            return
        (self.frauds if fraud else self.goods)[_bin(score)] += self.weight
        self.expected += score * self.weight
        self.weight *= 1 + 1 / MEMORY
        if self.weight > WEIGHT_MAX:
            self._renormalize()

    def figures(self) -> dict[str, float]:
        """PR-AUC, precision among the highest scores, and calibration: expected by actual frauds (1 is right)."""
        frauds = sum(self.frauds)
        if not frauds:
            return {"labels": self.labels, "unscored": self.unscored}
        return {
            "labels": self.labels,
            "unscored": self.unscored,
            "pr_auc": round(self._pr_auc(frauds), 4),
            "precision_top": round(self._precision_top(), 4),
            "calibration": round(self.expected / frauds, 3),
        }

    def _pr_auc(self, frauds: float) -> float:
        area = caught = seen = 0.0
        for fraud, total in self._from_highest():
            # The order inside a bin is unknown: its frauds count as if in its middle.
            area += fraud / frauds * (caught + fraud / 2) / (seen + total / 2)
            caught, seen = caught + fraud, seen + total
        return area

    def _precision_top(self) -> float:
        room = TOP * (sum(self.frauds) + sum(self.goods))
        caught, left = 0.0, room
        for fraud, total in self._from_highest():
            share = min(1.0, left / total)
            caught, left = caught + share * fraud, left - share * total
        return caught / room

    def _from_highest(self) -> Iterator[tuple[float, float]]:
        for fraud, good in zip(reversed(self.frauds), reversed(self.goods), strict=True):
            if fraud or good:
                yield fraud, fraud + good

    def _renormalize(self) -> None:
        self.frauds = [count / self.weight for count in self.frauds]
        self.goods = [count / self.weight for count in self.goods]
        self.expected /= self.weight
        self.weight = 1


class Quality:
    """The tally, and ADWIN drift detection over the loss. The detector starts empty with each process."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        adwin: Any = drift.ADWIN  # has no types
        self._detector = adwin()
        self.drifts = 0

    def update(self, score: float | None, fraud: bool) -> None:
        """Count the label of a payment that had this score."""
        self.tally.update(score, fraud)
        if score is not None:
            right = score if fraud else 1 - score
            self._detector.update(-log(max(right, 1e-9)))
            self.drifts += bool(self._detector.drift_detected)

    def figures(self) -> dict[str, float]:
        """The figures of the tally, and how often the loss drifted since the process started."""
        return self.tally.figures() | {"drifts": self.drifts}


def _bin(score: float) -> int:
    odds = log(max(score, 1e-9) / max(1 - score, 1e-9))
    place = (odds + REACH) / (2 * REACH) * BINS
    return min(max(int(place), 0), BINS - 1)
