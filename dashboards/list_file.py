"""Lists as files: many entries in at once, with the lines that were refused, and all of a list out."""

from collections.abc import Mapping
from functools import partial

import msgspec
import streamlit as st

from dashboards import acting, door, formats, tables
from dashboards.acting import NotDone
from dashboards.gateway_calls import Api
from dashboards.page import html
from dashboards.tables import Column
from dashboards.wording import words

FILE_MAX_MB = 16  # as the gateway takes them
SHOWN = 100  # of the lines that were refused
IMPORTED = "lists-imported"
LIKE_THIS = "The first line names the columns: list,kind,value,reason and, if you like, expires_at."


class RefusedLine(msgspec.Struct, frozen=True):
    """A line of a file that was not taken, and why."""

    line: int
    code: str


class ImportedFile(msgspec.Struct, frozen=True):
    """What became of a file: how many lines stand, and the first of those refused."""

    taken: int
    refused: list[RefusedLine] = []
    refused_count: int = 0


def put_in() -> None:
    """Ask for a file, and say what became of the last one."""
    html("asked.html", words=LIKE_THIS)
    file = st.file_uploader("CSV file", type="csv", max_upload_size=FILE_MAX_MB, key=acting.fresh("lists-file"))
    if file is not None and st.button("Put these on the lists", type="primary"):
        _import(file.getvalue())
    imported: ImportedFile | None = st.session_state.get(IMPORTED)
    if imported and imported.refused_count:
        _refused(imported)


def _import(file: bytes) -> None:
    try:
        imported: ImportedFile = acting.ask(lambda: door.api().post_csv("/v1/lists", file, ImportedFile))
    except NotDone:
        return
    st.session_state[IMPORTED] = imported
    taken, refused = formats.count(imported.taken), formats.count(imported.refused_count)
    acting.say(f"Lines of the file that stand: {taken}. Refused: {refused}.")
    st.rerun()


def _refused(imported: ImportedFile) -> None:
    rows = [[formats.count(each.line), words(each.code)] for each in imported.refused[:SHOWN]]
    tables.table([Column("Line", "right"), Column("Refused: why")], rows, "Lines that were refused")
    if imported.refused_count > len(rows):
        more = formats.count(imported.refused_count - len(rows))
        html("asked.html", words=f"And {more} more: mend these and send the file again; what stands is renewed.")


def take_out(api: Api, query: Mapping[str, str]) -> None:
    """A button that takes all entries that the filters let through as a file, made by who was at the page."""
    made = partial(api.get_csv, "/v1/lists", **query)
    st.download_button("CSV", made, "lists.csv", "text/csv", key="lists-csv", type="tertiary", on_click="ignore")
