"""How the processors did through the period: what they approved, where they failed, and how long they took."""

from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from connectors.warehouse import Table
from dashboards.look import Look
from dashboards.page import points
from dashboards.tile import Draw, Tile
from dashboards.wording import processor_name

# Not those of good and bad: told apart with every common colour blindness (Okabe and Ito).
HUES = {"visa": "#1482a8", "mastercard": "#9a6fd0", "paypal": "#009e73"}
OTHER_HUE = "#7d8c9b"
HEIGHT = 210

# One question for the three tiles: the warehouse is asked once.
COURSE = """
SELECT time_bucket(2 * $step, created_at) AS moment, processor,
       count(*) FILTER (kind <> 'order') AS asked,
       count(*) FILTER (kind <> 'order' AND status = 'succeeded') AS approved,
       count(*) AS calls,
       count(*) FILTER (status IN ('failed', 'unknown') OR sequence > 1) AS errors,
       quantile_cont(milliseconds, 0.5) FILTER (status <> 'unknown' AND sequence = 1) AS p50,
       quantile_cont(milliseconds, 0.99) FILTER (status <> 'unknown' AND sequence = 1) AS p99
FROM operations
WHERE kind IN ('order', 'authorize', 'sale') AND created_at >= $since AND created_at < $until
GROUP BY ALL ORDER BY moment, processor
"""


def shares(table: Table, part: str, whole: str) -> dict[str, list[tuple[datetime, float]]]:
    """For each processor: when, and `part` of `whole` in percent, where there was any."""
    at, over = table.columns.index(part), table.columns.index(whole)
    found: dict[str, list[tuple[datetime, float]]] = {}
    for row in table.rows:
        if row[over]:
            found.setdefault(row[1], []).append((row[0], 100 * row[at] / row[over]))
    return found


def values(table: Table, column: str) -> dict[str, list[tuple[datetime, float]]]:
    """For each processor: when, and a column where it has a value."""
    at = table.columns.index(column)
    found: dict[str, list[tuple[datetime, float]]] = {}
    for row in table.rows:
        if row[at] is not None:
            found.setdefault(row[1], []).append((row[0], row[at]))
    return found


def _lines(found: dict[str, list[tuple[datetime, float]]], look: Look, unit: str, **axis: Any) -> dict[str, Any]:
    """What ECharts draws, over the clock of the zone that was chosen."""
    is_long = look.length > timedelta(days=2)
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 4, "right": 12, "top": 30, "bottom": 2, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 18, "itemHeight": 10, "itemGap": 16},
        "tooltip": {"trigger": "axis", "valueFormatter": f"%.1f{unit}", "axisPointer": {"type": "line"}},
        "xAxis": {
            "type": "time",
            "splitNumber": 4,
            "axisTick": {"show": False},
            "axisLabel": {"formatter": "{d} {MMM}" if is_long else "{HH}:{mm}", "hideOverlap": True},
        },
        "yAxis": {"type": "value", "splitNumber": 3, "splitLine": {"lineStyle": {"color": "#8a99a833"}}, **axis},
        "series": [_series(name, course, look) for name, course in found.items()],
    }


def _series(name: str, course: list[tuple[datetime, float]], look: Look) -> dict[str, Any]:
    times = [look.local(at.replace(tzinfo=UTC)).replace(tzinfo=UTC) for at, _ in course]
    return {
        "name": processor_name(name),
        "type": "line",
        "showSymbol": len(course) < 3,
        "lineStyle": {"width": 2},
        "color": HUES.get(name, OTHER_HUE),
        "data": points(times, [value for _, value in course]),
    }


def _shown(key: str, about: str, part: str, whole: str) -> Draw:
    def draw(table: Table, look: Look) -> None:
        options = _lines(shares(table, part, whole), look, "%", min=0, max=100, interval=50)
        st.echarts_chart(options, key=key, height=HEIGHT, alt=about)

    return draw


def _draw_latency(table: Table, look: Look) -> None:
    options = _lines(values(table, "p99"), look, " ms")
    st.echarts_chart(options, key="processor_latency", height=HEIGHT, alt="p99 of the processors over time")


APPROVED = Tile(
    "processor_approved",
    "Approved",
    "Which share of what it was asked did each processor approve, through the period?",
    COURSE,
    _shown("processor_approved", "Share approved by each processor over time", "approved", "asked"),
    note="% of authorizations and sales",
)
ERRORS = Tile(
    "processor_errors",
    "Failed or silent",
    "Which share of its calls did each processor fail or not answer in time, through the period?",
    COURSE,
    _shown("processor_errors", "Share of calls that failed or were not answered over time", "errors", "calls"),
    note="% of calls",
)
LATENCY = Tile(
    "processor_latency",
    "Time to answer",
    "How long did the slowest hundredth of each processor's answers take, through the period?",
    COURSE,
    _draw_latency,
    note="p99 of what was answered",
)
