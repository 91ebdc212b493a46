"""What was already said: one row per message, written before it is sent and again when its outcome is known.

Kafka and Bytewax hand an event over at least once; after a kill -9 up to a second of them comes again. The row of
a message that was settled answers the repeat. A row that was begun and not settled says: this may have gone out.
"""

import sqlite3
from datetime import datetime
from pathlib import Path

import msgspec

from schemas.notifications import Notification
from schemas.times import from_micros, to_micros

KEPT = 100_000  # rows; repeats reach back a snapshot or so, never that far
SWEEP_EVERY = 1_000  # new rows

TABLE = """
CREATE TABLE IF NOT EXISTS effects (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,    -- of the `notification.recorded` event it becomes
    began INTEGER NOT NULL,     -- microseconds since 1970 UTC: the first try
    notification BLOB           -- JSON; NULL: the outcome is not known yet
) STRICT
"""


class Effects:
    """The table. Used by one thread; other processes may share the file."""

    def __init__(self, path: Path) -> None:
        """Open the file, made on first use. Every statement commits by itself and outlives a kill -9."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Closed and reopened by the loop's thread only, though the first connection may come from another.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes back is said twice, never lost
        self._db.execute("PRAGMA busy_timeout=5000")
        self._db.execute(TABLE)

    def settled(self, id: str) -> Notification | None:
        """The outcome of an effect; None where it is not known."""
        row = self._db.execute("SELECT notification FROM effects WHERE id = ?", (id,)).fetchone()
        return msgspec.json.decode(row[0], type=Notification) if row and row[0] else None

    def begin(self, id: str, moment: datetime) -> datetime | None:
        """Note that an effect is about to happen. Its first try, where there was one before; else None."""
        claim = "INSERT INTO effects (id, began) VALUES (?, ?) ON CONFLICT DO NOTHING"
        if self._db.execute(claim, (id, to_micros(moment))).rowcount:
            return None
        return from_micros(self._db.execute("SELECT began FROM effects WHERE id = ?", (id,)).fetchone()[0])

    def settle(self, id: str, notification: Notification) -> None:
        """Note the outcome, and forget the oldest rows now and then."""
        row = self._db.execute(
            "INSERT INTO effects (id, began, notification) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET notification = excluded.notification RETURNING number",
            (id, to_micros(notification.recorded_at), msgspec.json.encode(notification)),
        ).fetchone()
        if row[0] % SWEEP_EVERY == 0:
            self._db.execute("DELETE FROM effects WHERE number <= ?", (row[0] - KEPT,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
