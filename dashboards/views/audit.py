"""Audit: who did what, from the chain of entries that nobody can alter unseen."""

from datetime import datetime
from typing import get_args

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.page import card, html
from dashboards.page_entry import ADMINS, PageEntry
from dashboards.session_checks import Person
from schemas.accounts import ActKind

ANY = "any"
KINDS: tuple[ActKind, ...] = get_args(ActKind)


class ShownEntry(msgspec.Struct, frozen=True):
    """An entry of the chain; `id` counts from 1, `actor` is empty where nobody is known."""

    id: int
    kind: str
    at: datetime
    actor: str = ""
    subject: str = ""
    detail: dict[str, str] = {}


class AuditLine(msgspec.Struct, frozen=True):
    """An entry as it is shown."""

    number: str
    time: str
    kind: str
    actor: str
    subject: str
    detail: str


def draw(_person: Person) -> None:
    """Show the entries that the filters let through, newest first."""
    html("page_head.html", title="Audit", note="who did what; times are UTC")
    with card("filters", "Filter", fills=False):
        query = _filters()
    with card("entries", "Entries", "newest first", fills=False):
        try:
            entries, has_more = acting.ask(
                lambda: chooser.found(door.api(), "/v1/audit", ShownEntry, "entry", **query)
            )
        except NotDone:
            return
        html("audit.html", lines=[line(entry) for entry in entries])
        chooser.offer_more("entry", has_more)


def _filters() -> dict[str, str]:
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        kind = st.selectbox("What", [ANY, *KINDS], key="kind", format_func=lambda kind: kind.replace("_", " "))
        actor = st.text_input("Who (an account or client id)", key="actor").strip()
        subject = st.text_input("About (an id)", key="subject").strip()
        since = st.date_input("From", value=None, key="since")
    start = formats.start_of(since)
    filters = {
        "kind": "" if kind == ANY else kind,
        "actor": actor,
        "subject": subject,
        "after": start.isoformat() if start else "",
    }
    return {name: value for name, value in filters.items() if value}


def line(entry: ShownEntry) -> AuditLine:
    """The line of an entry."""
    return AuditLine(
        str(entry.id),
        formats.moment(entry.at),
        entry.kind.replace("_", " "),
        entry.actor or formats.NONE,
        entry.subject or formats.NONE,
        ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in entry.detail.items()),
    )


PAGE = PageEntry("audit", "Audit", draw, ADMINS, "administration", 40)
