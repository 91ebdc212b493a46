"""The file of what the flow must not forget: who was told, what became of it, and (`waiting.py`) what waits.

Kafka and Bytewax deliver at least once: after a kill -9 up to a second of events comes again, after the loss of
the recovery store all of them. An event is taken in once; from then on its messages are this file's alone.
"""

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TextIO, TypeVar

import msgspec

from connectors.records import Out, Record
from schemas.times import now, to_micros

MINUTE_US = 60_000_000

TABLES = """
CREATE TABLE IF NOT EXISTS told (
    id TEXT PRIMARY KEY,        -- of an event that was taken in, or of a message that another file's flow recorded
    minute INTEGER NOT NULL     -- of the event, since 1970 UTC: the same on every repeat
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS told_by_minute ON told (minute);
CREATE TABLE IF NOT EXISTS unpublished (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    record BLOB NOT NULL        -- an `Out`, until Kafka has acknowledged it
) STRICT;
"""

# The table of the first releases: one row for each of the newest 100,000 messages.
TAKE_OVER = f"""
INSERT OR IGNORE INTO told SELECT id, began / {MINUTE_US} FROM effects WHERE notification IS NOT NULL;
DROP TABLE effects;
"""  # noqa: S608 - of a constant

R = TypeVar("R", Out, Record)


class SentLog:
    """The open file. Used by one thread of one process: another one would send the same messages."""

    def __init__(self, path: Path, horizon: timedelta) -> None:
        """Open the file, or create it. Events that were recorded more than `horizon` ago are forgotten.

        Raises `BlockingIOError` where another process has it open.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(path.with_suffix(".lock"))
        # Only the loop's thread closes it, but another thread may have opened it.
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(TABLES)
        if self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'effects'").fetchone():
            self.db.executescript(TAKE_OVER)
        self._horizon, self._forgotten = horizon, 0

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[None]:
        """Write all or nothing. A kill -9 takes nothing back, a power cut only what came after a `durable` one."""
        self.db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def is_complete(self) -> bool:
        """Whether all that was told is known; a new file knows nothing, whatever was told before."""
        return bool(self.db.execute("PRAGMA user_version").fetchone()[0])

    def complete(self, told: Iterable[tuple[str, datetime]]) -> None:
        """Remember what was told according to someone else."""
        self.remember(told)
        self.db.execute("PRAGMA user_version = 1")

    def take_in(self, event_id: str, recorded_at: datetime) -> Literal["new", "known", "forgotten"]:
        """Remember an event. `forgotten`: it is so old that nobody can say whether its messages were sent."""
        if now() - recorded_at > self._horizon:
            return "forgotten"
        return "new" if self.remember([(event_id, recorded_at)]) else "known"

    def remember(self, told: Iterable[tuple[str, datetime]]) -> int:
        """Remember these ids of events or messages with their times; how many of them were not known."""
        rows = [(told_id, to_micros(moment) // MINUTE_US) for told_id, moment in told]
        return self.db.executemany("INSERT OR IGNORE INTO told VALUES (?, ?)", rows).rowcount

    def knows(self, told_id: str) -> bool:
        """Whether an event was taken in, or a message recorded."""
        return self.db.execute("SELECT 1 FROM told WHERE id = ?", (told_id,)).fetchone() is not None

    def forget(self) -> None:
        """Forget the events that are older than the horizon; looks once a minute."""
        oldest = to_micros(now() - self._horizon) // MINUTE_US
        if oldest > self._forgotten:
            self.db.execute("DELETE FROM told WHERE minute < ?", (oldest,))
            self._forgotten = oldest

    def add_outcomes(self, records: Iterable[Out]) -> None:
        """Keep records until they are `published`."""
        rows = [(pack(record),) for record in records]
        self.db.executemany("INSERT INTO unpublished (record) VALUES (?)", rows)

    def outcomes(self, after: int, limit: int) -> list[tuple[int, Out]]:
        """The first records that are not published, with their numbers, beyond the number `after`."""
        query = "SELECT number, record FROM unpublished WHERE number > ? ORDER BY number LIMIT ?"
        return [(number, unpack(Out, packed)) for number, packed in self.db.execute(query, (after, limit))]

    def published(self, numbers: Iterable[int]) -> None:
        """Forget records that Kafka has acknowledged."""
        with self.transaction():
            self.db.executemany("DELETE FROM unpublished WHERE number = ?", [(number,) for number in numbers])

    def close(self) -> None:
        """Close the file."""
        self.db.close()
        self._lock.close()


def pack(record: Out | Record) -> bytes:
    """A record as it is kept in the file."""
    return msgspec.msgpack.encode(record)


def unpack(kind: type[R], packed: bytes) -> R:
    """A record from the file."""
    fields = msgspec.msgpack.decode(packed)  # untyped: msgspec has no decoder for `str | bytes`
    return kind(**fields | {"headers": [(name, value) for name, value in fields["headers"]]})


def _locked(path: Path) -> TextIO:
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise
    return lock
