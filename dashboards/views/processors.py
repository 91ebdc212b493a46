"""Processors: which one fails, since when and how; how they did; and the switch that stops one, or all sales."""

import streamlit as st

from dashboards import acting, stop_switch, tile
from dashboards.cached_queries import settings
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.page import html
from dashboards.page_entry import PageEntry
from dashboards.processor_course import APPROVED, ERRORS, LATENCY
from dashboards.processor_health import HEALTH
from dashboards.processor_now import NOW
from dashboards.processor_tables import DECLINES_BY_REASON, FAILOVERS, OPEN, VOLUMES_BY_PROCESSOR
from dashboards.session_checks import STAFF, Person

PERIOD_REFRESH_S = 10.0  # of what is said of a whole period


def draw(person: Person) -> None:
    """Show what fails now beside the switch, then the period that was chosen."""
    html("page_head.html", title="Processors", note="who answers, who fails, and the switch that stops sales")
    acting.show_said()
    look = look_of(person)
    now, switch = st.columns([1.6, 1], gap="small")
    with now:
        st.fragment(tile.show, run_every=settings().dashboard_refresh_s)(NOW, look)
    with switch:
        stop_switch.draw(person, look)
    st.fragment(_period, run_every=PERIOD_REFRESH_S)(look)


def _period(look: Look) -> None:
    tile.show(HEALTH, look)
    _row(look, (APPROVED, ERRORS, LATENCY), (1, 1, 1))
    _row(look, (DECLINES_BY_REASON, OPEN), (1.5, 1))
    _row(look, (VOLUMES_BY_PROCESSOR, FAILOVERS), (1, 1))


def _row(look: Look, tiles: tuple[tile.Tile, ...], widths: tuple[float, ...]) -> None:
    for column, one in zip(st.columns(widths, gap="small"), tiles, strict=True):
        with column:
            tile.show(one, look)


PAGE = PageEntry("processors", "Processors", draw, STAFF, "work", 50)
