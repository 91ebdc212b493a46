"""A list to choose from, one of which is shown beside it. The address names that one: others can be sent there."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboards import formats
from dashboards.gateway_calls import Api
from dashboards.page import html

T = TypeVar("T")
AT_ONCE = 25  # more of a list are asked for by its reader: a browser draws each for some 15 ms
PAGE_MAX = 100  # of the gateway
MOST = 500  # then a filter is the way to the rest


class Choice(msgspec.Struct, frozen=True):
    """One of the list: what it is, what is said of it, and a word for what is special about it."""

    id: str
    title: str
    note: str
    tag: str = ""


class Found(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list of the gateway; `next_cursor` is null on the last one."""

    data: list[T]
    next_cursor: str | None = None


def found(api: Api, path: str, kind: type[T], name: str, /, **query: str) -> tuple[list[T], bool]:
    """As many of a list as were asked for so far, and whether there are more. Raises as `Api.get`."""
    return first(api, path, kind, st.session_state.get(_wanted(name), AT_ONCE), **query)


def first(api: Api, path: str, kind: type[T], wanted: int, /, **query: str) -> tuple[list[T], bool]:
    """At least so many of a list, and whether there are more. Raises as `Api.get`."""
    so_far: list[T] = []
    cursor = ""
    while len(so_far) < wanted:
        asked: dict[str, Any] = {"limit": min(wanted - len(so_far), PAGE_MAX), "cursor": cursor, **query}
        page = api.get(path, Found[kind], **asked)  # type: ignore[valid-type]
        so_far += page.data
        cursor = page.next_cursor or ""
        if not cursor:
            break
    return so_far, bool(cursor)


def beside(name: str, width: float = 1.6) -> tuple[str, DeltaGenerator, DeltaGenerator]:
    """What was chosen by the address, the place of the list, and that of what is shown, `width` times as wide."""
    chosen = st.query_params.get(name, "")
    with st.container(key="with-choice" if chosen else "no-choice"):
        listed, shown = st.columns([1, width], gap="small")
    return chosen, listed, shown


def choose(name: str, lines: Sequence[Choice], has_more: bool = False, nothing: str = "Nothing here.") -> str:
    """Show the list; the id of the one that was chosen, or nothing. `name`: what the address calls it."""
    chosen = st.query_params.get(name, "")
    with st.container(key=f"choose-{name}", gap=None):
        if not lines:
            html("nothing.html", words=nothing)
        for line in lines:
            with st.container(key=f"{'chosen' if line.id == chosen else 'line'}-{line.id}"):
                if st.button(label(line), key=f"choose-{line.id}", type="tertiary", width="stretch"):
                    st.query_params[name] = line.id
                    st.rerun()
        offer_more(name, has_more)
    return chosen


def offer_more(name: str, has_more: bool) -> None:
    """A button for the next `AT_ONCE` of the list, where there are more and it is not too long already."""
    if has_more and st.session_state.get(_wanted(name), AT_ONCE) < MOST:
        st.button("Show more", key=f"more-{name}", on_click=_want_more, args=(name,))


def back(name: str, label: str) -> None:
    """A way back to the list, where the screen has no room for both."""
    with st.container(key="back"):
        st.button(f"← {label}", type="tertiary", on_click=forget, args=(name,))


def to_all(name: str, label: str) -> None:
    """A way back to the list, where the one that was chosen has the page to itself."""
    st.button(f"← {label}", key=f"all-{name}", type="tertiary", on_click=forget, args=(name,))


def forget(name: str) -> None:
    """Choose none."""
    st.query_params.pop(name, None)


def at(path: str, id: str, more: str = "") -> str:
    """The path of one thing, whose id comes from the address and may be any text."""
    return f"{path}/{quote(id, safe='')}{more}"


def label(line: Choice) -> str:
    """A line of the list in Markdown, nothing of it read as such."""
    tag = f" :small[:orange[{formats.literal(line.tag)}]]" if line.tag else ""
    note = formats.literal(formats.plain(line.note, 90))
    return f"**{formats.literal(formats.plain(line.title, 60))}**{tag} :small[:gray[{note}]]"


def _wanted(name: str) -> str:
    return f"wanted-{name}"


def _want_more(name: str) -> None:
    st.session_state[_wanted(name)] = st.session_state.get(_wanted(name), AT_ONCE) + AT_ONCE
