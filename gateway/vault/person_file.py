"""The file of persons' keys, wrapped. Plain SQL functions, the connection first.

It stands apart from the cards' file and from the books, so that a copy of either has no key of a person. Who was
erased keeps a row without a key: none is ever made for them again.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gateway.vault.cards import open_file

LAYOUT = 1

TABLES = """
-- `wrapped` is null once the key was destroyed, and `kek`, the version that wrapped it, too
CREATE TABLE IF NOT EXISTS persons (person TEXT PRIMARY KEY, kek INTEGER, wrapped BLOB) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS persons_kek ON persons (kek);
"""


class WrappedKey(NamedTuple):
    """A person's key as the file holds it: `key_version` is that of the KEK that wrapped it."""

    person_id: str
    key_version: int
    wrapped: bytes


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file of persons' keys, as `open_file` makes it. Raises `UnknownLayout`."""
    return open_file(path, TABLES, LAYOUT)


def select_keys(conn: sqlite3.Connection, person_ids: Iterable[str]) -> list[WrappedKey]:
    """The keys of those of these persons who have one."""
    found = (
        conn.execute(
            "SELECT person, kek, wrapped FROM persons WHERE person = ? AND wrapped IS NOT NULL", (person_id,)
        ).fetchone()
        for person_id in person_ids
    )
    return [WrappedKey(*row) for row in found if row]


def insert_key(conn: sqlite3.Connection, key: WrappedKey) -> bool:
    """Keep the key of a new person; False where they have one, or had one that was destroyed."""
    return conn.execute("INSERT INTO persons VALUES (?, ?, ?) ON CONFLICT DO NOTHING", key).rowcount == 1


def destroy_key(conn: sqlite3.Connection, person_id: str) -> bool:
    """Leave a person without a key, for ever; False where they had none."""
    (had_one,) = conn.execute(
        "SELECT count(*) FROM persons WHERE person = ? AND wrapped IS NOT NULL", (person_id,)
    ).fetchone()
    conn.execute(
        "INSERT INTO persons VALUES (?, NULL, NULL) ON CONFLICT DO UPDATE SET kek = NULL, wrapped = NULL",
        (person_id,),
    )
    return bool(had_one)


def select_used_versions(conn: sqlite3.Connection) -> set[int]:
    """The versions that keys are wrapped by."""
    return {version for (version,) in conn.execute("SELECT DISTINCT kek FROM persons WHERE kek IS NOT NULL")}


def select_older(conn: sqlite3.Connection, version: int, after: str, limit: int) -> list[WrappedKey]:
    """Up to `limit` keys of persons past `after` that an older version wrapped."""
    rows = conn.execute(
        "SELECT person, kek, wrapped FROM persons WHERE kek < ? AND person > ? ORDER BY person LIMIT ?",
        (version, after, limit),
    )
    return [WrappedKey(*row) for row in rows]


def update_wrapped(conn: sqlite3.Connection, keys: Sequence[WrappedKey]) -> None:
    """Keep rewrapped keys."""
    rows = [(key.key_version, key.wrapped, key.person_id) for key in keys]
    conn.executemany("UPDATE persons SET kek = ?, wrapped = ? WHERE person = ?", rows)


def count_older(conn: sqlite3.Connection, version: int) -> int:
    """How many keys an older version wrapped."""
    return int(conn.execute("SELECT count(*) FROM persons WHERE kek < ?", (version,)).fetchone()[0])
