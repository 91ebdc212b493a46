"""Which pages there are, who may see each, and the bar that leads to them."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import streamlit as st
from streamlit.navigation.page import Page

from dashboards import door, formats, views
from dashboards.door import Visitor
from dashboards.page import html
from dashboards.page_entry import GROUPS, PageEntry, remember, say_anew
from dashboards.session_checks import Person


def modules() -> list[ModuleType]:
    """The files in `views/`."""
    return [import_module(f"{views.__name__}.{module.name}") for module in iter_modules(views.__path__)]


def found() -> tuple[PageEntry, ...]:
    """The `PAGE` of every file in `views/`, in the order of the bar."""
    entries: list[PageEntry] = [module.PAGE for module in modules()]
    return tuple(sorted(entries, key=lambda entry: (GROUPS.index(entry.group), entry.place)))


# The gateway guards what a page asks of it by the same roles; a page that is missing here gives nobody anything.
ENTRIES = found()


def seen_by(who: Visitor) -> list[PageEntry]:
    """The pages of a visitor."""
    return [entry for entry in ENTRIES if isinstance(who, Person) and who.role in entry.roles]


def pages(who: Visitor) -> dict[str, Page]:
    """Every path with what the visitor finds there: the page, or what stands in its way and no code of it."""
    seen = seen_by(who)
    all_pages = {
        entry.path: st.Page(
            _drawn(entry, who, seen), title=entry.title, url_path=entry.path, default=entry is ENTRIES[0]
        )
        for entry in ENTRIES
    }
    remember({entry.path: all_pages[entry.path] for entry in seen})
    return all_pages


def _drawn(entry: PageEntry, who: Visitor, seen: list[PageEntry]) -> Callable[[], None]:
    if not isinstance(who, Person):
        return lambda: door.draw(who, entry.path)
    if entry not in seen:
        return lambda: door.draw_no_page(who, bool(seen))
    return lambda: entry.draw(who)


def bar(who: Visitor, known: dict[str, Page], here: Page) -> None:
    """Show the links to the pages of a person, and who that is; nothing for others. `here`: where they are."""
    seen = seen_by(who)
    if not seen or not isinstance(who, Person):
        return
    with st.container(key="bar", horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        html("brand.html")
        with st.container(key="links", horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
            for entry in seen:
                if entry.group == "work":
                    _link(entry, known[entry.path], here)
        _administration([entry for entry in seen if entry.group == "administration"], known, here)
        _menu(who, known["sessions"])


def _link(entry: PageEntry, page: Page, here: Page) -> None:
    if page.url_path == here.url_path:
        html("here.html", title=entry.title)  # Streamlit's buttons cannot say that they are the current page
        st.button(entry.title, key="here", type="tertiary", on_click=say_anew)
    else:
        st.page_link(page, label=entry.title)


def _administration(entries: list[PageEntry], known: dict[str, Page], here: Page) -> None:
    """Pages that are looked at now and then stand behind one menu, which says whether one is on such a page."""
    if not entries:
        return
    title = next((entry.title for entry in entries if known[entry.path].url_path == here.url_path), "")
    label, key = f"**{title}**" if title else "Administration", f"pages-{here.url_path}"  # shut on every page anew
    with st.container(key="administration", width="content"), st.popover(label, type="tertiary", key=key):
        for entry in entries:
            _link(entry, known[entry.path], here)


def _menu(who: Person, sessions_page: Page) -> None:
    name = formats.plain(who.name or who.email or who.id, 24)
    label = formats.literal(name)
    with st.container(key="person", width="content"), st.popover(label, type="tertiary"):
        html("who.html", person=who)
        st.page_link(sessions_page, label="Your sessions", icon=":material/devices:")
        if st.button("Log out", icon=":material/logout:", type="tertiary", key="log-out"):
            st.logout()
