"""The axis of values of a chart: its steps, and its numbers as they are written where the reader is at home.

ECharts writes numbers as in English, and Streamlit hands it no function of ours. So the values have an axis
without numbers, and the numbers one of their own, of names, whose steps are equally high.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dashboards.locales import reader

NICE = (1, 2, 5, 10)  # times a power of ten: how far apart the numbers of an axis are
LINES = {"lineStyle": {"color": "#8a99a833"}}


def value_axes(
    series: Sequence[Mapping[str, Any]],
    unit: str,
    parts: int = 4,
    bottom: float | None = None,
    top: float | None = None,
) -> list[dict[str, Any]]:
    """Both axes, from 0 or the lowest value to the highest, in some `parts`; or from `bottom`, to `top`.

    `unit` stands behind the highest number.
    """
    low, high = _extent(series)
    low, high = (low if bottom is None else bottom), (high if top is None else top)
    step = _step((high - low) / parts)
    first, last = math.floor(low / step), math.ceil(high / step)
    numbers = {
        "type": "category",
        "position": "left",
        "data": list(_labels(first, max(last, first + 1), step, unit)),
    }
    bare = {"axisLine": {"show": False}, "axisTick": {"show": False}, "splitLine": {"show": False}}
    values = {"type": "value", "min": first * step, "max": last * step, "interval": step}
    return [
        values | {"axisLabel": {"show": False}, "splitLine": LINES},
        numbers | bare | {"boundaryGap": False, "axisPointer": {"show": False}},
    ]


def _extent(series: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """The lowest and the highest place that is drawn at; what is stacked stands on each other."""
    stacked: defaultdict[tuple[str, int], float] = defaultdict(float)
    places = [0.0]
    for one in series:
        for at, value in one["data"]:
            if stack := one.get("stack"):
                stacked[stack, at] += value
            else:
                places.append(value)
    places += stacked.values()
    return min(places), max(places)


def _step(least: float) -> float:
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(nice * power for nice in NICE if nice * power >= least * (1 - 1e-9))


def _labels(first: int, last: int, step: float, unit: str) -> Iterable[str]:
    decimals = max(0, -math.floor(math.log10(step)))
    for number in range(first, last + 1):
        label = reader().number(number * step, decimals)
        yield label + (reader().percent if unit == "%" else unit) if number == last else label
