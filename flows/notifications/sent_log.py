"""The log of messages: one row each, written before it is sent and again when its outcome is known.

Kafka and Bytewax deliver at least once: after a kill -9 up to a second of events comes again. A repeat of a
message with an outcome is answered from its row. A row without an outcome says that the message may have gone out.
"""

import sqlite3
from datetime import datetime
from pathlib import Path

import msgspec

from schemas.notifications import Notification
from schemas.times import from_micros, to_micros

KEPT = 100_000  # rows; repeats go back about one snapshot, never this far
SWEEP_EVERY = 1_000  # new rows

# Named `effects` on disk since the first release.
TABLE = """
CREATE TABLE IF NOT EXISTS effects (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,    -- of the message, and of its `notification.recorded` event
    began INTEGER NOT NULL,     -- microseconds since 1970 UTC: the first try
    notification BLOB           -- JSON; NULL: the outcome is not known yet
) STRICT
"""


class SentLog:
    """The table of messages. Used by one thread; other processes may share the file."""

    def __init__(self, path: Path) -> None:
        """Open the file, or create it. Every statement is its own transaction and survives a kill -9."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only the loop's thread closes and reopens it, but another thread may have opened it first.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # a power cut may repeat the last messages, never lose one
        self._db.execute("PRAGMA busy_timeout=5000")
        self._db.execute(TABLE)

    def outcome(self, message_id: str) -> Notification | None:
        """The outcome of a message; None where it is not known."""
        row = self._db.execute("SELECT notification FROM effects WHERE id = ?", (message_id,)).fetchone()
        return msgspec.json.decode(row[0], type=Notification) if row and row[0] else None

    def begin(self, message_id: str, moment: datetime) -> datetime | None:
        """Record that a message is about to be sent. Returns when it was first tried; None on the first try."""
        claim = "INSERT INTO effects (id, began) VALUES (?, ?) ON CONFLICT DO NOTHING"
        if self._db.execute(claim, (message_id, to_micros(moment))).rowcount:
            return None
        return from_micros(self._db.execute("SELECT began FROM effects WHERE id = ?", (message_id,)).fetchone()[0])

    def record(self, message_id: str, notification: Notification) -> None:
        """Record the outcome of a message, and delete the oldest rows every `SWEEP_EVERY` messages."""
        row = self._db.execute(
            "INSERT INTO effects (id, began, notification) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET notification = excluded.notification RETURNING number",
            (message_id, to_micros(notification.recorded_at), msgspec.json.encode(notification)),
        ).fetchone()
        if row[0] % SWEEP_EVERY == 0:
            self._db.execute("DELETE FROM effects WHERE number <= ?", (row[0] - KEPT,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
