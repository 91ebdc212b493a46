"""Questions that a person saved under a name, kept by the gateway: on every page and computer of theirs."""

from collections.abc import Callable

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Found
from dashboards.page import html

KIND = "sql_question"
PATH = "/v1/me/saved"
NAME_MAX = 60


class SavedQuestion(msgspec.Struct, frozen=True):
    """A statement under its name."""

    name: str
    content: str


def draw(statement: str, put: Callable[[str], None]) -> None:
    """Show what is saved, and a field to save what stands in the editor. `put`: puts a statement there."""
    _save(statement)
    try:
        saved = acting.ask(lambda: door.api().get(PATH, Found[SavedQuestion], kind=KIND, limit=100)).data
    except NotDone:
        return
    if not saved:
        html("nothing.html", words="Nothing is saved yet.")
    for one in saved:
        with st.container(key=f"line-saved-{one.name}", horizontal=True, vertical_alignment="center", gap="small"):
            label = f"**{formats.literal(formats.plain(one.name))}** {formats.literal(formats.plain(one.content))}"
            st.button(label, key=f"saved-{one.name}", type="tertiary", on_click=put, args=(one.content,))
            _offer_deletion(one.name)


def _offer_deletion(name: str) -> None:
    if acting.confirmed(f"forget-{name}", "Delete", "It is gone for good, on every page of yours."):
        acting.act(lambda: door.api().delete(_at(name)), f"{name} is deleted.")


def _save(statement: str) -> None:
    with st.form("save-question", border=False):
        name = st.text_input(
            "Name", max_chars=NAME_MAX, key=acting.fresh("sql-save-name"), placeholder="Refunds of the month"
        ).strip()
        if not st.form_submit_button("Save what stands in the editor"):
            return
    if not name.strip(".") or "/" in name or not statement.strip():  # a name stands in a path
        html("trouble.html", words="It needs a name, without a slash and more than dots, and a statement above.")
        return
    acting.act(lambda: door.api().put(_at(name), {"content": statement}), f"{name} is saved.")


def _at(name: str) -> str:
    return chooser.at(f"{PATH}/{KIND}", name)
