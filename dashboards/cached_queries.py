"""Queries to the warehouse by what staff may see: each now and then, in bounded time, the last answer kept.

What all of them ask alike is asked once. Pages ask by `dashboards.asking`, which looks at who they are drawn for.
"""

import time
from concurrent.futures import Future
from functools import partial
from threading import Lock, Thread
from typing import Protocol

import streamlit as st
import structlog
from cachetools import LRUCache

from connectors.warehouse import QueryFailed, Table, WarehouseAway, WarehouseError, WarehouseReader
from dashboards.calm_answers import CachedAnswer, CalmAnswers
from dashboards.metrics import METRICS
from dashboards.settings import DashboardSettings
from schemas.settings import load

PATIENCE_S = 5.0  # for one answer; a page that waits longer looks live and is not
BESIDE_S = 1.0  # for one answer while another one is overdue
OVERDUE_MAX = 4  # queries of one reader; with more the warehouse is taken for away
ASK_AGAIN_S = 1.0
ROWS_MAX = 10_000  # of an answer
KEPT = 100  # queries: those of the tiles, and of the payments looked at last
CALM_KEPT = 300  # queries: the tiles of all pages in several periods

log = structlog.get_logger()


class AnyReader(Protocol):
    """What answers queries, as `WarehouseReader` does."""

    def query(self, sql: str, own_token: str | None = None) -> Table:
        """The answer. Raises `WarehouseError`."""
        ...


class PatientReader:
    """Queries in threads, so that a warehouse that hangs (a stopped process, say) does not hang the page.

    DuckDB's own `http_timeout` does not end a query to a stopped process (tried with 2 s: it waited for 25). One
    query that takes too long is away alone; while it is open others have less time, so that a page whose
    warehouse hangs does not wait for each of its tiles.
    """

    def __init__(self, reader: AnyReader) -> None:
        self._reader = reader
        self._overdue: dict[str, Future[Table]] = {}  # by query
        self._lock = Lock()

    def query(self, sql: str, own_token: str | None = None) -> Table:
        """The answer, within `PATIENCE_S`; `own_token`: of the person who asks, where it is not the reader's.

        Raises `WarehouseError`; at once while the same query or `OVERDUE_MAX` others are overdue.
        """
        began, result = time.monotonic(), "failed"
        try:
            table = self._query(sql, own_token)
            result = "answered"
        except WarehouseAway:
            result = "away"
            raise
        finally:
            METRICS.seconds.labels(result).observe(time.monotonic() - began)
        return table

    def _query(self, sql: str, own_token: str | None) -> Table:
        patience_s = self._patience_s(sql)
        asked: Future[Table] = Future()
        Thread(target=self._run, args=(asked, sql, own_token), daemon=True).start()
        try:
            return asked.result(patience_s)
        except TimeoutError:
            with self._lock:
                self._overdue[sql] = asked
            raise WarehouseAway("no answer in time") from None

    def _patience_s(self, sql: str) -> float:
        with self._lock:
            self._overdue = {open_sql: asked for open_sql, asked in self._overdue.items() if not asked.done()}
            if sql in self._overdue or len(self._overdue) >= OVERDUE_MAX:
                raise WarehouseAway("an older query is still open")
            return BESIDE_S if self._overdue else PATIENCE_S

    def _run(self, asked: Future[Table], sql: str, own_token: str | None) -> None:
        try:
            asked.set_result(self._reader.query(sql, own_token))
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


def ask_as_staff(sql: str, *, calm: bool = False) -> CachedAnswer:
    """The answer to one tile's query, the same for all staff within a second; of a `calm` one, for longer.

    A query that failed is sent again within a second in either case.
    """
    return _calm_answers().ask(sql, _newest) if calm else _newest(sql)


@st.cache_data(ttl=ASK_AGAIN_S, max_entries=KEPT, show_spinner=False)
def _newest(sql: str) -> CachedAnswer:
    return _asked(_reader(), _last_answers(), sql)


def _asked(reader: PatientReader, last: LastAnswers, sql: str) -> CachedAnswer:
    try:
        return last.keep(sql, reader.query(sql))
    except WarehouseError as error:
        return last.recall(sql, trouble_of(error))


def trouble_of(error: WarehouseError) -> str:
    """What the page shows: the trouble passes by itself, or has to be mended."""
    if isinstance(error, WarehouseAway):
        return "The warehouse does not answer."
    log.warning("query.failed", error=str(error))
    if isinstance(error, QueryFailed):
        return "The warehouse could not answer a question of this page."
    return "The warehouse does not let this page in for the moment."


@st.cache_resource(show_spinner=False)
def _reader() -> PatientReader:
    return PatientReader(WarehouseReader(settings(), "dashboard", rows_max=ROWS_MAX))


@st.cache_resource(show_spinner=False)
def _last_answers() -> LastAnswers:
    return LastAnswers()


@st.cache_resource(show_spinner=False)
def _calm_answers() -> CalmAnswers:
    return CalmAnswers(partial(_asked, _reader(), _last_answers()), CALM_KEPT)
