"""Texts that a person saved under names, at the gateway: views of the page Payments, questions of the page SQL."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Found
from dashboards.page import html
from dashboards.page_entry import say_anew
from dashboards.payment_filters import kept, opened

PATH = "/v1/me/saved"
NAME_MAX = 60  # characters, as the gateway takes them
MOST = 100  # of a kind, as the gateway keeps them
NO_SLASH = "A name has no slash in it, and is more than dots."  # it stands in a path

Kind = Literal["payments_view", "sql_question"]


class SavedText(msgspec.Struct, frozen=True):
    """`content`: the query of a view's address, or a statement."""

    name: str
    content: str


def _saved(kind: Kind) -> list[SavedText]:
    """Raises `NotDone`."""
    found: Found[SavedText] = acting.ask(lambda: door.api().get(PATH, Found[SavedText], kind=kind, limit=MOST))
    return found.data


def _at(kind: Kind, name: str) -> str:
    return chooser.at(f"{PATH}/{kind}", name)


def _keep(kind: Kind, name: str, content: str, done: str) -> None:
    if "/" in name or not name.strip("."):
        html("trouble.html", words=NO_SLASH)
        return
    acting.act(lambda: door.api().put(_at(kind, name), {"content": content}), done)


def choose_view() -> None:
    """A menu of the saved views, each opened by a press; to save what is shown, and to remove one."""
    try:
        views = sorted(_saved("payments_view"), key=lambda view: view.name.casefold())
    except NotDone:
        return
    if not views:
        html("nothing.html", words="None yet. Set filters and columns, then give them a name.")
    for view in views:
        with st.container(key=f"view-{view.name}", horizontal=True, vertical_alignment="center", gap="small"):
            key, query = f"open-{view.name}", opened(view.content)
            # A link to the page that one is on would change what is shown, and leave the address as it was.
            st.button(formats.literal(view.name), key=key, type="tertiary", on_click=say_anew, kwargs=query)
            remove = f"Remove {formats.literal(view.name)}"
            st.button(
                "✕", key=f"remove-{view.name}", help=remove, type="tertiary", on_click=partial(_remove, view.name)
            )
    _save_view([view.name for view in views])


def _save_view(names: list[str]) -> None:
    with st.form("save-view", border=False):
        name = st.text_input("Save what is shown as", max_chars=NAME_MAX, key=acting.fresh("view-name")).strip()
        if not st.form_submit_button("Save") or not name:
            return
    done = f"The view “{name}” is {'changed' if name in names else 'saved'}."
    _keep("payments_view", name, kept(st.query_params) or "period=24h", done)


def _remove(name: str) -> None:
    """Runs before the page is drawn."""
    try:
        acting.ask_before(lambda: door.api().delete(_at("payments_view", name)))
    except NotDone:
        return
    acting.say(f"The view “{name}” is removed.")


def questions(statement: str, put: Callable[[str], None]) -> None:
    """Show the saved questions, and a field to save what stands in the editor. `put`: puts a statement there."""
    _save_question(statement)
    try:
        saved = _saved("sql_question")
    except NotDone:
        return
    if not saved:
        html("nothing.html", words="Nothing is saved yet.")
    for one in saved:
        with st.container(
            key=f"line-saved-{one.name}", horizontal=True, vertical_alignment="center", gap="small", wrap=False
        ):
            label = f"**{formats.literal(formats.plain(one.name))}** {formats.literal(formats.plain(one.content))}"
            st.button(
                label, key=f"saved-{one.name}", type="tertiary", width="stretch", on_click=put, args=(one.content,)
            )
            _offer_deletion(one.name)


def _offer_deletion(name: str) -> None:
    if acting.confirmed(f"forget-{name}", "Delete", "It is gone for good, on every page of yours."):
        acting.act(lambda: door.api().delete(_at("sql_question", name)), f"{name} is deleted.")


def _save_question(statement: str) -> None:
    with st.form("save-question", border=False):
        name = st.text_input(
            "Name", max_chars=NAME_MAX, key=acting.fresh("sql-save-name"), placeholder="Refunds of the month"
        ).strip()
        if not st.form_submit_button("Save what stands in the editor"):
            return
    if not name or not statement.strip():
        html("trouble.html", words="It needs a name, and a statement in the editor.")
        return
    _keep("sql_question", name, statement, f"{name} is saved.")
