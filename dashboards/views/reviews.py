"""Reviews: the payments that wait for a person, one of them in detail, and the decision about it."""

from functools import partial

import streamlit as st

from dashboards import acting, chooser, look_bar, review_desk, review_filters, review_queue, tile
from dashboards.page import html
from dashboards.page_entry import PageEntry
from dashboards.review_tiles import CARD_FIGURES, CARD_LATEST, CUSTOMER_FIGURES, CUSTOMER_LATEST, OPEN, WHY
from dashboards.session_checks import STAFF, Person

LOOK_AGAIN_S = 5.0
TILES = (OPEN, WHY, CUSTOMER_FIGURES, CUSTOMER_LATEST, CARD_FIGURES, CARD_LATEST)


def draw(person: Person) -> None:
    """Show what waits and the queue, or the case that the address names beside it."""
    html("page_head.html", title="Reviews", note="payments that wait for a person")
    acting.show_said()
    chosen = st.query_params.get("review", "")
    if chosen:
        _draw_case(person, chosen)
    else:
        _draw_queue(person)
    html("review_keys.html")


def _draw_queue(person: Person) -> None:
    review_queue.show_ended()
    wanted = review_filters.choose()
    queue, figures = st.columns([8, 5], gap="small")
    with queue:
        st.fragment(partial(review_queue.draw, person, wanted, ""), run_every=LOOK_AGAIN_S)()
    with figures:
        st.fragment(_figures, run_every=LOOK_AGAIN_S)()


def _figures() -> None:
    look = look_bar.named()
    tile.show(OPEN, look)
    tile.show(WHY, look)


def _draw_case(person: Person, chosen: str) -> None:
    look = look_bar.named()
    _, queue, case = chooser.beside("review", 2.6)
    with queue:
        st.fragment(partial(review_queue.draw, person, review_filters.read(), chosen), run_every=LOOK_AGAIN_S)()
    with case:
        review_desk.draw(person, chosen, look)


PAGE = PageEntry("reviews", "Reviews", draw, STAFF, "work", 30)
