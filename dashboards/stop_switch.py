"""The switch that stops new payments: what stands, and for administrators a second look before each change."""

from typing import Any

import streamlit as st

from dashboards import acting, chooser, door, formats, staff, stops
from dashboards.acting import REASON_MAX, NotDone
from dashboards.look import Look
from dashboards.page import card, html
from dashboards.page_entry import link
from dashboards.session_checks import Person
from dashboards.stops import EVERYTHING, Stop, name_of
from dashboards.wording import NAMES

MERCHANT = "merchant"
LABELS = {MERCHANT: "One merchant", EVERYTHING: "All sales"}
MEANS = {
    "processor": "New payments go to another processor that can take them. What only this one can take, or what "
    "names it, is refused: the shop is told to try again.",
    MERCHANT: "New payments to this merchant are refused: the shop is told to try again. Its people may log in.",
    EVERYTHING: "Every new payment is refused, of every merchant, at every processor.",
}
GOES_ON = (
    "Captures, refunds and voids",
    "Payers who come back from PayPal",
    "Payments under way, and looking up what has no answer",
)
LEFT_OUT = (
    "Say why: whoever sees it next will ask.",
    "Say which merchant, and why: whoever sees it next will ask.",
)
RESUMED_MEANS = "New payments are taken again from the next request on."


def draw(person: Person, look: Look) -> None:
    """Show what can be stopped and what is, and let administrators change it."""
    is_admin = person.role == "admin"
    with card("switch", "Stop sales", "" if is_admin else "administrators do this", fills=True):
        try:
            found = acting.ask(lambda: stops.standing(door.api()))
        except NotDone:
            return
        by_target = {stop.target(): stop for stop in found}
        merchants = [target for target, stop in by_target.items() if stop.merchant]
        for target in (*NAMES, EVERYTHING, *merchants):
            _line(target, by_target.get(target), person, look)
        if is_admin:
            _offer_merchant()


def _line(target: str, stop: Stop | None, person: Person, look: Look) -> None:
    with st.container(key=f"switch-{target}", horizontal=True, vertical_alignment="center", gap="small"):
        html("switch_line.html", name=name_of(target), said=_said(stop, person, look) if stop else "")
        if person.role != "admin":
            return
        if stop is None:
            _second_look(target)
        elif acting.confirmed(f"resume-{target}", "Resume", f"{name_of(target)}: {RESUMED_MEANS}"):
            path = chooser.at("/v1/stops", stop.id)
            acting.act(lambda: _lifted(path), f"{name_of(target)}: new payments are taken again.")


def _said(stop: Stop, person: Person, look: Look) -> str:
    since = look.shown(stop.stopped_at, seconds=False)
    return f"stopped since {since} by {staff.named(stop.stopped_by, person.id)}: {formats.plain(stop.reason, 200)}"


def _offer_merchant() -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        html("switch_line.html", name=LABELS[MERCHANT], said="")
        _second_look(MERCHANT)
    link("Earlier ones are in the audit", "audit")


def _second_look(target: str) -> None:
    """A button that opens what it means, asks why, and has the one that stops."""
    name = LABELS[target].lower() if target in LABELS else name_of(target)
    with st.popover("Stop…", help=f"Stop {name}"), st.form(f"stop-{target}", border=False):
        kind = target if target in LABELS else "processor"
        html("stop_means.html", name=name, means=MEANS[kind], goes_on=GOES_ON)
        named = _named(target)
        reason = st.text_input("Why", max_chars=REASON_MAX, key=acting.fresh(f"why-{target}")).strip()
        if st.form_submit_button(f"Stop {name} now", type="primary"):
            if reason and all(named.values()):
                _stop(named | {"reason": reason})
            else:
                html("trouble.html", words=LEFT_OUT[target == MERCHANT])


def _named(target: str) -> dict[str, Any]:
    """What the gateway is asked to stop; of a merchant the id is typed, or comes with the address."""
    match target:
        case "merchant":
            given = st.query_params.get(MERCHANT, "")
            return {MERCHANT: st.text_input("The merchant's id", given, placeholder="acc_…").strip()}
        case "all":
            return {EVERYTHING: True}
        case _:
            return {"processor": target}


def _stop(body: dict[str, Any]) -> None:
    try:
        made = acting.ask(lambda: door.api().post("/v1/stops", body, Stop))
    except NotDone:
        return
    stops.standing.clear()
    is_mine = made.reason == body["reason"]
    acting.say(
        f"{made.name()}: no new payments from now on."
        if is_mine
        else f"{made.name()} was stopped already: {made.reason}"
    )
    st.rerun()


def _lifted(path: str) -> None:
    door.api().delete(path)
    stops.standing.clear()
