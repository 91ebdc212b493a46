"""Answers about long periods, which seconds change by less than a pixel: shown as they were, and then renewed.

Of ten million payments such a question may take a second. Only who asks first within `SHOWN_S` waits for it.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import msgspec
from cachetools import LRUCache

from connectors.warehouse import Table

CALM_S = 15.0  # an answer is taken for new
SPARE = 50  # times as long as it took an answer is taken for new: of a core a question costs a fiftieth at most
SHOWN_S = 600.0  # older ones are shown to nobody before there is a new one


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


class CalmAnswers:
    """The last answer to each of the `kept` queries that were asked last; `renew` asks one anew, in a thread."""

    def __init__(self, renew: Callable[[str], CachedAnswer], kept: int) -> None:
        self._renew = renew
        self._kept: LRUCache[str, tuple[CachedAnswer, float]] = LRUCache(kept)  # and how long it took, s
        self._renewing: set[str] = set()
        self._renewer = ThreadPoolExecutor(1, "renewer")  # one after the other: viewers are waited for, not these
        self._lock = Lock()  # sessions run in threads of their own

    def ask(self, sql: str, first: Callable[[str], CachedAnswer]) -> CachedAnswer:
        """The answer; one that is not new any more is renewed for the next look.

        `first` asks where there is none to show, and where the newest query failed.
        """
        with self._lock:
            answer, took_s = self._kept.get(sql, (None, 0.0))
        if answer is None or answer.table is None or answer.trouble or answer.age_s > SHOWN_S:
            return self._keep(sql, first)
        if answer.age_s > max(CALM_S, SPARE * took_s):
            self._begin(sql)
        return answer

    def _keep(self, sql: str, ask: Callable[[str], CachedAnswer]) -> CachedAnswer:
        began = time.monotonic()
        answer = ask(sql)
        took_s = time.monotonic() - began
        with self._lock:
            known, _ = self._kept.get(sql, (None, 0.0))
            if answer.table is None and known is not None:  # there was one, which only this still has
                answer = msgspec.structs.replace(known, trouble=answer.trouble)
            self._kept[sql] = answer, took_s
        return answer

    def _begin(self, sql: str) -> None:
        with self._lock:
            if sql in self._renewing:
                return
            self._renewing.add(sql)
        self._renewer.submit(self._end, sql)

    def _end(self, sql: str) -> None:
        try:
            self._keep(sql, self._renew)
        finally:
            with self._lock:
                self._renewing.discard(sql)
