"""A chart over time, by ECharts in Streamlit's colours for light and dark."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import streamlit as st

# Okabe and Ito's order of hues: told apart with every common colour blindness, on white and on black, and never
# without a word beside it.
COLOURS = {"succeeded": "#1482a8", "pending": "#e69f00", "failed": "#d1502a", "quiet": "#7d8c9b"}


def points(times: Sequence[datetime], values: Sequence[float]) -> list[tuple[int, float]]:
    """The data of one series: milliseconds since 1970, value."""
    return [(int(at.timestamp() * 1000), round(value, 2)) for at, value in zip(times, values, strict=True)]


def draw(key: str, about: str, unit: str, height: int, series: list[dict[str, Any]]) -> None:
    """Show `series` over UTC, `height` in pixels; `about` is read to those who do not see it."""
    options = {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 4, "right": 12, "top": 30, "bottom": 2, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 18, "itemHeight": 10, "itemGap": 16},
        "tooltip": {"trigger": "axis", "valueFormatter": f"%.1f{unit}", "axisPointer": {"type": "line"}},
        "xAxis": {
            "type": "time",
            "splitNumber": 4,
            "axisTick": {"show": False},
            "axisLabel": {"formatter": "{HH}:{mm}"},
        },
        "yAxis": {"type": "value", "splitNumber": 4, "splitLine": {"lineStyle": {"color": "#8a99a833"}}},
        "series": series,
    }
    st.echarts_chart(options, key=key, height=height, alt=about)
