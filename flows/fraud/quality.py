"""How good the scores were, told by the labels as they come (prequential: scored before learned)."""

from collections.abc import Iterator
from math import log
from typing import Any

import msgspec
from river import drift

BINS = 128  # of the logit of the score
REACH = 12.0  # logits beyond this are the same bin
MEMORY = 20_000  # labels over which the past fades
TOP = 0.005  # the share of payments that people can look at
RENORM = 1e9


class Tally(msgspec.Struct, array_like=True):
    """Labels by the score their payment had. The newer weigh more: `weight` grows, so the others fade."""

    frauds: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    goods: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    expected: float = 0  # frauds, if the scores are probabilities
    weight: float = 1
    labels: int = 0
    unscored: int = 0

    def update(self, score: float | None, fraud: bool) -> None:
        """Count a label; one without a score is only counted."""
        self.labels += 1
        if score is None:
            self.unscored += 1
            return
        (self.frauds if fraud else self.goods)[_bin(score)] += self.weight
        self.expected += score * self.weight
        self.weight *= 1 + 1 / MEMORY
        if self.weight > RENORM:
            self._renormalize()

    def figures(self) -> dict[str, float]:
        """PR-AUC, precision among the highest scores, calibration (1 is right, more: too many expected)."""
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
        for fraud, all in self._from_the_top():
            # Inside a bin nobody knows the order: its frauds stand at its middle.
            area += fraud / frauds * (caught + fraud / 2) / (seen + all / 2)
            caught, seen = caught + fraud, seen + all
        return area

    def _precision_top(self) -> float:
        room = TOP * (sum(self.frauds) + sum(self.goods))
        caught, left = 0.0, room
        for fraud, all in self._from_the_top():
            share = min(1.0, left / all)
            caught, left = caught + share * fraud, left - share * all
        return caught / room

    def _from_the_top(self) -> Iterator[tuple[float, float]]:
        for fraud, good in zip(reversed(self.frauds), reversed(self.goods), strict=True):
            if fraud or good:
                yield fraud, fraud + good

    def _renormalize(self) -> None:
        self.frauds = [count / self.weight for count in self.frauds]
        self.goods = [count / self.weight for count in self.goods]
        self.expected /= self.weight
        self.weight = 1


class Quality:
    """The tally, and a watch on drift: ADWIN over the loss. The watch starts anew with the process."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        adwin: Any = drift.ADWIN  # has no types
        self._watch = adwin()
        self.drifts = 0

    def update(self, score: float | None, fraud: bool) -> None:
        """Take the label of a payment in, with the score it had."""
        self.tally.update(score, fraud)
        if score is not None:
            right = score if fraud else 1 - score
            self._watch.update(-log(max(right, 1e-9)))
            self.drifts += bool(self._watch.drift_detected)

    def figures(self) -> dict[str, float]:
        """The tally's, and how often the loss drifted since the start."""
        return self.tally.figures() | {"drifts": self.drifts}


def _bin(score: float) -> int:
    odds = log(max(score, 1e-9) / max(1 - score, 1e-9))
    place = (odds + REACH) / (2 * REACH) * BINS
    return min(max(int(place), 0), BINS - 1)
