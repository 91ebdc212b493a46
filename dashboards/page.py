"""The frame around the tiles: style, cards, and HTML in which everything from outside is escaped."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboards import formats

# Okabe and Ito's order of hues: told apart with every common colour blindness, and never without a word beside it.
COLOURS = {"succeeded": "#0b6e8f", "pending": "#e69f00", "failed": "#c4461f", "quiet": "#8a99a8"}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "tiles"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"plain": formats.plain, "count": formats.count}


def style() -> None:
    """The page's own style, over Streamlit's theme."""
    st.html(Path(__file__).parent / "style.css")


def html(template: str, **fields: Any) -> None:
    """A template of `tiles/`, its fields escaped."""
    st.html(_templates.get_template(template).render(fields))


@contextmanager
def card(name: str, title: str, note: str = "") -> Iterator[None]:
    """A tile with its title; `note` says what period or unit it is about."""
    with st.container(border=True, key=f"tile-{name}", gap="small", height="stretch"):
        html("title.html", title=title, note=note)
        yield


def time_axis(moments: list[datetime]) -> dict[str, Any]:
    """A horizontal axis of ECharts that names full minutes, five at most, and none where the edge would cut it."""
    margin = len(moments) // 12
    inner = range(margin, len(moments) - margin)
    minutes = [index for index in inner if moments[index].second == 0]
    step = -(-len(minutes) // 5)
    return {
        "type": "category",
        "data": [formats.clock(moment) for moment in moments],
        "axisTick": {"show": False},
        "axisLabel": {"customValues": [formats.clock(moments[index]) for index in minutes[:: max(step, 1)]]},
    }
