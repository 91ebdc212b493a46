"""When labels come in a burst: the rule alone, without books, so that `benchmarks.poisoned_labels` measures it."""

from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median

USUAL_DAYS = 28
UNUSUAL = 3  # times the usual number of a day


def is_burst(denying: Mapping[str, int], day: date, floor: int) -> bool:
    """Whether so many labels a day are unusual, by those that deny the scores (by days in ISO 8601).

    Usual is the median of the four weeks before yesterday: a burst of some days does not become usual. A burst
    goes on the day after it, from its first label on.
    """
    usual = usual_number(denying, day)
    newest = max(denying.get(each.isoformat(), 0) for each in (day, day - timedelta(days=1)))
    return newest > max(floor, UNUSUAL * usual)


def usual_number(denying: Mapping[str, int], day: date) -> float:
    """How many of a day are usual."""
    days = [day - timedelta(days=back) for back in range(2, USUAL_DAYS + 2)]
    return median(denying.get(each.isoformat(), 0) for each in days)
