"""When labels come in a burst: the rule alone, without books, so that `benchmarks.poisoned_labels` measures it."""

from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median

USUAL_DAYS = 28
UNUSUAL = 3  # times the usual number of a day


def is_burst(denying: Mapping[str, int], believed: Mapping[str, int], day: date, floor: int) -> bool:
    """Whether so many labels a day are unusual, by those that deny the scores (by days in ISO 8601).

    `believed`: those of them that were learned at once, or that a person let through. Usual is the median of
    these in the four weeks before yesterday: what waits never becomes usual, however long it goes on. A burst goes
    on the day after it, from its first label on.
    """
    newest = max(denying.get(each.isoformat(), 0) for each in (day, day - timedelta(days=1)))
    return newest > max(floor, UNUSUAL * usual_number(believed, day))


def usual_number(believed: Mapping[str, int], day: date) -> float:
    """How many of a day are usual."""
    days = [day - timedelta(days=back) for back in range(2, USUAL_DAYS + 2)]
    return median(believed.get(each.isoformat(), 0) for each in days)
