"""Lists: what is blocked or allowed outright, by whom, why, until when, and how often that decided."""

from datetime import datetime, timedelta
from typing import Any, get_args

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats, list_file, staff
from dashboards.acting import REASON_MAX, NotDone
from dashboards.chooser import Choice
from dashboards.look import Look
from dashboards.look_bar import named
from dashboards.page import card, html
from dashboards.page_entry import PageEntry
from dashboards.session_checks import STAFF, Person
from schemas.lists import LIST_KINDS, ListKind, ListName
from schemas.times import now

ANY = "any"
LISTS: tuple[ListName, ...] = get_args(ListName)
KINDS: dict[ListKind, str] = {
    "card": "Card: an instrument, or the id of a card or a payment",
    "bin": "BIN: the first 6 or 8 digits of cards",
    "customer": "Customer: an account's id",
    "merchant": "Merchant: an account's id",
    "ip": "Address, or a network (/24, or /64 of IPv6)",
    "country": "Country: two letters",
    "device": "Device: its id as payments send it",
}
REMOVED_MEANS = "From the next payment on it decides nothing."
EXPIRY = {"for ever": None, "in a day": 1, "in a week": 7, "in 30 days": 30, "in 90 days": 90, "in a year": 365}


class ShownListing(msgspec.Struct, frozen=True):
    """An entry of a list. `owner`: the account that made it, or renewed it last."""

    id: str
    list: ListName
    kind: ListKind
    value: str
    reason: str
    owner: str
    updated_at: datetime
    hits: int = 0
    expires_at: datetime | None = None


def draw(person: Person) -> None:
    """Show the entries that the filters let through, and one of them beside the list."""
    html("page_head.html", title="Lists", note="blocked or allowed outright, before rules and model")
    acting.show_said()
    with card("lists-filter", "Filter", fills=False):
        query = _filters()
    look = named()
    chosen, listed, shown = chooser.beside("entry", 1)
    try:
        entries, has_more = acting.ask(
            lambda: chooser.found(door.api(), "/v1/lists", ShownListing, "entry", **query)
        )
    except NotDone:
        entries, has_more = [], False
    with listed, card("lists", "Entries", "newest first", fills=False):
        lines = [_line(entry, look) for entry in entries]
        chooser.choose("entry", lines, has_more, "No entry is like that.")
        list_file.take_out(door.api(), query)
    with shown:
        _beside(next((entry for entry in entries if entry.id == chosen), None), person, look)


def _filters() -> dict[str, str]:
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        on = st.selectbox("List", [ANY, *LISTS], key="on-list")
        kind = st.selectbox("Kind", [ANY, *LIST_KINDS], key="of-kind")
        value = st.text_input("Value (of that kind)", key="with-value", disabled=kind == ANY).strip()
        owner = st.text_input("Whose (an account's id)", key="of-owner").strip()
    given = {"list": on, "kind": kind, "value": "" if kind == ANY else value, "owner": owner}
    return {name: each for name, each in given.items() if each and each != ANY}


def _line(entry: ShownListing, look: Look) -> Choice:
    met = f"{formats.count(entry.hits)} {'payment' if entry.hits == 1 else 'payments'}"
    note = f"{met} · {_until(entry, look)} · {entry.reason}"
    return Choice(entry.id, f"{entry.list} {entry.kind} {entry.value}", note, "expired" if _is_over(entry) else "")


def _until(entry: ShownListing, look: Look) -> str:
    return f"until {look.shown(entry.expires_at, seconds=False)}" if entry.expires_at else "for ever"


def _is_over(entry: ShownListing) -> bool:
    return entry.expires_at is not None and entry.expires_at <= now()


def _beside(entry: ShownListing | None, person: Person, look: Look) -> None:
    if entry is not None:
        chooser.back("entry", "Lists")
        with card("listing", formats.plain(entry.value), entry.id, fills=False):
            html("facts.html", facts=_facts(entry, person, look))
            if acting.confirmed(f"remove-{entry.id}", "Remove", REMOVED_MEANS):
                acting.act(lambda: _remove(entry.id), f"{entry.value} is on the {entry.list} list no more.")
    with card("new-listing", "New entry", "what is on that list already is renewed", fills=False):
        _create()
    with card("lists-file", "Many at once", "a CSV file", fills=False):
        list_file.put_in()


def _facts(entry: ShownListing, person: Person, look: Look) -> list[tuple[str, str]]:
    return [
        ("List", entry.list),
        ("Kind", KINDS[entry.kind].partition(":")[0]),
        ("Value", entry.value),
        ("Why", entry.reason),
        ("Owner", staff.named(entry.owner, person.id)),
        ("Counts", "expired" if _is_over(entry) else _until(entry, look)),
        ("Payments it decided", formats.count(entry.hits)),
        ("Since", look.shown(entry.updated_at, seconds=False)),
    ]


def _remove(entry_id: str) -> None:
    door.api().delete(chooser.at("/v1/lists", entry_id))
    chooser.forget("entry")


def _create() -> None:
    with st.form("new-listing", border=False):
        with st.container(horizontal=True, gap="small"):
            on = st.selectbox("Which list", LISTS, key=acting.fresh("new-list"))
            expires = st.selectbox("Expires", list(EXPIRY), index=3, key=acting.fresh("new-expiry"))
        kind = st.selectbox("Which kind", list(KINDS), key=acting.fresh("new-kind"), format_func=KINDS.__getitem__)
        value = st.text_input("Value", key=acting.fresh("new-value"), autocomplete="off").strip()
        reason = st.text_input("Why", key=acting.fresh("new-reason"), max_chars=REASON_MAX).strip()
        if st.form_submit_button("Put it on the list", type="primary"):
            days = EXPIRY[expires]
            body: dict[str, Any] = {"list": on, "kind": kind, "value": value, "reason": reason}
            body |= {"expires_at": (now() + timedelta(days=days)).isoformat()} if days else {}
            done = f"{kind} {value} is on the {on} list, from the next payment on."
            acting.act(lambda: door.api().post("/v1/lists", body), done)


PAGE = PageEntry("lists", "Lists", draw, STAFF, "work", 44)
