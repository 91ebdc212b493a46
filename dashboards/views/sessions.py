"""One's own sessions: where somebody is logged in as oneself, and an end to that."""

from datetime import datetime
from typing import Literal

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Found
from dashboards.page import card, html
from dashboards.page_entry import STAFF_AND_MERCHANTS, PageEntry
from dashboards.session_checks import Person
from schemas.times import now


class OwnSession(msgspec.Struct, frozen=True):
    """A session as the gateway shows it to its owner."""

    id: str
    kind: Literal["login", "browser", "app"] = "login"
    client: str | None = None
    device: str | None = None
    current: bool = False
    created_at: datetime | None = None
    last_used_at: datetime | None = None


def draw(person: Person) -> None:
    """Show the sessions of the person, each with its end."""
    html("page_head.html", title="Your sessions", note=person.email or "")
    acting.show_said()
    try:
        found = acting.ask(lambda: door.api().get("/v1/me/sessions", Found[OwnSession], limit=100))
    except NotDone:
        return
    with card("sessions", "Logged in", "newest first", fills=False):
        for session in found.data:
            _one(session)


def _one(session: OwnSession) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        html("row.html", title=_title(session), note=_note(session))
        means = "Whoever uses it has to log in again. What came from it ends too."
        if acting.confirmed(f"end-{session.id}", "End", means):
            acting.act(
                lambda: door.api().delete(chooser.at("/v1/me/sessions", session.id)), "That session has ended."
            )


def _title(session: OwnSession) -> str:
    device = session.device or "Unknown device"
    return f"{device} (this one)" if session.current else device


def _note(session: OwnSession) -> str:
    used, made = session.last_used_at, session.created_at
    parts = [session.client or session.kind]
    if made:
        parts.append(f"since {formats.moment(made)}")
    if used:
        parts.append(f"used {formats.age((now() - used).total_seconds())} ago")
    return " · ".join(parts)


PAGE = PageEntry("sessions", "Your sessions", draw, STAFF_AND_MERCHANTS, "own", 10)
