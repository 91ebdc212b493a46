"""What a page is: a file in `views/` with a `PAGE`, which navigation finds by itself. Links from page to page."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
import streamlit as st
from streamlit.navigation.page import Page

from dashboards.session_checks import STAFF, Person
from schemas.accounts import Role

ADMINS: frozenset[Role] = frozenset({"admin"})
# Pages of which a merchant's people see what is theirs.
STAFF_AND_MERCHANTS: frozenset[Role] = STAFF | {"merchant"}

# `work`: in the bar. `administration`: in the bar, behind one menu. `own`: in the person's menu alone. `linked`:
# about one thing that its address names, so that links alone lead there.
Group = Literal["work", "administration", "own", "linked"]
GROUPS: tuple[Group, ...] = ("work", "administration", "own", "linked")


class PageEntry(msgspec.Struct, frozen=True):
    """A page: its path in the address, and the roles that see it. `place`: where it stands in its group."""

    path: str
    title: str
    draw: Callable[[Person], None]
    roles: frozenset[Role]
    group: Group
    place: int


def remember(pages: Mapping[str, Page]) -> None:
    """Note the pages of this run by their paths, so that other pages may link to them."""
    st.session_state["pages"] = dict(pages)


def has(path: str) -> bool:
    """Whether this person has a page at `path`."""
    return path in st.session_state.get("pages", {})


def link(label: str, path: str, icon: str | None = None, /, **query: str) -> None:
    """A link to the page at `path`; none where this person has no such page."""
    page = st.session_state.get("pages", {}).get(path)
    if page is not None:
        st.page_link(page, label=label, icon=icon, query_params=query)


def put_address(**changes: str) -> None:
    """Change what the address of this page says; what is empty leaves it. Nothing is drawn anew by that."""
    for name, value in changes.items():
        if value:
            st.query_params[name] = value
        else:
            st.query_params.pop(name, None)


def say_anew(**query: str) -> None:
    """Give this page another address, and nothing of the one before: where it leads is the page one is on.

    Streamlit's links do not: they draw the page anew, under the address that the browser had.
    """
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)


def go(path: str, /, **query: str) -> None:
    """Go to the page at `path` at once."""
    st.switch_page(st.session_state["pages"][path], query_params=query)
