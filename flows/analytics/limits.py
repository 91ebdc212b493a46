"""Bounds on what readers ask: DuckDB cannot be told to drop another's statement, so the flow restarts.

That is free: offsets stand in the file, and the restarted flow goes on from its last commit.
"""

import os
import resource
import threading
from pathlib import Path

import duckdb
import msgspec
import structlog

from flows.analytics.door import Door
from flows.analytics.settings import AnalyticsSettings
from schemas.cards import mask_numbers

RESTART = 75  # EX_TEMPFAIL: the supervisor starts the flow again at once
LOOK_EVERY_S = 0.25
COMMIT_WITHIN_S = 2.0

log = structlog.get_logger()

RUNNING = """
SELECT connection_id, query, (epoch_ms(now()::TIMESTAMP) - epoch_ms(query_started_at)) / 1000.0
FROM quack_active_connections() WHERE query_started_at IS NOT NULL AND state <> 'idle' ORDER BY query_started_at
"""


class Statement(msgspec.Struct, frozen=True):
    """A statement in work."""

    connection: str
    text: str
    seconds: float


def running(con: duckdb.DuckDBPyConnection) -> list[Statement]:
    """The statements in work, the longest first."""
    return [Statement(*row) for row in con.execute(RUNNING).fetchall()]


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def overrun(statements: list[Statement], process_mb: float, settings: AnalyticsSettings) -> Statement | None:
    """The statement to end: one that takes too long, or the longest one where memory runs out."""
    if statements and (statements[0].seconds > settings.statement_s or process_mb > settings.warehouse_process_mb):
        return statements[0]
    return None


class Watch:
    """Looks at what readers ask, in a thread of its own, and ends the process where one goes over the limits."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, door: Door, settings: AnalyticsSettings, writing: threading.RLock
    ) -> None:
        """`writing` is held while something is committed."""
        self._con, self._door, self._settings, self._writing = con, door, settings, writing
        self._statements: list[Statement] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()
        self._thread.join()

    def out_of_memory(self) -> None:
        """DuckDB has no memory left for our own work: end the longest statement. Returns where there is none."""
        if self._statements:
            self._end(self._statements[0])

    def _look_on(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            try:
                self._statements = running(self._con)
            except duckdb.OutOfMemoryException:
                self.out_of_memory()
            statement = overrun(self._statements, resident_mb(), self._settings)
            if statement:
                self._end(statement)

    def _end(self, statement: Statement) -> None:
        """Refuse its reader for a while and restart, not in the middle of a commit if that takes no longer."""
        reader = self._door.reader(statement.connection)
        log.error(
            "statement_over_limit",
            reader=reader,
            seconds=round(statement.seconds, 1),
            process_mb=round(resident_mb()),
            statement=mask_numbers(statement.text[:500]),
        )
        if reader:
            self._door.refuse(reader, self._settings.refuse_s)
        self._writing.acquire(timeout=COMMIT_WITHIN_S)
        os._exit(RESTART)
