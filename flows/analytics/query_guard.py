"""Limits on the readers' statements. DuckDB cannot cancel that of another connection, so the process ends.

That loses nothing: the offsets are in the file, and the process started next resumes from its last commit.
"""

import os
import resource
import threading
from pathlib import Path

import duckdb
import structlog

from connectors.lasting import LastingThread
from flows.analytics.settings import SqlSettings
from flows.analytics.turns import RunningStatement, Turns
from schemas.cards import mask_numbers

RESTART = 75  # EX_TEMPFAIL: the supervisor starts the process again at once
CHECK_EVERY_S = 0.05  # a look costs nothing while nobody asks
COMMIT_WITHIN_S = 2.0

NICE = 10
RESIDENT, DATA = 1, 5  # fields of /proc/self/statm
THREADS_MAX = 160  # Quack has 128, which begin after it serves
STACK = 8 * 2**20  # bytes, of a thread where there is no limit

log = structlog.get_logger()


def resident_mb() -> float:
    """Resident memory of this process, in MB."""
    return _statm_mb(RESIDENT)


def bound_memory(mb: int) -> None:
    """Let this process grow by so many MB and no more: a statement takes memory faster than it is looked at.

    The stacks of threads that have yet to begin are not counted.
    """
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    to_begin = max(0, THREADS_MAX - len(list(Path("/proc/self/task").iterdir())))
    limit = int((_statm_mb(DATA) + mb) * 2**20) + to_begin * (STACK if stack == resource.RLIM_INFINITY else stack)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # of what it may write to, not of mere addresses


def step_back() -> None:
    """Let payments, and whoever else is on this machine, go before this thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _statm_mb(field: int) -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[field])
    return pages * resource.getpagesize() / 2**20


def over_limit(
    statements: list[RunningStatement], process_mb: float, settings: SqlSettings
) -> RunningStatement | None:
    """The statement to abort: the longest running one, where it takes too long or the process too much memory."""
    if not statements:
        return None
    too_long = statements[0].seconds > settings.statement_s
    return statements[0] if too_long or process_mb > settings.sql_process_mb else None


class QueryGuard:
    """Checks the running statements in its own thread, and ends the process where one is over the limits."""

    def __init__(self, turns: Turns, settings: SqlSettings, commit_lock: threading.RLock) -> None:
        """`commit_lock` is held during a commit."""
        self._turns, self._settings, self._commit_lock = turns, settings, commit_lock
        self._statements: list[RunningStatement] = []
        self._closing = threading.Event()
        self._thread = LastingThread(self._check, "query guard", self._closing)

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
                self._statements = self._turns.running()
            except duckdb.OutOfMemoryException:
                self.out_of_memory()
            except duckdb.FatalException:
                raise  # the file has to be opened anew
            except duckdb.Error as error:  # such as a full disk: what ran a moment ago is what is known
                log.warning("statements.unknown", reason=type(error).__name__)
            statement = over_limit(self._statements, resident_mb(), self._settings)
            if statement:
                self._abort(statement)

    def _abort(self, statement: RunningStatement) -> None:
        """Refuse the statement's reader and end the process, after the running commit if that ends soon."""
        log.error(
            "statement.aborted",
            reader=statement.reader,
            seconds=round(statement.seconds, 1),
            process_mb=round(resident_mb()),
            statement=mask_numbers(statement.text[:500]),
        )
        self._turns.refuse(statement.reader)
        self._commit_lock.acquire(timeout=COMMIT_WITHIN_S)
        os._exit(RESTART)
