"""Pipeline: whether every flow and topic keeps up, how old the warehouse is, and what nobody could read."""

import streamlit as st

from dashboards import acting, pipeline_letters, pipeline_machine
from dashboards.cached_queries import settings
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.page import html
from dashboards.page_entry import PageEntry
from dashboards.pipeline_tiles import DELAYS, FLOWS, LETTERS, MADE, TOPICS, troubles
from dashboards.session_checks import STAFF, Person
from dashboards.tile import show
from schemas.times import now


def draw(person: Person) -> None:
    """Show the flows and topics as they are now, their course, and the dead letters."""
    html("page_head.html", title="Pipeline", note="from the books by Kafka to verdicts, messages and this page")
    acting.show_said()
    look = look_of(person)
    st.fragment(_live, run_every=settings().dashboard_refresh_s)(look)
    if person.role == "admin":
        pipeline_letters.draw(look)


def _live(look: Look) -> None:
    warning = st.container(key="pipeline-warning")
    flows = show(FLOWS, look)
    topics_at, machine_at = st.columns([1.7, 1], gap="small")
    with topics_at:
        topics = show(TOPICS, look)
    with machine_at:
        pipeline_machine.draw()
    for words in troubles(flows.table, topics.table, now(), pipeline_machine.silent()):
        with warning:
            html("trouble.html", words=words)
    delays_at, made_at = st.columns(2, gap="small")
    with delays_at:
        show(DELAYS, look)
    with made_at:
        show(MADE, look)
    show(LETTERS, look)


PAGE = PageEntry("pipeline", "Pipeline", draw, STAFF, "work", 80)
