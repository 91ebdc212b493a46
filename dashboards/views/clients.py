"""Clients: programs that ask for tokens; make one, give it another secret, revoke it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Choice
from dashboards.page import card, html
from dashboards.page_entry import ADMINS, PageEntry
from dashboards.session_checks import Person

# What a client may have at most; the gateway says which of them, by whom it acts for.
CLIENT_SCOPES = (
    "payments:read",
    "payments:write",
    "payments:import",
    "refunds:write",
    "cards:read",
    "cards:write",
    "merchants:read",
    "merchants:write",
    "account",
)
OVERLAPS = {"at once": 0, "in an hour": 3600, "in a day": 86_400, "in a week": 604_800}


class Client(msgspec.Struct, frozen=True):
    """A client as an administrator sees it."""

    id: str
    name: str = ""
    type: Literal["confidential", "public"] = "confidential"
    scopes: list[str] = []
    redirect_uris: list[str] = []
    created_at: datetime | None = None
    expires_at: datetime | None = None
    merchant: str | None = None
    revoked: bool = False
    last_used_at: datetime | None = None


class GivenSecret(msgspec.Struct, frozen=True):
    """What the gateway answers once; a public client has no secret."""

    id: str
    secret: str | None = None


def draw(_person: Person) -> None:
    """Show the clients, and one of them beside the list."""
    html("page_head.html", title="Clients", note="programs that ask for tokens")
    acting.show_said()
    _show_secret()
    try:
        clients, has_more = acting.ask(lambda: chooser.found(door.api(), "/v1/clients", Client, "client"))
    except NotDone:
        return
    chosen, listed, shown = chooser.beside("client")
    with listed, card("clients", "Clients", "newest first", fills=False):
        chooser.choose("client", [_line(client) for client in clients], has_more, "There is no client yet.")
    with shown:
        if chosen:
            chooser.back("client", "Clients")
        for client in clients:
            if client.id == chosen:
                _one(client)
        _create()


def _line(client: Client) -> Choice:
    tag = "revoked" if client.revoked else ""
    return Choice(client.id, client.name or client.id, f"{client.type} · {_used(client)}", tag)


def _used(client: Client) -> str:
    return f"last used {formats.moment(client.last_used_at)}" if client.last_used_at else "never used"


def _one(client: Client) -> None:
    with card("client", formats.plain(client.name or client.id), client.id, fills=False):
        html("facts.html", facts=_facts(client))
        if client.revoked:
            return
        path = chooser.at("/v1/clients", client.id)
        with st.container(horizontal=True, gap="small"):
            if client.type == "confidential":
                _rotate(client, path)
            if acting.confirmed(f"revoke-{client.id}", "Revoke", "Its tokens and secrets end at once, for good."):
                acting.act(lambda: door.api().delete(path), f"{client.name or client.id} is revoked.")


def _facts(client: Client) -> list[tuple[str, str]]:
    return [
        ("Type", client.type),
        ("Acts for", client.merchant or "nobody: a service of ours"),
        ("Scopes", ", ".join(client.scopes) or formats.NONE),
        ("Redirects to", ", ".join(client.redirect_uris) or formats.NONE),
        ("Last used", formats.moment(client.last_used_at) if client.last_used_at else "never"),
        ("Since", formats.moment(client.created_at) if client.created_at else formats.NONE),
        ("Expires", formats.moment(client.expires_at) if client.expires_at else "never"),
        ("Revoked", "yes" if client.revoked else "no"),
    ]


def _rotate(client: Client, path: str) -> None:
    with st.popover("New secret"), st.form(f"rotate-{client.id}", border=False):
        overlap = st.selectbox("The old one ends", list(OVERLAPS), index=2)
        if st.form_submit_button("Make it now", type="primary"):
            body = {"overlap_s": OVERLAPS[overlap]}
            _once(
                f"{path}/rotate", body, f"{client.name or client.id} has a new secret; the old one ends {overlap}."
            )


def _create() -> None:
    with (
        card("new-client", "New client", "its secret is shown once", fills=False),
        st.form("new-client", border=False),
    ):
        name = st.text_input("Name", key=acting.fresh("client-name"), autocomplete="off").strip()
        merchant = st.text_input(
            "Merchant (its id; nothing: a service of ours)", key=acting.fresh("client-merchant")
        ).strip()
        scopes = st.multiselect("Scopes", CLIENT_SCOPES, key=acting.fresh("client-scopes"))
        kind = st.selectbox("Type", ["confidential", "public"], key=acting.fresh("client-type"))
        redirects = st.text_area("Redirect addresses, one a line", key=acting.fresh("client-redirects"), height=68)
        expires = st.date_input("Expires", value=None, min_value="today", key=acting.fresh("client-expires"))
        if st.form_submit_button("Create", type="primary"):
            given = {
                "merchant": merchant,
                "redirect_uris": redirects.split(),
                "expires_at": formats.start_of(expires),
            }
            body = {"name": name, "scopes": scopes, "type": kind} | {
                key: value for key, value in given.items() if value
            }
            _once("/v1/clients", body, f"{name} is a client.")


def _once(path: str, body: Mapping[str, object], done: str) -> None:
    """A POST whose answer holds a secret: it is shown the next time the page is drawn, and never again."""
    try:
        given = acting.ask(lambda: door.api().post_once(path, body, GivenSecret))
    except NotDone:
        return
    acting.say(done)
    st.session_state["secret"] = given
    st.rerun()


def _show_secret() -> None:
    given: GivenSecret | None = st.session_state.pop("secret", None)
    if given is None:
        return
    with card("secret", "Client id and secret", "shown now, and never again", fills=False):
        st.code(given.id, language=None)
        if given.secret:
            st.code(given.secret, language=None)
        else:
            html("nothing.html", words="A public client has no secret: it proves itself by PKCE.")


PAGE = PageEntry("clients", "Clients", draw, ADMINS, "administration", 30)
