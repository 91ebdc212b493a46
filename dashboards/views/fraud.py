"""Fraud: what the gate decided, why, how fast, and how good that was by what was learned since."""

import streamlit as st

from dashboards import tile
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.page import html
from dashboards.page_entry import PageEntry
from dashboards.session_checks import STAFF, Person
from dashboards.tiles.judging import JUDGED, LATE, LATENCY, REASONS, VERDICTS, VERDICTS_COURSE
from dashboards.tiles.labelled import LABELS, MONEY, QUALITY

REFRESH_S = 10.0  # labels and reviews come by the minute
ROWS = (
    ((JUDGED, 1.9), (VERDICTS, 1)),
    ((MONEY, 1.9), (LABELS, 1)),
    ((QUALITY, 1),),
    ((VERDICTS_COURSE, 1), (LATENCY, 1)),
    ((REASONS, 1), (LATE, 1.4)),
)


def draw(person: Person) -> None:
    """Show the page, and draw its tiles anew now and then."""
    html("page_head.html", title="Fraud", note="what the gate decided, and how good that was")
    look = look_of(person)
    st.fragment(_draw, run_every=REFRESH_S)(look)


def _draw(look: Look) -> None:
    for row in ROWS:
        columns = st.columns([width for _, width in row], gap="small")
        for column, (each, _) in zip(columns, row, strict=True):
            with column:
                tile.show(each, look)


PAGE = PageEntry("fraud", "Fraud", draw, STAFF, "work", 40)
