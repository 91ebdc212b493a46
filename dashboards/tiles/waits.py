"""How long payments waited for their verdict."""

from datetime import datetime
from typing import Any

import msgspec
import streamlit as st

from connectors.warehouse import Table
from dashboards.page import COLOURS, card, time_axis

QUERY = """
SELECT time_bucket(INTERVAL 15 SECOND, created_at) AS quarter,
       quantile_cont(waited_ms, 0.5) AS p50, quantile_cont(waited_ms, 0.99) AS p99
FROM payments
WHERE created_at >= now()::TIMESTAMP - INTERVAL 15 MINUTE AND waited_ms IS NOT NULL
GROUP BY GROUPING SETS ((quarter), ()) ORDER BY quarter NULLS FIRST
"""


class Waits(msgspec.Struct, frozen=True):
    """Milliseconds over all, None where nobody waited, and by quarter of a minute, oldest first."""

    p50: float | None
    p99: float | None
    times: list[datetime]
    p50s: list[float]
    p99s: list[float]


def waits(table: Table) -> Waits:
    """What the rows say; the first one is of them all."""
    p50, p99 = table.rows[0][1:] if table.rows else (None, None)
    times, p50s, p99s = zip(*table.rows[1:], strict=True) if len(table.rows) > 1 else ((), (), ())
    return Waits(p50, p99, list(times), list(p50s), list(p99s))


def show(figures: Waits) -> None:
    """Two lines."""
    with card("waits", "Wait for the verdict", "last 15 minutes, ms"):
        st.echarts_chart(_chart(figures), key="waits", height=176, alt="Median and 99th percentile of the wait")


def _chart(figures: Waits) -> dict[str, Any]:
    lines = (
        ("median", figures.p50s, COLOURS["succeeded"], "solid"),
        ("99th percentile", figures.p99s, COLOURS["failed"], "dashed"),
    )
    return {
        "animation": False,
        "color": [colour for _, _, colour, _ in lines],
        "grid": {"left": 4, "right": 8, "top": 30, "bottom": 2, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 18, "itemHeight": 8, "itemGap": 16},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.1f ms"},
        "xAxis": time_axis(figures.times),
        "yAxis": {"type": "value", "splitNumber": 3, "splitLine": {"lineStyle": {"color": "#edf1f4"}}},
        "series": [
            {
                "name": name,
                "type": "line",
                "showSymbol": len(values) < 3,
                "lineStyle": {"width": 2, "type": dash},
                "data": [round(value, 2) for value in values],
            }
            for name, values, _, dash in lines
        ],
    }
