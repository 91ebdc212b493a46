"""Limits on the readers' statements: one that is over them is interrupted, and the others go on.

Some functions of DuckDB heed no interruption, and some take memory faster than anybody looks. Then the process
ends. That loses nothing: the offsets are in the file, and the process started next resumes from its last commit.
"""

import os
import threading
import time

import duckdb
import structlog

from connectors.lasting import LastingThread
from flows.analytics.answers import Answers
from flows.analytics.own_process import RESTART, resident_mb
from flows.analytics.query_log import without_literals
from flows.analytics.settings import SqlSettings
from flows.analytics.turns import Turn, Turns

CHECK_EVERY_S = 0.05  # a look costs little, and nothing while nobody asks
COMMIT_WITHIN_S = 2.0
HEEDS_WITHIN_S = 3.0  # an interruption, after the time of the statement is over
EASED = 0.8  # of the memory that ends the process: from there on the newest statement is interrupted
TOO_MUCH_MEMORY = "the statement took too much memory, or others did at the moment"

log = structlog.get_logger()


class QueryGuard:
    """Checks the running statements in its own thread: interrupts what is over the limits, or ends the process."""

    def __init__(
        self, turns: Turns, answers: Answers, settings: SqlSettings, commit_lock: threading.RLock
    ) -> None:
        """`commit_lock` is held during a commit."""
        self._turns, self._answers, self._settings, self._commit_lock = turns, answers, settings, commit_lock
        self._closing = threading.Event()
        self._thread = LastingThread(self._check, "query guard", self._closing)

    def close(self) -> None:
        """Stop checking."""
        self._closing.set()
        self._thread.join()

    def free_memory(self) -> bool:
        """End all statements: DuckDB has no memory left for a commit. Whether any ran; returns once none does."""
        running = self._turns.running()
        for turn in running:
            self._end(turn, TOO_MUCH_MEMORY)
        give_up = time.monotonic() + HEEDS_WITHIN_S
        while any(turn in running for turn in self._turns.running()):
            if time.monotonic() > give_up:
                self._abort(running[0])
            time.sleep(CHECK_EVERY_S)
        return bool(running)

    def _check(self) -> None:
        while not self._closing.wait(CHECK_EVERY_S):
            running = self._turns.running()
            for turn in running:
                if turn.seconds() > self._settings.statement_s:
                    self._end(turn, f"the statement took longer than {self._settings.statement_s:g} s")
            if running:
                self._check_memory(running)

    def _check_memory(self, running: list[Turn]) -> None:
        used_mb = resident_mb()
        if used_mb > self._settings.sql_process_mb:
            self._abort(running[-1])
        if used_mb > self._settings.sql_process_mb * EASED or self._answers_are_large():
            self._end(running[-1], TOO_MUCH_MEMORY)

    def _answers_are_large(self) -> bool:
        """Whether answers take all that they may, with those that are being made."""
        try:
            return self._answers.are_large()
        except duckdb.FatalException:
            raise  # the file has to be opened anew
        except duckdb.Error as error:
            log.warning("statements.unknown", reason=type(error).__name__)
            return False

    def _end(self, turn: Turn, why: str) -> None:
        """Interrupt a statement, and end the process where that does not help."""
        if turn.interrupt(why):
            _tell("statement.interrupted", turn)
            if why == TOO_MUCH_MEMORY:
                self._turns.took_too_much(turn.account_id)
        if turn.seconds() > self._settings.statement_s + HEEDS_WITHIN_S:
            self._abort(turn)

    def _abort(self, turn: Turn) -> None:
        """Refuse the statement's account and end the process, after the running commit if that ends soon."""
        _tell("statement.aborted", turn)
        self._turns.refuse(turn.account_id)
        self._commit_lock.acquire(timeout=COMMIT_WITHIN_S)
        os._exit(RESTART)


def _tell(event: str, turn: Turn) -> None:
    log.warning(
        event,
        reader=turn.account_id,
        seconds=round(turn.seconds(), 1),
        process_mb=round(resident_mb()),
        statement=without_literals(turn.text)[:500],
    )
