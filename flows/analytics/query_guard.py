"""Limits on the readers' statements. DuckDB cannot cancel that of another connection, so the flow restarts.

A restart loses nothing: the offsets are in the file, and the restarted flow resumes from its last commit.
"""

import os
import resource
import threading
from operator import attrgetter
from pathlib import Path
from time import monotonic

import duckdb
import msgspec
import structlog

from flows.analytics.access_control import AccessControl
from flows.analytics.settings import AnalyticsSettings
from schemas.cards import mask_numbers

RESTART = 75  # EX_TEMPFAIL: the supervisor starts the flow again at once
CHECK_EVERY_S = 0.25
COMMIT_WITHIN_S = 2.0

log = structlog.get_logger()

RUNNING = """
SELECT connection_id, query, epoch_us(query_started_at)
FROM quack_active_connections() WHERE query_started_at IS NOT NULL AND state <> 'idle' ORDER BY query_started_at
"""


class RunningStatement(msgspec.Struct, frozen=True):
    """A reader's statement that runs now, and for how many seconds it has."""

    connection_id: str
    text: str
    seconds: float


class RunningTimes:
    """How long statements run, from the look that saw them first: DuckDB knows the wall clock only."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], float] = {}

    def look(self, con: duckdb.DuckDBPyConnection) -> list[RunningStatement]:
        """The statements that run now, the longest running first."""
        rows, moment = con.execute(RUNNING).fetchall(), monotonic()
        self._seen = {(id, began): self._seen.get((id, began), moment) for id, _, began in rows}
        running = [RunningStatement(id, text, moment - self._seen[id, began]) for id, text, began in rows]
        return sorted(running, key=attrgetter("seconds"), reverse=True)


def resident_mb() -> float:
    """Resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def over_limit(
    statements: list[RunningStatement], process_mb: float, settings: AnalyticsSettings
) -> RunningStatement | None:
    """The statement to abort: the longest running one, where it takes too long or the process too much memory."""
    if not statements:
        return None
    too_long = statements[0].seconds > settings.statement_s
    return statements[0] if too_long or process_mb > settings.warehouse_process_mb else None


class QueryGuard:
    """Checks the running statements in its own thread, and ends the process where one is over the limits."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        access: AccessControl,
        settings: AnalyticsSettings,
        commit_lock: threading.RLock,
    ) -> None:
        """`commit_lock` is held during a commit."""
        self._con, self._access, self._settings, self._commit_lock = con, access, settings, commit_lock
        self._statements: list[RunningStatement] = []
        self._times = RunningTimes()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._check, name="query guard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop checking."""
        self._closing.set()
        self._thread.join()

    def out_of_memory(self) -> None:
        """Abort the longest running statement: DuckDB has no memory left for a commit. Returns if none runs."""
        if self._statements:
            self._abort(self._statements[0])

    def _check(self) -> None:
        while not self._closing.wait(CHECK_EVERY_S):
            try:
                self._statements = self._times.look(self._con)
            except duckdb.OutOfMemoryException:
                self.out_of_memory()
            statement = over_limit(self._statements, resident_mb(), self._settings)
            if statement:
                self._abort(statement)

    def _abort(self, statement: RunningStatement) -> None:
        """Lock out the statement's reader and end the process, after the running commit if that ends soon."""
        reader = self._access.reader_of(statement.connection_id)
        log.error(
            "statement.aborted",
            reader=reader,
            seconds=round(statement.seconds, 1),
            process_mb=round(resident_mb()),
            statement=mask_numbers(statement.text[:500]),
        )
        if reader:
            self._access.lock_out(reader, self._settings.refuse_s)
        self._commit_lock.acquire(timeout=COMMIT_WITHIN_S)
        os._exit(RESTART)
