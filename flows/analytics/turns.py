"""One statement per reader at a time, and none for a while of a reader whose statement brought the process down.

Whatever ends the process (a limit, a crash in DuckDB, a kill), the next one knows from a file who was asking.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import msgspec
import structlog

from flows.analytics.statements import StatementRefused

STARTS_WITHIN_S = 1.0  # from the admission of a statement until DuckDB says that it runs
ONE_AT_A_TIME = "one statement at a time: an earlier one of this reader is still running"
SET_ASIDE = "a statement of this reader took too long or too much memory, or brought the process down"

# A statement is active until its last row is fetched, even where its client is gone.
CONNECTIONS = "SELECT connection_id, state, query FROM quack_active_connections()"

log = structlog.get_logger()


class RunningStatement(msgspec.Struct, frozen=True):
    """A reader's statement that runs now, or whose rows are being fetched, and for how many seconds it has."""

    reader: str
    text: str
    seconds: float


class Turn(msgspec.Struct, frozen=True):
    """A statement that was admitted: on which connection, and when (`time.monotonic`, s).

    `checked`: the text, while it is checked: DuckDB does not run it yet.
    """

    connection_id: str
    began: float
    checked: str | None = None


class Turns:
    """Who is asking now. Any number of threads may use it."""

    def __init__(self, con: duckdb.DuckDBPyConnection, path: Path, refuse_s: float) -> None:
        """`con`: a connection to the served file, of its own. Who stands in the file `path` is refused."""
        self._con, self._path, self._refuse_s = con, path, refuse_s
        self._lock = threading.Lock()
        self._turns: dict[str, Turn] = {}  # by reader
        blamed = _blamed(path)
        self._refused = {reader: time.monotonic() + refuse_s for reader in blamed}  # by reader: until when
        if blamed:
            log.warning("reader.refused", readers=blamed, seconds=refuse_s)

    @contextmanager
    def taken(self, reader: str, connection_id: str, statement: str) -> Iterator[None]:
        """Check a statement inside: it has its reader's turn already, and keeps it where it passes.

        Raises `StatementRefused` where the reader has no turn now.
        """
        self._take(reader, Turn(connection_id, time.monotonic(), statement))
        try:
            yield
        except BaseException:
            self._pass_on(reader, None)
            raise
        self._pass_on(reader, Turn(connection_id, time.monotonic()))

    def _take(self, reader: str, turn: Turn) -> None:
        with self._lock:
            left_s = self._refused.get(reader, 0) - time.monotonic()
            if left_s > 0:
                raise StatementRefused(f"{SET_ASIDE}: try again in {left_s:.0f} s")
            self._free()
            if reader in self._turns:
                raise StatementRefused(ONE_AT_A_TIME)
            self._turns[reader] = turn
            self._save()

    def _pass_on(self, reader: str, turn: Turn | None) -> None:
        """After a check: the turn in which the statement runs, or None."""
        with self._lock:
            if turn is None:
                self._turns.pop(reader, None)
                self._save()
            else:
                self._turns[reader] = turn

    def running(self) -> list[RunningStatement]:
        """The statements that run now, or are checked, the longest first. Raises `duckdb.OutOfMemoryException`."""
        with self._lock:
            active = self._free() if self._turns else {}
            found = [
                RunningStatement(reader, text, time.monotonic() - turn.began)
                for reader, turn in self._turns.items()
                if (text := turn.checked or active.get(turn.connection_id)) is not None
            ]
        return sorted(found, key=lambda statement: -statement.seconds)

    def refuse(self, reader: str) -> None:
        """Refuse a reader for a while, in the next process too; whoever else is asking now is not to blame."""
        with self._lock:
            self._turns.clear()
            self._refused[reader] = time.monotonic() + self._refuse_s
            self._save()

    def _free(self) -> dict[str, str]:
        """Take back the turns of statements that are over; the texts of those that run, by connection."""
        rows = self._con.execute(CONNECTIONS).fetchall()
        active = {connection_id: text for connection_id, state, text in rows if state == "active"}
        about_to = {connection_id for connection_id, state, _ in rows if state == "idle"}
        newest = time.monotonic() - STARTS_WITHIN_S
        over = [
            reader
            for reader, turn in self._turns.items()
            if turn.checked is None
            and turn.connection_id not in active
            and not (turn.connection_id in about_to and turn.began > newest)
        ]
        for reader in over:
            del self._turns[reader]
        if over:
            self._save()
        return active

    def _save(self) -> None:
        still = [reader for reader, until in self._refused.items() if until > time.monotonic()]
        with suppress(OSError):  # a full disk: the next process knows less, and readers are served
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(sorted({*self._turns, *still})))
            fresh.replace(self._path)


def _blamed(path: Path) -> list[str]:
    """The readers in the file; nobody where there is none, or a power cut left half of it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[str])
    except (FileNotFoundError, msgspec.DecodeError):
        return []
