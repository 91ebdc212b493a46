"""How the page of a customer, a card or a merchant is laid out: its tiles, over the time that the person chose."""

import streamlit as st

from dashboards import tile
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.page import html
from dashboards.session_checks import Person
from dashboards.tile import Tile

LOOK_AGAIN_S = 10.0  # history is read here, not watched


def subject_id(kind: str) -> str:
    """The id in the address, which may be any text; where there is none, the page says so."""
    found = st.query_params.get("id", "")
    if not found:
        html("not_named.html", kind=kind)
    return found


def lay_out(person: Person, subject: str, wide: tuple[Tile, ...], narrow: tuple[Tile, ...]) -> None:
    """Show the tiles about `subject`, `wide` ones left and `narrow` ones right of them."""
    look = look_of(person)
    st.fragment(_tiles, run_every=LOOK_AGAIN_S)(subject, look, wide, narrow)


def _tiles(subject: str, look: Look, wide: tuple[Tile, ...], narrow: tuple[Tile, ...]) -> None:
    left, right = st.columns([1.55, 1], gap="small")
    for column, tiles in ((left, wide), (right, narrow)):
        with column:
            for one in tiles:
                tile.show(one, look, subject)
