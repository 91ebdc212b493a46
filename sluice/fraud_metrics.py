"""How well scores rank frauds, by the protocol of the public benchmark: AUC ROC, AP, card precision.

Le Borgne, Siblini, Lebichot, Bontempi: Reproducible Machine Learning for Credit Card Fraud Detection, ch. 3-5.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

COMPROMISED_DAYS = 14  # a card's frauds count as known from this long before a test week
KNOWN_AFTER_DAYS = 8  # labels are seven days late: on day d, those of the days up to d - 8 are known all day
CARDS_REVIEWED = 100  # a day, by people


class RankedPayment(msgspec.Struct, frozen=True, gc=False):
    """A payment with its score and label. `day` counts days since 1970 (UTC)."""

    day: int
    card_id: str
    fraud: bool
    score: float


class FraudMetrics(msgspec.Struct, frozen=True):
    """The metrics of one test week, or the means of several; each from 0 to 1, where 1 is best."""

    auc_roc: float
    average_precision: float
    card_precision_100: float


def measure_week(scored: Sequence[RankedPayment], start: int) -> FraudMetrics:
    """The metrics of the week that begins on day `start`. Raises `ValueError` where it has no fraud."""
    days = [list(_not_compromised(scored, start, day)) for day in range(start, start + 7)]
    ranked = [(s.score, s.fraud) for day in days for s in day]
    auc, precision = rank_metrics(ranked)
    return FraudMetrics(auc, precision, _card_precision(days))


def rank_metrics(ranked: list[tuple[float, bool]]) -> tuple[float, float]:
    """AUC ROC and average precision of (score, fraud) pairs; equal scores count as one step.

    Raises `ValueError` where all are frauds, or none is.
    """
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


def mean(weeks: Sequence[FraudMetrics]) -> FraudMetrics:
    """The mean of each metric over the weeks."""
    sums = [sum(values) / len(weeks) for values in zip(*map(msgspec.structs.astuple, weeks), strict=True)]
    return FraudMetrics(*sums)


def _not_compromised(scored: Sequence[RankedPayment], start: int, day: int) -> Iterator[RankedPayment]:
    """The payments of a day whose card is not known to be compromised on that day."""
    known = range(start - COMPROMISED_DAYS, day - KNOWN_AFTER_DAYS + 1)
    compromised = {s.card_id for s in scored if s.fraud and s.day in known}
    return (s for s in scored if s.day == day and s.card_id not in compromised)


def _card_precision(days: list[list[RankedPayment]]) -> float:
    """The share of the reviewed cards that are compromised, mean over days. A card found is not reviewed again."""
    caught: set[str] = set()
    shares = []
    for day in days:
        worst: dict[str, float] = defaultdict(float)
        for s in day:
            if s.card_id not in caught:
                worst[s.card_id] = max(worst[s.card_id], s.score)
        reviewed = sorted(worst, key=lambda card: -worst[card])[:CARDS_REVIEWED]
        compromised = {s.card_id for s in day if s.fraud}.intersection(reviewed)
        shares.append(len(compromised) / CARDS_REVIEWED)
        caught |= compromised
    return sum(shares) / len(shares)
