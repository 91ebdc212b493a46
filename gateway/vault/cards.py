"""The vault's file: envelopes and what is known of keys. Plain SQL functions, the connection first.

No number, BIN or last four digits stand here, so that no fingerprint has a truncated number beside it.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gateway.vault.envelope import Envelope
from gateway.vault.frames import Stats

LAYOUT = 1
WRAPS_MAX = 2**31  # per key version; SP 800-38D bounds random nonces at 2^32 encryptions, half of it is left

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "busy_timeout=5000")

TABLES = """
-- version 0 is the root of the hashing keys; `proof` recognises the right key file, `wraps` counts encryptions
CREATE TABLE IF NOT EXISTS keys (
    version INTEGER PRIMARY KEY, proof BLOB NOT NULL, wraps INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS cards (
    card TEXT PRIMARY KEY, owner TEXT NOT NULL, fingerprint TEXT NOT NULL,
    kek INTEGER NOT NULL REFERENCES keys, wrapped BLOB NOT NULL, sealed BLOB NOT NULL,
    UNIQUE (owner, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cards_kek ON cards (kek);
"""


class UnknownLayout(Exception):
    """The file was written by a later Sluice."""


class WornOut(Exception):
    """The key version has wrapped as many data keys as it may; `sluice keys rotate` brings the next."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits where it is told to. Raises `UnknownLayout`."""
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        conn.execute(f"PRAGMA {pragma}")
    found = conn.execute("PRAGMA user_version").fetchone()[0]
    if found not in {0, LAYOUT}:
        raise UnknownLayout(f"{path} has layout {found}, this vault knows {LAYOUT}")
    conn.executescript(TABLES + f"PRAGMA user_version={LAYOUT}")
    return conn


def select_proofs(conn: sqlite3.Connection) -> dict[int, bytes]:
    """Proof by key version."""
    return dict(conn.execute("SELECT version, proof FROM keys"))


def insert_key(conn: sqlite3.Connection, version: int, proof: bytes) -> None:
    """Remember a key version; the highest one is current."""
    conn.execute("INSERT INTO keys (version, proof) VALUES (?, ?)", (version, proof))


def select_current(conn: sqlite3.Connection) -> int:
    """The version under which cards are stored now; 0 before the first."""
    version: int = conn.execute("SELECT max(version) FROM keys").fetchone()[0] or 0
    return version


def select_used(conn: sqlite3.Connection) -> set[int]:
    """The versions that cards need."""
    return {version for (version,) in conn.execute("SELECT DISTINCT kek FROM cards")}


def count_wraps(conn: sqlite3.Connection, version: int, number: int) -> None:
    """Account for `number` encryptions under a version. Raises `WornOut`."""
    counted = conn.execute(
        "UPDATE keys SET wraps = wraps + :number WHERE version = :version AND wraps + :number <= :most",
        {"number": number, "version": version, "most": WRAPS_MAX},
    )
    if counted.rowcount == 0:
        raise WornOut(f"key version {version}")


def select_token(conn: sqlite3.Connection, owner: str, fingerprint: str) -> str | None:
    """The token of a number its owner stored before."""
    row = conn.execute(
        "SELECT card FROM cards WHERE owner = ? AND fingerprint = ?", (owner, fingerprint)
    ).fetchone()
    return row[0] if row else None


def upsert_card(conn: sqlite3.Connection, card: str, owner: str, fingerprint: str, envelope: Envelope) -> None:
    """Write a card, or its new envelope."""
    conn.execute(
        "INSERT INTO cards (card, owner, fingerprint, kek, wrapped, sealed) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (card) DO UPDATE"
        " SET kek = excluded.kek, wrapped = excluded.wrapped, sealed = excluded.sealed",
        (card, owner, fingerprint, *envelope),
    )


def select_envelope(conn: sqlite3.Connection, card: str, owner: str) -> Envelope | None:
    """The envelope of a card of this owner."""
    row = conn.execute(
        "SELECT kek, wrapped, sealed FROM cards WHERE card = ? AND owner = ?", (card, owner)
    ).fetchone()
    return Envelope(*row) if row else None


def delete_card(conn: sqlite3.Connection, card: str, owner: str) -> bool:
    """Delete a card of this owner; False where there is none."""
    return conn.execute("DELETE FROM cards WHERE card = ? AND owner = ?", (card, owner)).rowcount == 1


def select_older(
    conn: sqlite3.Connection, version: int, after: str, limit: int
) -> list[tuple[str, str, int, bytes]]:
    """Up to `limit` cards past `after` under versions before `version`: card, owner, version, wrapped data key."""
    return conn.execute(
        "SELECT card, owner, kek, wrapped FROM cards WHERE kek < ? AND card > ? ORDER BY card LIMIT ?",
        (version, after, limit),
    ).fetchall()


def update_wrapped(conn: sqlite3.Connection, version: int, wrapped: Sequence[tuple[bytes, str]]) -> None:
    """Put the data keys `(wrapped, card)` under `version`."""
    conn.executemany("UPDATE cards SET kek = ?, wrapped = ? WHERE card = ?", [(version, *row) for row in wrapped])


def count(conn: sqlite3.Connection) -> Stats:
    """How many cards there are, and how many of them are not under the current version."""
    key = select_current(conn)
    cards, left = conn.execute("SELECT count(*), coalesce(sum(kek < ?), 0) FROM cards", (key,)).fetchone()
    return Stats(cards, key, left)


def wipe_log(conn: sqlite3.Connection) -> None:
    """Empty the write-ahead log, which still holds what was deleted or replaced."""
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
