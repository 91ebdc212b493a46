"""Features as one-hot bins: a linear model over bins learns a curve of any shape, and no outlier distorts it."""

import hashlib
from array import array
from bisect import bisect_right
from functools import lru_cache
from math import isfinite, log2
from operator import getitem, itemgetter

from flows.fraud.inputs import Features
from flows.fraud.label_features import KINDS

Edges = list[float]
Bins = list[str]  # the names of those that a payment falls into


class Unscored(ValueError):
    """The features cannot be scored: one that the model reads is missing or no finite number."""


def geometric(low: float, high: float, per_octave: int) -> Edges:
    """Edges from `low` to `high`, `per_octave` of them to each doubling."""
    return [low * 2 ** (i / per_octave) for i in range(int(log2(high / low) * per_octave) + 1)]


COUNTS: Edges = [0.5, 1.5, 2.5, 3.5, 4.5, 6.5, 9.5, 14.5, 24.5, 49.5, 99.5, 200.5]
DECAYING = geometric(0.05, 64, 2)
DAYS: Edges = [*map(float, range(31)), 32, 34, 36, 38, 40, 45, 50, 60, 80]
RISK = geometric(0.001, 1, 2)

LABEL_EDGES: dict[str, Edges] = dict(
    zip(KINDS, (COUNTS, COUNTS, [0.5, 1.5], COUNTS, DAYS, DAYS, DAYS, RISK), strict=True)
)
EDGES: dict[str, Edges] = {
    "amount_to_mean": geometric(0.05, 64, 4),
    "amount_to_largest": geometric(0.02, 32, 6),
    "amount_to_month": geometric(0.05, 64, 3),
    "amount_z": [-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 14, 20, 40],
    "day_to_mean": geometric(0.05, 64, 2),
    "gap": [0, *geometric(60, 30 * 86_400, 1)],
    "history": COUNTS,
    "count_10m": COUNTS,
    "count_day": DECAYING,
    "count_week": DECAYING,
    "unusual": [0.01, *geometric(0.1, 64, 1)],
    "new_device": [0.5, 1.5],
    "new_country": [0.5, 1.5],
    "merchant_unusual": [0.01, *geometric(0.02, 8, 2)],
}
for _subject, _without in (
    ("card", {"labels", "streak", "streak_age", "good_age"}),
    ("merchant", {"labels"}),
):
    # The features left out add no precision, and each bin costs time on every payment and every label.
    EDGES |= {f"{_subject}_{kind}": edges for kind, edges in LABEL_EDGES.items() if kind not in _without}

# Absolute amounts have bins per currency: coarse ones that learn soon, fine ones that learn sharp limits.
AMOUNT_COARSE = geometric(100, 1e8, 2)
AMOUNT_FINE = geometric(100, 1e6, 16)

_NAMES = (*EDGES, "amount")
_values = itemgetter(*EDGES)
_named_values = itemgetter(*_NAMES)
_EDGES = tuple(EDGES.values())
_KEYS = tuple(tuple(f"{name}:{i}" for i in range(len(edges) + 1)) for name, edges in EDGES.items())


def one_hot(features: Features, currency: str) -> Bins:
    """The bins of a payment. Raises `Unscored` where a feature is missing or no number."""
    try:
        values, amount = _values(features), features["amount"]
    except KeyError as missing:
        raise Unscored(f"no feature {missing}") from None
    if not isfinite(sum(values, amount)):
        raise Unscored("a feature is no finite number")
    # By `map`: no bytecode runs per bin, which halves the time.
    bins = list(map(getitem, _KEYS, map(bisect_right, _EDGES, values)))
    fine, coarse = _amount_keys(currency)
    bins += fine[bisect_right(AMOUNT_FINE, amount)], coarse[bisect_right(AMOUNT_COARSE, amount)]
    return bins


def what_is_read(features: Features) -> "array[float]":
    """The features that the bins are made of, in as little room as they need. Raises `KeyError` without one."""
    return array("d", _named_values(features))


def as_read(values: "array[float]") -> Features:
    """The features of which `what_is_read` gave the `values`."""
    return dict(zip(_NAMES, values, strict=True))


@lru_cache(maxsize=256)
def _amount_keys(currency: str) -> tuple[list[str], list[str]]:
    fine = [f"amount:{currency}:{i}" for i in range(len(AMOUNT_FINE) + 1)]
    coarse = [f"amount:{currency}:about {i}" for i in range(len(AMOUNT_COARSE) + 1)]
    return fine, coarse


# Names this set of bins: weights learned with another set do not fit.
RECIPE = hashlib.sha256(repr((EDGES, AMOUNT_COARSE, AMOUNT_FINE)).encode()).hexdigest()[:8]
