"""What tiles are drawn with: style, cards, charts, and HTML in which everything from outside is escaped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import streamlit as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboards import formats
from dashboards.axis import value_axes
from dashboards.locales import reader
from dashboards.look import Look

# Hues that are told apart with every common colour blindness, on white and on black, and never stand without a
# word beside them; style.css has those of the same names. No other file of ours has a hue.
HUES = {"blue": "#1482a8", "amber": "#e69f00", "red": "#d1502a", "violet": "#7a5ea8", "grey": "#7d8c9b"}
HUES |= {"green": "#3a9c6e", "pink": "#b5588f", "olive": "#5f6f12"}
# What a hue means, everywhere.
COLOURS = {"succeeded": HUES["blue"], "pending": HUES["amber"], "failed": HUES["red"], "quiet": HUES["grey"]}
COLOURS |= {"flag": HUES["amber"], "review": HUES["violet"], "block": HUES["red"]}
PROCESSOR_COLOURS = {"visa": HUES["blue"], "mastercard": HUES["violet"], "paypal": HUES["green"]}

ROW_PX = 60  # of a chart's height, between two of its numbers
# Of what a step of the axis begins: a day says its date, an hour its time (ECharts' time formats).
AXIS = {
    "year": "{yyyy}",
    "month": "{MMM} {yyyy}",
    "hour": "{HH}:{mm}",
    "minute": "{HH}:{mm}",
    "second": "{HH}:{mm}:{ss}",
}

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


def of_period(look: Look, series: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The ends of a chart's axis: the whole period that was chosen, also where nothing happened in most of it.

    A step may begin before the period does.
    """
    begin, end = points(look, look.span(), (0, 0))
    times = [at for one in series for at, _ in one["data"]]
    return {"min": min([begin[0], *times]), "max": max([end[0], *times])}


def time_axis() -> dict[str, str]:
    """How the steps of a time axis are written where the reader is at home: `27 Nov`, `Nov 27`."""
    return AXIS | {"day": "{MMM} {d}" if reader().month_first else "{d} {MMM}"}


def chart(
    key: str,
    about: str,
    unit: str,
    height: int,
    series: list[dict[str, Any]],
    look: Look | None,
    *,
    bottom: float | None = None,
    top: float | None = None,
) -> None:
    """Show `series` of `points` by ECharts, `height` in pixels; `about` is the text for screen readers.

    `unit` stands behind the highest number. `look`: whose period it is about; None: what the points span. `bottom`
    and `top`: where the axis of values begins and ends.
    """
    options = {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 4, "right": 12, "top": 30, "bottom": 2, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 18, "itemHeight": 10, "itemGap": 16, "type": "scroll"},
        "tooltip": {"trigger": "axis", "valueFormatter": "localized", "axisPointer": {"type": "line"}},
        "xAxis": {
            "type": "time",
            "splitNumber": 4,
            "axisTick": {"show": False},
            "axisLabel": {"formatter": time_axis(), "hideOverlap": True},
            **(of_period(look, series) if look else {}),
        },
        "yAxis": value_axes(series, unit, max(2, height // ROW_PX), bottom, top),
        "series": series,
    }
    st.echarts_chart(options, key=key, height=height, alt=about)
