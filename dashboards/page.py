"""What tiles are drawn with: style, cards, charts, and HTML in which everything from outside is escaped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import streamlit as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboards import formats
from dashboards.look import Look

# Okabe and Ito's order of hues: told apart with every common colour blindness, on white and on black, and never
# without a word beside it.
COLOURS = {"succeeded": "#1482a8", "pending": "#e69f00", "failed": "#d1502a", "quiet": "#7d8c9b"}

# Of what a step of the axis begins: a day says its date, an hour its time (ECharts' time formats).
AXIS = {"year": "{yyyy}", "month": "{MMM} {yyyy}", "day": "{d} {MMM}", "hour": "{HH}:{mm}", "minute": "{HH}:{mm}"}
AXIS |= {"second": "{HH}:{mm}:{ss}"}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "tiles"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"plain": formats.plain, "count": formats.count}


def style() -> None:
    """Add the page's own style to Streamlit's theme."""
    st.html(Path(__file__).parent / "style.css")


def html(template: str, **fields: Any) -> None:
    """Show a template of `tiles/`, its fields escaped."""
    st.html(_templates.get_template(template).render(fields))


@contextmanager
def card(name: str, title: str, note: str = "", *, fills: bool = True) -> Iterator[None]:
    """A tile with its title; `note` names its period or unit. It `fills` its row, or is as high as needed."""
    height: Literal["stretch", "content"] = "stretch" if fills else "content"
    with st.container(border=True, key=f"tile-{name}", gap="small", height=height):
        html("title.html", title=title, note=note)
        yield


def points(look: Look, times: Sequence[datetime], values: Sequence[float]) -> list[tuple[int, float]]:
    """The data of one series by the clock of the zone that was chosen: milliseconds since 1970, value.

    A time without a zone is by that clock already.
    """
    clock = (look.local(at) if at.tzinfo else at for at in times)
    moments = (int(at.replace(tzinfo=UTC).timestamp() * 1000) for at in clock)
    return [(at, round(value, 2)) for at, value in zip(moments, values, strict=True)]


def chart(key: str, about: str, unit: str, height: int, series: list[dict[str, Any]], **y_axis: Any) -> None:
    """Show `series` of `points` by ECharts, `height` in pixels; `about` is the text for screen readers.

    `unit` stands behind a value, with `%` written twice. `y_axis`: other options of it.
    """
    options = {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 4, "right": 12, "top": 30, "bottom": 2, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 18, "itemHeight": 10, "itemGap": 16, "type": "scroll"},
        "tooltip": {"trigger": "axis", "valueFormatter": f"%.1f{unit}", "axisPointer": {"type": "line"}},
        "xAxis": {
            "type": "time",
            "splitNumber": 4,
            "axisTick": {"show": False},
            "axisLabel": {"formatter": AXIS, "hideOverlap": True},
        },
        "yAxis": {"type": "value", "splitNumber": 4, "splitLine": {"lineStyle": {"color": "#8a99a833"}}} | y_axis,
        "series": series,
    }
    st.echarts_chart(options, key=key, height=height, alt=about)
