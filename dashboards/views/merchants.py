"""Merchants: who sells, who acts for whom, and the switch that stops one with all it has."""

from datetime import datetime
from typing import get_args

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Choice, Found
from dashboards.page import card, html
from dashboards.page_entry import ADMINS, PageEntry
from dashboards.session_checks import Person
from schemas.accounts import MerchantRole

MERCHANT_ROLES: tuple[MerchantRole, ...] = get_args(MerchantRole)
MAY = {
    "owner": "also clients and people",
    "operator": "captures and refunds",
    "viewer": "only reads",
}
SUSPENDED_MEANS = "Its payments, logins and clients are refused from the next request on. What is captured stays."


class MerchantLine(msgspec.Struct, frozen=True):
    """An account of the role `merchant`: one that sells, or a person of the `merchant` that it names."""

    id: str
    name: str = ""
    email: str | None = None
    merchant: str | None = None


class ShownMerchant(msgspec.Struct, frozen=True):
    """A merchant as an administrator sees it."""

    id: str
    name: str
    origins: list[str] = []
    return_urls: list[str] = []
    suspended: bool = False
    suspended_reason: str | None = None
    created_at: datetime | None = None


class ActingPerson(msgspec.Struct, frozen=True):
    """Somebody who acts for a merchant; `id` is the account's."""

    id: str
    role: MerchantRole
    email: str | None = None
    name: str = ""
    status: str = ""  # `invited` until they set a password


def draw(_person: Person) -> None:
    """Show the merchants, and one of them beside the list."""
    html("page_head.html", title="Merchants", note="who sells, and who acts for them")
    acting.show_said()
    chosen, listed, shown = chooser.beside("merchant")
    with listed, card("merchants", "Merchants", "newest first", fills=False):
        _list()
    with shown:
        if chosen:
            chooser.back("merchant", "Merchants")
            _one(chosen)
        _create()


def _list() -> None:
    try:
        merchants, has_more = acting.ask(
            lambda: chooser.found(door.api(), "/v1/accounts", MerchantLine, "merchant", role="merchant")
        )
    except NotDone:
        return
    lines = [Choice(one.id, one.name or one.id, one.email or one.id) for one in merchants if one.merchant is None]
    chooser.choose("merchant", lines, has_more, "There is no merchant yet.")


def _one(merchant_id: str) -> None:
    path = chooser.at("/v1/merchants", merchant_id)
    try:
        merchant = acting.ask(lambda: door.api().get(path, ShownMerchant))
    except NotDone:
        return
    with card("merchant", formats.plain(merchant.name), merchant.id, fills=False):
        html("facts.html", facts=_facts(merchant))
        _switch(merchant, path)
    with card("merchant-people", "People", "who log in and act for it", fills=False):
        _people(merchant, f"{path}/people")


def _facts(merchant: ShownMerchant) -> list[tuple[str, str]]:
    state = f"suspended: {merchant.suspended_reason or 'no reason was given'}" if merchant.suspended else "active"
    return [
        ("State", state),
        ("Origins", ", ".join(merchant.origins) or formats.NONE),
        ("Return addresses", ", ".join(merchant.return_urls) or formats.NONE),
        ("Since", formats.moment(merchant.created_at) if merchant.created_at else formats.NONE),
    ]


def _switch(merchant: ShownMerchant, path: str) -> None:
    """Suspend with a reason, or resume."""
    if merchant.suspended:
        if st.button("Resume"):
            acting.act(lambda: door.api().patch(path, {"suspended": False}), f"{merchant.name} may sell again.")
        return
    with st.popover("Suspend"), st.form(f"suspend-{merchant.id}", border=False):
        html("nothing.html", words=SUSPENDED_MEANS)
        reason = st.text_input("Reason", max_chars=500).strip()
        if st.form_submit_button("Suspend now", type="primary"):
            if not reason:
                html("trouble.html", words="Say why: the merchant will ask.")
                return
            body = {"suspended": True, "reason": reason}
            acting.act(lambda: door.api().patch(path, body), f"{merchant.name} is suspended.")


def _people(merchant: ShownMerchant, path: str) -> None:
    try:
        people = acting.ask(lambda: door.api().get(path, Found[ActingPerson], limit=100)).data
    except NotDone:
        return
    for one in people:
        _person(one, path)
    with st.form(f"add-{merchant.id}", border=False):
        email = st.text_input(
            "E-mail address", key=acting.fresh(f"add-email-{merchant.id}"), autocomplete="off"
        ).strip()
        role = st.selectbox("Role", MERCHANT_ROLES, index=2, format_func=lambda role: f"{role}: {MAY[role]}")
        if st.form_submit_button("Add"):
            done = f"{email} acts for {merchant.name} as {role}, and got a mail."
            acting.act(lambda: door.api().post(path, {"email": email, "role": role}), done)


def _person(one: ActingPerson, path: str) -> None:
    called = one.email or one.name or one.id
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        html("row.html", title=called, note=" · ".join(filter(None, [one.role, one.status])))
        if acting.confirmed(f"remove-{one.id}", "Remove", f"{called} loses all access to this merchant."):
            acting.act(lambda: door.api().delete(chooser.at(path, one.id)), f"{called} is removed.")


def _create() -> None:
    with (
        card("new-merchant", "New merchant", "without a login; add people afterwards", fills=False),
        st.form("new", border=False),
    ):
        name = st.text_input("Name", key=acting.fresh("merchant-name"), autocomplete="off").strip()
        origins = st.text_area("Origins of its pages, one a line", key=acting.fresh("merchant-origins"), height=68)
        if st.form_submit_button("Create", type="primary"):
            body = {"name": name, **({"origins": origins.split()} if origins.strip() else {})}
            acting.act(lambda: door.api().post("/v1/merchants", body), f"{name} is a merchant.")


PAGE = PageEntry("merchants", "Merchants", draw, ADMINS, "administration", 20)
