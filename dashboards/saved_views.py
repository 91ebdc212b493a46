"""Views of the page Payments that a person saved under a name: kept at the gateway, found on any browser."""

from functools import partial

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Found
from dashboards.page import html
from dashboards.page_entry import link
from dashboards.payment_filters import kept, opened

KIND = "payments_view"
NAME_MAX = 60  # characters, as the gateway takes them
MOST = 100
NO_SLASH = "A name has no slash in it, and is more than dots."  # it stands in a path


class NamedView(msgspec.Struct, frozen=True):
    """A view: `content` is the query of its address."""

    name: str
    content: str


def choose_view() -> None:
    """A menu of the saved views, each a link; to save what is shown, and to remove one."""
    try:
        found = acting.ask(lambda: door.api().get("/v1/me/saved", Found[NamedView], kind=KIND, limit=MOST))
    except NotDone:
        return
    views = sorted(found.data, key=lambda view: view.name.casefold())
    if not views:
        html("nothing.html", words="None yet. Set filters and columns, then give them a name.")
    for view in views:
        with st.container(key=f"view-{view.name}", horizontal=True, vertical_alignment="center", gap="small"):
            link(formats.literal(view.name), "payments", None, **opened(view.content))
            remove = f"Remove {formats.literal(view.name)}"
            st.button(
                "✕", key=f"remove-{view.name}", help=remove, type="tertiary", on_click=partial(_remove, view.name)
            )
    _save([view.name for view in views])


def _save(names: list[str]) -> None:
    with st.form("save-view", border=False):
        name = st.text_input("Save what is shown as", max_chars=NAME_MAX, key=acting.fresh("view-name")).strip()
        if not st.form_submit_button("Save") or not name:
            return
    if "/" in name or not name.strip("."):
        html("trouble.html", words=NO_SLASH)
        return
    content = {"content": kept(st.query_params) or "period=24h"}
    done = f"The view “{name}” is {'changed' if name in names else 'saved'}."
    acting.act(lambda: door.api().put(chooser.at(f"/v1/me/saved/{KIND}", name), content), done)


def _remove(name: str) -> None:
    """Runs before the page is drawn."""
    try:
        acting.ask_before(lambda: door.api().delete(chooser.at(f"/v1/me/saved/{KIND}", name)))
    except NotDone:
        return
    acting.say(f"The view “{name}” is removed.")
