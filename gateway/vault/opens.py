"""Which operations have opened a card, and how many may in a second: a file beside the audit, made from it.

It also knows which head of the books' audit was kept last.

The audit's entries are what counts. This file finds an operation among a year of them at once; it is not synced,
and what a power cut took from it is read from the audit again. It also remembers where the audit ended, so that a
tail that was cut off while no vault ran is noticed at the next start. `call` in it is an `Opening.mark`.
"""

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Literal, NamedTuple

from gateway.vault.audit_chain import GENESIS, AuditEntry, Head, heads_in
from schemas.ids import letters
from schemas.times import to_micros

REPEAT_US = 60_000_000  # so long after an open its caller may ask again for the reply: no lease lasts longer
MARK_BYTES = 8

# NORMAL: a commit waits for no disk, and survives everything but a power cut.
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000")
TABLES = """
CREATE TABLE IF NOT EXISTS opens (
    operation TEXT PRIMARY KEY, n INTEGER NOT NULL, card TEXT NOT NULL, call BLOB NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS opens_n ON opens (n);
CREATE TABLE IF NOT EXISTS tip (
    one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS books (
    one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL, hash TEXT NOT NULL
) STRICT;
"""

WhyNot = Literal["spent", "other_card", "too_fast"]


class Opening(NamedTuple):
    """An operation that asks for a card. `call` is the same where its caller repeats it for want of a reply."""

    operation_id: str
    card_id: str
    owner_id: str
    call: bytes

    def mark(self) -> str | None:
        """What the call is known again by, which repeats nothing for whoever reads it; None where it has none."""
        return letters(hashlib.sha256(self.call).digest()[:MARK_BYTES]) if self.call else None


class Opens:
    """The file, in a transaction from `begin` to `commit` or `undo`. Of one thread; raises `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        self._conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in PRAGMAS:
            self._conn.execute(f"PRAGMA {pragma}")
        self._conn.executescript(TABLES)

    def begin(self) -> None:
        """Begin a transaction."""
        self._conn.execute("BEGIN IMMEDIATE")

    def commit(self, tip: Head) -> None:
        """Keep what was added, and that the audit ends at `tip`."""
        self._conn.execute("INSERT OR REPLACE INTO tip (one, n, hash) VALUES (1, ?, ?)", tip)
        self._conn.execute("COMMIT")

    def undo(self) -> None:
        """Forget what was added since `begin`."""
        if self._conn.in_transaction:  # SQLite itself rolls back where the disk is full
            self._conn.execute("ROLLBACK")

    def refusal(self, asked: Opening, now: int) -> WhyNot | Literal["repeated"] | None:
        """Why an operation may not open a card, by what it opened before. `now`: microseconds by the wall clock.

        `repeated`: it is the same call once more, soon after, and may have its reply again.
        """
        row = self._conn.execute(
            "SELECT card, call, at FROM opens WHERE operation = ?", (asked.operation_id,)
        ).fetchone()
        if row is None:
            return None
        card_id, mark, at = row
        if card_id != asked.card_id:
            return "other_card"
        is_repeated = mark != b"" and mark == (asked.mark() or "").encode()
        return "repeated" if is_repeated and abs(now - at) <= REPEAT_US else "spent"

    def add(self, operation_id: str, card_id: str, mark: str | None, n: int, at: int) -> None:
        """Remember that an operation opened a card at `at`, by the audit's entry `n`."""
        self._conn.execute(
            "INSERT OR IGNORE INTO opens (operation, n, card, call, at) VALUES (?, ?, ?, ?, ?)",
            (operation_id, n, card_id, (mark or "").encode(), at),
        )

    def catch_up(self, entries: Iterable[AuditEntry]) -> None:
        """Remember opens and heads of entries that were written and then lost here, by a kill or a power cut."""
        for entry in entries:
            if entry.event == "audit.head" and entry.result == "ok":
                self.keep_books_head(heads_in(entry)[-1])
            if entry.event == "card.open" and entry.result == "ok":
                self.add(entry.operation_id or "", entry.card_id or "", entry.call, entry.n, to_micros(entry.at))

    def keep_books_head(self, head: Head) -> None:
        """Remember the head of the books' audit that was kept last."""
        self._conn.execute("INSERT OR REPLACE INTO books (one, n, hash) VALUES (1, ?, ?)", head)

    def books_head(self) -> Head | None:
        """The head of the books' audit that was kept last."""
        row = self._conn.execute("SELECT n, hash FROM books").fetchone()
        return Head(*row) if row else None

    def forget_before(self, n: int) -> None:
        """Forget the opens before entry `n`."""
        self._conn.execute("DELETE FROM opens WHERE n < ?", (n,))

    def tip(self) -> Head:
        """Where the audit ended at the last commit."""
        row = self._conn.execute("SELECT n, hash FROM tip").fetchone()
        return Head(*row) if row else Head(0, GENESIS)

    def close(self) -> None:
        """Close the file."""
        self._conn.close()


def tip_of(path: Path) -> Head | None:
    """Where the audit ended by the file at `path`, read beside a vault that runs; None where there is none."""
    if not path.exists():
        return None
    conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        row = conn.execute("SELECT n, hash FROM tip").fetchone()
        return Head(*row) if row else None
    finally:
        conn.close()


class Rate:
    """How many cards, or persons' keys, may be opened: `per_s` on average, and that many at once.

    A new one begins empty, so a restart of the vault gives nobody more.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left, self._since = 0.0, monotonic()

    def take(self, number: int = 1) -> bool:
        """Whether so many more may be opened now, which counts."""
        moment = monotonic()
        self._left = min(self._left + (moment - self._since) * self._per_s, self._per_s)
        self._since = moment
        if self._left < number:
            return False
        self._left -= number
        return True
