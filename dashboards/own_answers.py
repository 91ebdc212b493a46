"""What a merchant's people ask: in the process `sql`, by the access token of their login.

So the warehouse itself narrows them to their own rows and columns (`flows/analytics/policy.toml`), whatever a page
asks. Their limits there are those of the page SQL too: one statement at a time, and so many a minute. Tiles
therefore ask seldom, and one after the other.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import streamlit as st
from cachetools import LRUCache

from connectors.warehouse import QueryRefused, Table, WarehouseError, WarehouseReader
from dashboards.cached_queries import ROWS_MAX, PatientReader, settings, trouble_of
from dashboards.calm_answers import CachedAnswer
from dashboards.session_checks import Person

ASK_AGAIN_S = 10.0
KEPT = 2_000  # answers, of all persons
PERSONS_KEPT = 1_000
TURN_S = 2.0  # so long somebody waits until an earlier question of theirs is answered
BUSY = "The warehouse takes no question of yours now: one at a time, and so many a minute."

Key = tuple[str, str, str]  # person, merchant, query


class OwnAnswers:
    """Answers of the last `ASK_AGAIN_S`, each for one person and the merchant they act for."""

    def __init__(self, reader: WarehouseReader) -> None:
        self._reader = reader
        self._kept: LRUCache[Key, tuple[Table, float]] = LRUCache(KEPT)
        self._readers: LRUCache[str, PatientReader] = LRUCache(PERSONS_KEPT)
        self._turns: LRUCache[str, Lock] = LRUCache(PERSONS_KEPT)
        self._lock = Lock()  # sessions run in threads of their own

    def ask(self, sql: str, person: Person, token: str) -> CachedAnswer:
        """The answer by what the person sees who has the `token`, as old as `ASK_AGAIN_S` at most."""
        key = (person.id, person.merchant.id if person.merchant else "", sql)
        if answer := self._fresh(key):
            return answer
        with self.turn(person.id):
            return self._fresh(key) or self._asked(key, token)

    @contextmanager
    def turn(self, person_id: str) -> Iterator[None]:
        """Wait for an earlier question of the person, `TURN_S` at most, and have the next one wait."""
        with self._lock:
            turn = self._turns.setdefault(person_id, Lock())
        is_ours = turn.acquire(timeout=TURN_S)
        try:
            yield
        finally:
            if is_ours:
                turn.release()

    def _asked(self, key: Key, token: str) -> CachedAnswer:
        person_id, _, sql = key
        with self._lock:
            reader = self._readers.setdefault(person_id, PatientReader(self._reader))
        try:
            table = reader.query(sql, token)
        except WarehouseError as error:
            trouble = BUSY if isinstance(error, QueryRefused) else trouble_of(error)
            return CachedAnswer(*self._last(key), trouble)
        came_at = time.monotonic()
        with self._lock:
            self._kept[key] = table, came_at
        return CachedAnswer(table, came_at, None)

    def _fresh(self, key: Key) -> CachedAnswer | None:
        answer = CachedAnswer(*self._last(key), None)
        return answer if answer.table and answer.age_s < ASK_AGAIN_S else None

    def _last(self, key: Key) -> tuple[Table | None, float]:
        """The last answer, and when it came."""
        with self._lock:
            return self._kept.get(key, (None, time.monotonic()))


@st.cache_resource(show_spinner=False)
def own_answers() -> OwnAnswers:
    """Those of this process."""
    return OwnAnswers(WarehouseReader(settings(), "sql", rows_max=ROWS_MAX, own_token=""))
