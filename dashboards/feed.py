"""What the warehouse says: each question is asked once a second at most, and the last good answer kept."""

import time

import msgspec
import streamlit as st
import structlog

from connectors.warehouse import QueryFailed, Table, WarehouseAway, WarehouseError, WarehouseReader
from dashboards.asker import Asker
from dashboards.settings import DashboardSettings
from schemas.settings import load

ASK_AGAIN_S = 1.0
KEPT = 100  # questions: those of the tiles, and of the payments looked at last

log = structlog.get_logger()


class Answer(msgspec.Struct, frozen=True):
    """Rows, how many seconds old they are, and what went wrong with the newest question, if anything did.

    `table` is None where there never was an answer.
    """

    table: Table | None
    age_s: float
    trouble: str | None


class Memory:
    """The last good answer to each question. Shared by all sessions."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[Table, float]] = {}

    def keep(self, sql: str, table: Table) -> Answer:
        """A fresh answer. The one not asked for the longest time makes room."""
        self._answers.pop(sql, None)
        self._answers[sql] = table, time.monotonic()
        if len(self._answers) > KEPT:
            del self._answers[next(iter(self._answers))]
        return Answer(table, 0, None)

    def recall(self, sql: str, trouble: str) -> Answer:
        """The answer to show while there is no fresh one."""
        table, at = self._answers.get(sql, (None, time.monotonic()))
        return Answer(table, time.monotonic() - at, trouble)


@st.cache_resource(show_spinner=False)
def settings() -> DashboardSettings:
    """Read once for all sessions."""
    return load(DashboardSettings)


@st.cache_data(ttl=ASK_AGAIN_S, max_entries=KEPT, show_spinner=False)
def ask(sql: str) -> Answer:
    """The answer to one tile's question, the same for every session within a second."""
    try:
        return _memory().keep(sql, _asker().query(sql))
    except WarehouseError as error:
        return _memory().recall(sql, _trouble(error))


def _trouble(error: WarehouseError) -> str:
    """What a person should read: that it will pass, or what has to be mended."""
    if isinstance(error, WarehouseAway):
        return "The warehouse does not answer."
    log.warning("question_failed", error=str(error))
    if isinstance(error, QueryFailed):
        return "The warehouse could not answer a question of this page."
    return "The warehouse does not let this page in for the moment."


@st.cache_resource(show_spinner=False)
def _asker() -> Asker:
    return Asker(WarehouseReader(settings(), "dashboard", rows_max=10_000))


@st.cache_resource(show_spinner=False)
def _memory() -> Memory:
    return Memory()
