"""The vault's file: envelopes, and the proofs and use of keys. Plain SQL functions, the connection first.

It holds no number, BIN or last four digits: a fingerprint must not lie beside a truncated number (PCI DSS 3.5.1).
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gateway.vault.envelope import Envelope
from gateway.vault.frames import CardCounts

LAYOUT = 1
WRAPS_MAX = 2**31  # per key version; SP 800-38D bounds random nonces at 2^32 encryptions, half of that is a margin

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
-- the files that this one has beside it: one that is not there was lost
CREATE TABLE IF NOT EXISTS companions (file TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""


class UnknownLayout(Exception):
    """The file was written by a later Sluice."""


class KeyExhausted(Exception):
    """The key version has wrapped as many data keys as it may; `sluice keys rotate` begins the next."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the cards' file, as `open_file` makes it. Raises `UnknownLayout`."""
    return open_file(path, TABLES, LAYOUT)


def open_file(path: Path, tables: str, layout: int) -> sqlite3.Connection:
    """A connection in autocommit mode to a file of the vault, with its tables in place. Raises `UnknownLayout`."""
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        conn.execute(f"PRAGMA {pragma}")
    found = conn.execute("PRAGMA user_version").fetchone()[0]
    if found not in {0, layout}:
        raise UnknownLayout(f"{path} has layout {found}, this vault knows {layout}")
    conn.executescript(tables + f"PRAGMA user_version={layout}")
    return conn


def has_companion(conn: sqlite3.Connection, file: str) -> bool:
    """Whether a file of that name was ever beside this one."""
    return conn.execute("SELECT 1 FROM companions WHERE file = ?", (file,)).fetchone() is not None


def insert_companion(conn: sqlite3.Connection, file: str) -> None:
    """A file of that name is beside this one, from now on."""
    conn.execute("INSERT INTO companions VALUES (?) ON CONFLICT DO NOTHING", (file,))


def select_proofs(conn: sqlite3.Connection) -> dict[int, bytes]:
    """The proof of each key version; version 0 is the root of the hashing keys."""
    return dict(conn.execute("SELECT version, proof FROM keys"))


def insert_key(conn: sqlite3.Connection, version: int, proof: bytes) -> None:
    """Add a key version; the highest one is current."""
    conn.execute("INSERT INTO keys (version, proof) VALUES (?, ?)", (version, proof))


def select_current_version(conn: sqlite3.Connection) -> int:
    """The version under which cards are stored now; 0 before the first key."""
    version: int = conn.execute("SELECT max(version) FROM keys").fetchone()[0] or 0
    return version


def select_used_versions(conn: sqlite3.Connection) -> set[int]:
    """The versions that stored cards are under."""
    return {version for (version,) in conn.execute("SELECT DISTINCT kek FROM cards")}


def count_wraps(conn: sqlite3.Connection, version: int, number: int) -> None:
    """Add `number` encryptions to the use of a version. Raises `KeyExhausted` past `WRAPS_MAX`."""
    counted = conn.execute(
        "UPDATE keys SET wraps = wraps + :number WHERE version = :version AND wraps + :number <= :most",
        {"number": number, "version": version, "most": WRAPS_MAX},
    )
    if counted.rowcount == 0:
        raise KeyExhausted(f"key version {version}")


def select_token(conn: sqlite3.Connection, owner_id: str, fingerprint: str) -> str | None:
    """The token of a number that this owner stored before; None for a new one."""
    row = conn.execute(
        "SELECT card FROM cards WHERE owner = ? AND fingerprint = ?", (owner_id, fingerprint)
    ).fetchone()
    return row[0] if row else None


def upsert_card(
    conn: sqlite3.Connection, card_id: str, owner_id: str, fingerprint: str, envelope: Envelope
) -> None:
    """Write a card, or replace its envelope."""
    conn.execute(
        "INSERT INTO cards (card, owner, fingerprint, kek, wrapped, sealed) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (card) DO UPDATE"
        " SET kek = excluded.kek, wrapped = excluded.wrapped, sealed = excluded.sealed",
        (card_id, owner_id, fingerprint, *envelope),
    )


def select_envelope(conn: sqlite3.Connection, card_id: str, owner_id: str) -> Envelope | None:
    """The envelope of a card of this owner; None where there is none."""
    row = conn.execute(
        "SELECT kek, wrapped, sealed FROM cards WHERE card = ? AND owner = ?", (card_id, owner_id)
    ).fetchone()
    return Envelope(*row) if row else None


def delete_card(conn: sqlite3.Connection, card_id: str, owner_id: str) -> bool:
    """Delete a card of this owner; False where there is none."""
    return conn.execute("DELETE FROM cards WHERE card = ? AND owner = ?", (card_id, owner_id)).rowcount == 1


def delete_cards(conn: sqlite3.Connection, owner_id: str) -> list[str]:
    """Delete every card of an owner; their ids."""
    deleted = conn.execute("DELETE FROM cards WHERE owner = ? RETURNING card", (owner_id,))
    return [card_id for (card_id,) in deleted]


def select_older(
    conn: sqlite3.Connection, version: int, after: str, limit: int
) -> list[tuple[str, str, int, bytes]]:
    """Up to `limit` cards after the token `after` under older versions: card, owner, version, wrapped data key."""
    return conn.execute(
        "SELECT card, owner, kek, wrapped FROM cards WHERE kek < ? AND card > ? ORDER BY card LIMIT ?",
        (version, after, limit),
    ).fetchall()


def update_wrapped(conn: sqlite3.Connection, version: int, wrapped: Sequence[tuple[bytes, str]]) -> None:
    """Store rewrapped data keys, each `(wrapped, card_id)`, as those of `version`."""
    conn.executemany("UPDATE cards SET kek = ?, wrapped = ? WHERE card = ?", [(version, *row) for row in wrapped])


def count(conn: sqlite3.Connection) -> CardCounts:
    """How many cards there are, and how many of them are under an older key version than the current one."""
    version = select_current_version(conn)
    cards, left = conn.execute("SELECT count(*), coalesce(sum(kek < ?), 0) FROM cards", (version,)).fetchone()
    return CardCounts(cards, version, left)


def delete_file(path: Path) -> None:
    """Delete a file of SQLite that is closed, with its write-ahead log."""
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def wipe_log(conn: sqlite3.Connection) -> None:
    """Empty the write-ahead log: it still holds deleted cards and replaced keys."""
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
