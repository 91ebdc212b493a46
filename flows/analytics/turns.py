"""One statement per account at a time, so many a minute, and none for a while of who brought the process down.

Whatever ends the process (a limit, a crash in DuckDB, a kill), the next one knows from a file who was asking.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import msgspec
import structlog

from flows.analytics.statements import StatementRefused

ONE_AT_A_TIME = "one statement at a time: an earlier one of this reader is still running"
SET_ASIDE = "a statement of this reader took too much memory, or brought the process down"
MINUTE_S = 60.0
ENDED_MAX = 3  # so many statements that took too much memory in a minute set their account aside

log = structlog.get_logger()


class Turn:
    """A statement from its admission until its answer is there; `ended` says why it was interrupted."""

    def __init__(self, account_id: str, text: str) -> None:
        self.account_id, self.text, self.began = account_id, text, time.monotonic()
        self.ended: str | None = None
        self._lock = threading.Lock()
        self._cursor: duckdb.DuckDBPyConnection | None = None

    def seconds(self) -> float:
        """For how many seconds it has been running."""
        return time.monotonic() - self.began

    @contextmanager
    def runs_on(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """It runs on this connection inside, where it can be interrupted."""
        with self._lock:
            self._cursor = cursor
        try:
            yield
        finally:
            with self._lock:
                self._cursor = None

    def interrupt(self, why: str) -> bool:
        """End it, and nothing else; whether that is the first time. Some functions do not heed it."""
        with self._lock:
            first, self.ended = self.ended is None, self.ended or why
            if self._cursor is not None:
                self._cursor.interrupt()
        return first


class Turns:
    """Who is asking now. Any number of threads may use it."""

    def __init__(self, path: Path, refuse_s: float, per_minute: int) -> None:
        """Who stands in the file `path` is refused for a while. `per_minute`: statements of one account."""
        self._path, self._refuse_s, self._per_minute = path, refuse_s, per_minute
        self._lock = threading.Lock()
        self._turns: dict[str, Turn] = {}  # by account
        self._lately: dict[str, deque[float]] = {}  # by account: when it asked, in the last minute
        self._ended: dict[str, deque[float]] = {}  # by account: when it took too much memory
        blamed = _blamed(path)
        self._refused = {account: time.monotonic() + refuse_s for account in blamed}  # until when
        if blamed:
            log.warning("reader.refused", readers=blamed, seconds=refuse_s)

    @contextmanager
    def taken(self, account_id: str, statement: str, *, counted: bool = True) -> Iterator[Turn]:
        """The turn of an account, for what is done inside. Raises `StatementRefused` where it has none now.

        `counted`: it has so many a minute.
        """
        turn = Turn(account_id, statement)
        with self._lock:
            self._admit(turn, counted)
            self._turns[account_id] = turn
            self._save()
        try:
            yield turn
        finally:
            with self._lock:
                if self._turns.get(account_id) is turn:
                    del self._turns[account_id]
                    self._save()

    def running(self) -> list[Turn]:
        """The statements that are checked or run now, the longest running first."""
        with self._lock:
            return sorted(self._turns.values(), key=lambda turn: turn.began)

    def took_too_much(self, account_id: str) -> None:
        """A statement of it was ended for its memory; the third time in a minute it is set aside for a while."""
        with self._lock:
            ended = self._ended.setdefault(account_id, deque(maxlen=ENDED_MAX))
            ended.append(time.monotonic())
            if _of_last_minute(ended) == ENDED_MAX:
                self._refused[account_id] = time.monotonic() + self._refuse_s
                log.warning("reader.refused", readers=[account_id], seconds=self._refuse_s)

    def refuse(self, account_id: str) -> None:
        """Refuse it for a while, in the next process too; whoever else is asking now is not to blame."""
        with self._lock:
            self._turns.clear()
            self._refused[account_id] = time.monotonic() + self._refuse_s
            self._save()

    def _admit(self, turn: Turn, counted: bool) -> None:
        left_s = self._refused.get(turn.account_id, 0) - turn.began
        if left_s > 0:
            raise StatementRefused(f"{SET_ASIDE}: try again in {left_s:.0f} s")
        if turn.account_id in self._turns:
            raise StatementRefused(ONE_AT_A_TIME)
        if counted:
            lately = self._lately.setdefault(turn.account_id, deque(maxlen=self._per_minute))
            if _of_last_minute(lately) == self._per_minute:
                raise StatementRefused(f"{self._per_minute} statements a minute at most: wait a little")
            lately.append(turn.began)

    def _save(self) -> None:
        still = [account for account, until in self._refused.items() if until > time.monotonic()]
        with suppress(OSError):  # a full disk: the next process knows less, and readers are served
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(sorted({*self._turns, *still})))
            fresh.replace(self._path)


def _of_last_minute(moments: deque[float]) -> int:
    """How many of these moments lie in the last minute."""
    since = time.monotonic() - MINUTE_S
    return sum(moment > since for moment in moments)


def _blamed(path: Path) -> list[str]:
    """The accounts in the file; nobody where there is none, or a power cut left half of it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[str])
    except (FileNotFoundError, msgspec.DecodeError):
        return []
