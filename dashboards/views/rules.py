"""Rules: what stops payments, and what each rule met; analysts make, change, snooze and remove them here."""

from datetime import UTC, datetime, time
from typing import Any

import streamlit as st

from dashboards import acting, chooser, door, formats, rule_editor, staff, tables, tile
from dashboards.acting import NotDone
from dashboards.fraud_rules import HOLDS, MODES, ShownRule, changed, in_money, names, rule_href, rules
from dashboards.look import Look
from dashboards.look_bar import look_of, named
from dashboards.page import card, html
from dashboards.page_entry import PageEntry
from dashboards.rule_tiles import MET
from dashboards.session_checks import STAFF, Person
from dashboards.tables import Cell, Column, Tone
from dashboards.views.audit import ShownEntry
from schemas.features import Feature

REFRESH_S = 10.0
COLUMNS = [
    Column("Rule"),
    Column("Outcome"),
    Column("Mode"),
    Column("Met", "right"),
    Column("In money", "right", wide=True),
    Column("Changed", wide=True),
]
PAST = [
    Column("Time"),
    Column("What"),
    Column("By", id=True),
    Column("Version", "right"),
    Column("Rule", wide=True),
]
MODE_TONES: dict[str, Tone] = {"live": "succeeded", "shadow": "pending"}
REMOVED_MEANS = "It decides nothing any more, for good. Payments that it met stay as they are."


def draw(person: Person) -> None:
    """Show all rules, or the one that the address names."""
    html("page_head.html", title="Rules", note="what is marked, held or blocked, whatever the model says")
    acting.show_said()
    try:
        known, usable = acting.ask(lambda: (rules(door.api()), names(door.api())))
    except NotDone:
        return
    chosen = st.query_params.get("rule", "")
    if chosen:
        chooser.to_all("rule", "All rules")
        _one(next((rule for rule in known if rule.id == chosen), None), usable, person)
    else:
        _all(known, usable, person)


def _all(known: list[ShownRule], usable: list[Feature], person: Person) -> None:
    look = look_of(person)
    with card("rules", "Rules", "the most severe first; met since each decides as it does", fills=False):
        if known:
            tables.table(COLUMNS, [_line(rule, person, look) for rule in known], "Fraud rules")
        else:
            html("nothing.html", words="There is no rule: the model and the lists alone decide.")
    st.fragment(tile.show, run_every=REFRESH_S)(MET, look)
    with card("new-rule", "New rule", "in shadow it is only noted what it would meet", fills=False):
        rule_editor.create(usable)


def _line(rule: ShownRule, person: Person, look: Look) -> list[Cell | str]:
    return [
        Cell(rule.id, note=formats.plain(rule.expression, 80), href=rule_href(rule.id)),
        Cell(rule.outcome, tone=rule.outcome),
        Cell(rule.mode, tone=MODE_TONES.get(rule.mode, "")),
        formats.count(rule.hits.payments),
        in_money(rule.hits),
        changed(rule, person.id, look),
    ]


def _one(rule: ShownRule | None, usable: list[Feature], person: Person) -> None:
    if rule is None:
        html("nothing.html", words="There is no such rule: it was removed, or never was.")
        return
    look = named()
    left, right = st.columns([1.6, 1], gap="small")
    with left:
        with card("rule", formats.plain(rule.id), f"version {rule.version}", fills=False):
            rule_editor.edit(rule, usable)
        with card("rule-history", "History", "newest first", fills=False):
            _history(rule, person, look)
    with right:
        with card("rule-facts", "Now", rule.mode, fills=False):
            html("facts.html", facts=_facts(rule, person, look))
            if acting.confirmed(f"remove-{rule.id}", "Remove", REMOVED_MEANS):
                acting.act(lambda: _remove(rule.id), f"{rule.id} is removed.")
        with card("snoozes", "Passed over", "customers, each until a date", fills=False):
            _snoozes(rule, look)


def _facts(rule: ShownRule, person: Person, look: Look) -> list[tuple[str, str]]:
    since = look.shown(rule.hits.since, seconds=False) if rule.hits.since else "ever"
    held = [("Held", HOLDS[rule.hold])] if rule.outcome == "review" else []
    return [
        ("Mode", MODES[rule.mode]),
        ("Outcome", rule.outcome),
        *held,
        ("Met", f"{formats.count(rule.hits.payments)} since {since}"),
        ("In money", in_money(rule.hits)),
        ("Changed", changed(rule, person.id, look)),
    ]


def _remove(rule_id: str) -> None:
    door.api().delete(chooser.at("/v1/rules", rule_id))
    chooser.forget("rule")


def _snoozes(rule: ShownRule, look: Look) -> None:
    for number, snoozed in enumerate(rule.snoozed):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            html("row.html", title=snoozed.customer, note=f"until {look.shown(snoozed.until, seconds=False)}")
            if st.button("End", key=f"end-{number}"):
                _snooze(rule, snoozed.customer, None)
    with st.form("snooze", border=False):
        customer = st.text_input("Customer (an account's id)", key=acting.fresh("snoozed")).strip()
        until = st.date_input(
            "Until the end of (UTC)", value="today", min_value="today", key=acting.fresh("until")
        )
        if st.form_submit_button("Pass over"):
            if customer:
                _snooze(rule, customer, datetime.combine(until, time(23, 59, 59), UTC))
            else:
                html("trouble.html", words="Say which customer.")


def _snooze(rule: ShownRule, customer: str, until: datetime | None) -> None:
    body: dict[str, Any] = {"version": rule.version, "customer": customer}
    body["until"] = until.isoformat() if until else None
    path = chooser.at("/v1/rules", rule.id, "/snoozes")
    try:
        after: ShownRule = acting.ask(lambda: door.api().put(path, body, ShownRule))
    except NotDone:
        return
    rule_editor.end_of_snooze(rule, after.version)
    acting.say(f"{customer} is {'passed over' if until else 'not passed over any more'}.")
    st.rerun()


def _history(rule: ShownRule, person: Person, look: Look) -> None:
    """The audit has it, which administrators read; others see who changed it last."""
    if person.role != "admin":
        html("nothing.html", words=f"Changed {changed(rule, person.id, look)}. Administrators see all changes.")
        return
    try:
        entries, has_more = acting.ask(
            lambda: chooser.found(door.api(), "/v1/audit", ShownEntry, "past", subject=rule.id)
        )
    except NotDone:
        return
    if entries:
        tables.table(PAST, [_change(entry, person, look) for entry in entries], "Changes of this rule")
    else:
        html("nothing.html", words="Nobody changed it: it is as a stack starts.")
    chooser.offer_more("past", has_more)


def _change(entry: ShownEntry, person: Person, look: Look) -> list[Cell | str]:
    detail = entry.detail
    said = " · ".join(filter(None, [detail.get("outcome"), detail.get("mode"), detail.get("reason")]))
    return [
        look.shown(entry.at, seconds=False),
        entry.kind.removeprefix("rule_"),
        staff.named(entry.actor, person.id),
        detail.get("version", formats.NONE),
        Cell(detail.get("expression", formats.NONE), note=said),
    ]


PAGE = PageEntry("rules", "Rules", draw, STAFF, "work", 42)
