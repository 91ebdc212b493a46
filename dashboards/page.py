"""The frame around the tiles: style, cards, and HTML in which everything from outside is escaped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboards import formats

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
