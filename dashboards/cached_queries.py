"""Queries to the warehouse: each is sent once in a while at most, in bounded time, and its last answer is kept.

What all viewers ask alike is asked once for all of them.
"""

import time
from concurrent.futures import Future
from threading import Lock, Thread

import msgspec
import streamlit as st
import structlog
from cachetools import LRUCache

from connectors.warehouse import QueryFailed, Table, WarehouseAway, WarehouseError, WarehouseReader
from dashboards.settings import DashboardSettings
from schemas.settings import load

PATIENCE_S = 5.0  # for one answer; a page that waits longer looks live and is not
ASK_AGAIN_S = 1.0
CALM_S = (
    15.0  # the same of a long period, which a second changes by less than a pixel and costs the warehouse more
)
KEPT = 100  # queries: those of the tiles, and of the payments looked at last

log = structlog.get_logger()


class CachedAnswer(msgspec.Struct, frozen=True):
    """Rows, when they came (`time.monotonic`, s), and why the newest query failed, if it did.

    `table` is None where there never was an answer.
    """

    table: Table | None
    came_at: float
    trouble: str | None

    @property
    def age_s(self) -> float:
        """How many seconds old the rows are."""
        return time.monotonic() - self.came_at


class PatientReader:
    """Queries in threads, so that a warehouse that hangs (a stopped process, say) does not hang the page.

    DuckDB's own `http_timeout` does not end a query to a stopped process (tried with 2 s: it waited for 25).
    """

    def __init__(self, reader: WarehouseReader) -> None:
        self._reader = reader
        self._overdue: Future[Table] | None = None

    def query(self, sql: str) -> Table:
        """The answer, within `PATIENCE_S`. Raises `WarehouseError`; at once while an older query is overdue."""
        if self._overdue and not self._overdue.done():
            raise WarehouseAway("an older query is still open")
        asked: Future[Table] = Future()
        Thread(target=self._answer, args=(asked, sql), daemon=True).start()
        try:
            return asked.result(PATIENCE_S)
        except TimeoutError:
            self._overdue = asked
            raise WarehouseAway("no answer in time") from None

    def _answer(self, asked: Future[Table], sql: str) -> None:
        try:
            asked.set_result(self._reader.query(sql))
        except Exception as error:  # raised again by `query`, in the thread that asked
            asked.set_exception(error)


class LastAnswers:
    """The last good answer to each of the `KEPT` newest queries, shared by all sessions."""

    def __init__(self) -> None:
        self._answers: LRUCache[str, tuple[Table, float]] = LRUCache(KEPT)
        self._lock = Lock()  # sessions run in threads of their own

    def keep(self, sql: str, table: Table) -> CachedAnswer:
        """A fresh answer. The one that was not asked for the longest time is dropped for it."""
        came_at = time.monotonic()
        with self._lock:
            self._answers[sql] = table, came_at
        return CachedAnswer(table, came_at, None)

    def recall(self, sql: str, trouble: str) -> CachedAnswer:
        """The last answer, to be shown with the `trouble` that prevents a fresh one."""
        with self._lock:
            table, came_at = self._answers.get(sql, (None, time.monotonic()))
        return CachedAnswer(table, came_at, trouble)


@st.cache_resource(show_spinner=False)
def settings() -> DashboardSettings:
    """The settings, read once for all sessions."""
    return load(DashboardSettings)


def ask(sql: str, *, calm: bool = False) -> CachedAnswer:
    """The answer to one tile's query, the same for every session within a second; of a `calm` one, `CALM_S`.

    A query that failed is sent again within a second in either case.
    """
    if not calm:
        return _newest(sql)
    answer = _kept(sql)
    return _newest(sql) if answer.trouble else answer


@st.cache_data(ttl=CALM_S, max_entries=KEPT, show_spinner=False)
def _kept(sql: str) -> CachedAnswer:
    return _newest(sql)


@st.cache_data(ttl=ASK_AGAIN_S, max_entries=KEPT, show_spinner=False)
def _newest(sql: str) -> CachedAnswer:
    try:
        return _last_answers().keep(sql, _reader().query(sql))
    except WarehouseError as error:
        return _last_answers().recall(sql, _trouble(error))


def _trouble(error: WarehouseError) -> str:
    """What the page shows: the trouble passes by itself, or has to be mended."""
    if isinstance(error, WarehouseAway):
        return "The warehouse does not answer."
    log.warning("query.failed", error=str(error))
    if isinstance(error, QueryFailed):
        return "The warehouse could not answer a question of this page."
    return "The warehouse does not let this page in for the moment."


@st.cache_resource(show_spinner=False)
def _reader() -> PatientReader:
    return PatientReader(WarehouseReader(settings(), "dashboard", rows_max=10_000))


@st.cache_resource(show_spinner=False)
def _last_answers() -> LastAnswers:
    return LastAnswers()
