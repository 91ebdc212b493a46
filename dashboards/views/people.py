"""People: who has an account; make one, change its role, have it read in SQL, disable it."""

from datetime import datetime

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Choice
from dashboards.page import card, html
from dashboards.page_entry import ADMINS, PageEntry
from dashboards.session_checks import ROLES, STAFF, Person
from schemas.accounts import Role

NEW_ROLES: tuple[Role, ...] = ("analyst", "admin", "customer", "merchant")
ALL = "all"
READS = "All payments of all merchants in SQL, without cards and payers, by a token that they make themselves."


class AccountLine(msgspec.Struct, frozen=True):
    """An account as an administrator sees it; an erased one has no e-mail. `reader`: named one, of all in SQL."""

    id: str
    role: Role
    name: str = ""
    email: str | None = None
    email_confirmed: bool = False
    disabled: bool = False
    reader: bool = False
    merchant: str | None = None
    created_at: datetime | None = None

    def called(self) -> str:
        """Its name, or what else there is."""
        return self.name or self.email or self.id


def draw(person: Person) -> None:
    """Show the accounts, and one of them beside the list."""
    html("page_head.html", title="People", note="accounts and their roles")
    acting.show_said()
    chosen, listed, shown = chooser.beside("account")
    with listed, card("people", "Accounts", "newest first", fills=False):
        accounts = _list()
    with shown:
        if chosen:
            chooser.back("account", "Accounts")
            _one(person, {account.id: account for account in accounts}.get(chosen))
        _invite()


def _list() -> list[AccountLine]:
    email = st.text_input("E-mail address", key="email", placeholder="ada@example.com").strip()
    role = st.selectbox("Role", [ALL, *ROLES], key="role")
    query = {"email": email, "role": "" if role == ALL else role}
    try:
        accounts, has_more = acting.ask(
            lambda: chooser.found(door.api(), "/v1/accounts", AccountLine, "account", **query)
        )
    except NotDone:
        return []
    chooser.choose("account", [_line(account) for account in accounts], has_more, "No account is like that.")
    return accounts


def _line(account: AccountLine) -> Choice:
    note = " · ".join(filter(None, [account.role, account.email if account.name else ""]))
    return Choice(account.id, account.called(), note, "disabled" if account.disabled else "")


def _one(person: Person, account: AccountLine | None) -> None:
    if account is None:
        html("trouble.html", words="That account is not in the list: look for its e-mail address.")
        return
    path = chooser.at("/v1/accounts", account.id)
    with card("account", formats.plain(account.called()), account.id, fills=False):
        html("facts.html", facts=_facts(account))
        if account.id == person.id:
            html("nothing.html", words="This is you. Another administrator changes your role, or disables you.")
            return
        _change_role(account, path)
        if account.role not in STAFF:
            _reads(account, path)
        _switch(account, path)


def _facts(account: AccountLine) -> list[tuple[str, str]]:
    confirmed = "" if account.email_confirmed or not account.email else " (not confirmed)"
    return [
        ("E-mail", (account.email or formats.NONE) + confirmed),
        ("Role", f"{account.role}, a person of {account.merchant}" if account.merchant else account.role),
        ("Reads in SQL", _seen(account)),
        ("May log in", "no, disabled" if account.disabled else "yes"),
        ("Since", formats.moment(account.created_at) if account.created_at else formats.NONE),
    ]


def _seen(account: AccountLine) -> str:
    if account.reader:
        return "all payments, without cards and payers"
    if account.role in STAFF:
        return "everything"
    return "its own payments" if account.role == "merchant" else "nothing"


def _change_role(account: AccountLine, path: str) -> None:
    with st.form(f"role-{account.id}", border=False):
        role = st.selectbox("New role", ROLES, index=ROLES.index(account.role))
        if st.form_submit_button("Change role") and role != account.role:
            done = f"{account.called()} is {_article(role)} {role} from the next request on."
            acting.act(lambda: door.api().patch(path, {"role": role}), done)


def _reads(account: AccountLine, path: str) -> None:
    """Name a reader, or unname one."""
    if account.reader:
        if st.button("No reader any more"):
            acting.act(lambda: door.api().patch(path, {"reader": False}), f"{account.called()} is no reader.")
    elif acting.confirmed(f"reader-{account.id}", "Name a reader", READS):
        acting.act(lambda: door.api().patch(path, {"reader": True}), f"{account.called()} is a reader.")


def _switch(account: AccountLine, path: str) -> None:
    """Disable, or enable again."""
    if account.disabled:
        if st.button("Enable again"):
            acting.act(
                lambda: door.api().patch(path, {"disabled": False}), f"{account.called()} may log in again."
            )
    elif acting.confirmed(f"disable-{account.id}", "Disable", "All sessions end at once, and no login is let in."):
        done = f"{account.called()} is disabled."
        acting.act(lambda: door.api().patch(path, {"disabled": True}), done)


def _invite() -> None:
    with (
        card("invite", "New account", "the person sets the password", fills=False),
        st.form("invite", border=False),
    ):
        email = st.text_input("E-mail address", key=acting.fresh("new-email"), autocomplete="off")
        name = st.text_input("Name", key=acting.fresh("new-name"), autocomplete="off")
        role = st.selectbox("Role", NEW_ROLES, key=acting.fresh("new-role"))
        if st.form_submit_button("Create and invite", type="primary"):
            body = {"email": email.strip(), "name": name.strip(), "role": role}
            done = f"{email.strip()} is {_article(role)} {role}, and got a mail with a link to set a password."
            acting.act(lambda: door.api().post("/v1/accounts", body), done)


def _article(role: str) -> str:
    return "an" if role[0] == "a" else "a"


PAGE = PageEntry("people", "People", draw, ADMINS, "administration", 10)
