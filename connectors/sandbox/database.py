"""The sandbox's SQLite file: what was answered survives a kill -9 of this process.

Every transaction runs on the event loop, one after another, so no call sees half of another one. It costs no
fsync (`synchronous=NORMAL`): a power cut may lose the last moments of a sandbox, and only of a sandbox.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.sandbox import documents, ledger

PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON")


def open_database(path: Path) -> sqlite3.Connection:
    """The connection to the file, made with its tables where it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    conn = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        conn.execute(f"PRAGMA {pragma}")
    conn.executescript(ledger.TABLE + documents.TABLE)
    return conn


@contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[None]:
    """All of the block or, where it raises, none of it."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        conn.execute("ROLLBACK")
        raise
    conn.execute("COMMIT")
