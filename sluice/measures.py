"""How well scores find fraud, by the protocol of the public benchmark: AUC ROC, AP, card precision.

Le Borgne, Siblini, Lebichot, Bontempi: Reproducible Machine Learning for Credit Card Fraud Detection, ch. 3-5.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

COMPROMISED_DAYS = 14  # how far before a test week a card's frauds count
TOLD_DAYS = 8  # labels come seven days late: on day d those up to d - 8 are known all day
CARDS_LOOKED_AT = 100  # a day, by people


class Scored(msgspec.Struct, frozen=True, gc=False):
    """A payment with its score. `day` counts days since 1970 (UTC)."""

    day: int
    card: str
    fraud: bool
    score: float


class Measures(msgspec.Struct, frozen=True):
    """Of one test week, or the mean of several."""

    auc_roc: float
    average_precision: float
    card_precision_100: float


def measure_week(scored: Sequence[Scored], start: int) -> Measures:
    """The measures of the week that begins on day `start`. Raises `ValueError` where there is no fraud in it."""
    days = [list(_unknown(scored, start, day)) for day in range(start, start + 7)]
    ranked = [(s.score, s.fraud) for day in days for s in day]
    auc, precision = rank_measures(ranked)
    return Measures(auc, precision, _card_precision(days))


def rank_measures(ranked: list[tuple[float, bool]]) -> tuple[float, float]:
    """AUC ROC and average precision of (score, fraud); equal scores count as one step."""
    frauds = sum(fraud for _, fraud in ranked)
    goods = len(ranked) - frauds
    if not frauds or not goods:
        raise ValueError("nothing to tell apart: all frauds, or none")
    area = precision = 0.0
    caught = wrong = 0
    for _, same in groupby(sorted(ranked, reverse=True), key=lambda pair: pair[0]):
        found = [fraud for _, fraud in same]
        hits = sum(found)
        misses = len(found) - hits
        area += misses * (caught + hits / 2)
        caught, wrong = caught + hits, wrong + misses
        precision += hits * caught / (caught + wrong)
    return area / (frauds * goods), precision / frauds


def mean(weeks: Sequence[Measures]) -> Measures:
    """The mean of each measure."""
    sums = [sum(values) / len(weeks) for values in zip(*map(msgspec.structs.astuple, weeks), strict=True)]
    return Measures(*sums)


def _unknown(scored: Sequence[Scored], start: int, day: int) -> Iterator[Scored]:
    """The payments of a day whose card was not known to be compromised."""
    known = range(start - COMPROMISED_DAYS, day - TOLD_DAYS + 1)
    compromised = {s.card for s in scored if s.fraud and s.day in known}
    return (s for s in scored if s.day == day and s.card not in compromised)


def _card_precision(days: list[list[Scored]]) -> float:
    """The share of the cards looked at that were compromised, mean over days. Caught ones are left out then."""
    caught: set[str] = set()
    shares = []
    for day in days:
        worst: dict[str, float] = defaultdict(float)
        for s in day:
            if s.card not in caught:
                worst[s.card] = max(worst[s.card], s.score)
        looked_at = sorted(worst, key=lambda card: -worst[card])[:CARDS_LOOKED_AT]
        compromised = {s.card for s in day if s.fraud}.intersection(looked_at)
        shares.append(len(compromised) / CARDS_LOOKED_AT)
        caught |= compromised
    return sum(shares) / len(shares)
