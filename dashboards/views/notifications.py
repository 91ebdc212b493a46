"""Notifications: what payers were told, what not and why, and all about one payment or to one address."""

import streamlit as st

from dashboards import tile
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.message_tiles import (
    DELIVERY_TIME,
    LATEST_FAILURES,
    MESSAGES_COURSE,
    MESSAGES_OF,
    SENT_MESSAGES,
    WHY_NOT,
)
from dashboards.page import html
from dashboards.page_entry import PageEntry, put_address
from dashboards.session_checks import STAFF, Person
from schemas.notifications import mask

LOOK_AGAIN_S = 15.0


def draw(person: Person) -> None:
    """Show the page."""
    html("page_head.html", title="Notifications", note="what payers were told, what not, and why")
    look = look_of(person)
    _search()
    st.fragment(_tiles, run_every=LOOK_AGAIN_S)(look, st.query_params.get("q", ""))


def _search() -> None:
    with st.form("search", border=False), st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        asked = st.text_input(
            "A payment (pay_…) or an address",
            st.query_params.get("q", ""),
            max_chars=200,
            width=420,
            help="Only masked addresses are kept: who has the same one is found too.",
        )
        sent = st.form_submit_button("Find")
    if sent:
        _find((asked or "").strip())


def _find(asked: str) -> None:
    """Put what is looked for in the address, which many may see: of people's addresses the masked form alone."""
    put_address(q=sought(asked))
    st.rerun()


def sought(asked: str) -> str:
    """A payment's id as it is, or an address as the warehouse has it: `c…@example.com`, `+1…06`."""
    is_known_form = asked.startswith("pay_") or "…" in asked
    return asked if is_known_form else mask(asked.replace(" ", ""))


def _tiles(look: Look, asked: str) -> None:
    if asked:
        tile.show(MESSAGES_OF, look, asked)
    left, right = st.columns([1, 1], gap="small")
    with left:
        tile.show(SENT_MESSAGES, look)
        tile.show(DELIVERY_TIME, look)
    with right:
        tile.show(MESSAGES_COURSE, look)
    tile.show(WHY_NOT, look)
    tile.show(LATEST_FAILURES, look)


PAGE = PageEntry("notifications", "Notifications", draw, STAFF, "work", 70)
