"""Rows that a transaction changed, as they are at its end: what the vault that stands by writes as well.

Triggers of one connection note keys in a table in memory; the file itself has nothing of it.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from gateway.vault.copy_frames import ROWS_MAX, CopiedFile, RowChange


class CopiedTable(NamedTuple):
    """A table of a file, and its primary key's column."""

    name: str
    key: str


# In this order a copy is made: a card names a version of a key.
TABLES: dict[CopiedFile, tuple[CopiedTable, ...]] = {
    "cards": (CopiedTable("keys", "version"), CopiedTable("companions", "file"), CopiedTable("cards", "card")),
    "persons": (CopiedTable("persons", "person"),),
}


def watch(conn: sqlite3.Connection, file: CopiedFile) -> None:
    """Have `take_changes` know of what is written through `conn` from now on."""
    conn.execute("PRAGMA temp_store=MEMORY")
    conn.execute("CREATE TEMP TABLE touched (tab TEXT, key, PRIMARY KEY (tab, key)) WITHOUT ROWID")
    for table, key in TABLES[file]:
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            conn.execute(
                f"CREATE TEMP TRIGGER touched_{table}_{event} AFTER {event} ON main.{table}"  # noqa: S608
                f" BEGIN INSERT OR REPLACE INTO touched VALUES ('{table}', {row}.{key}); END"
            )


def take_changes(conn: sqlite3.Connection, file: CopiedFile) -> list[RowChange]:
    """The rows that were changed since the last call, those that are gone first."""
    changes = []
    for table in TABLES[file]:
        touched = conn.execute("SELECT key FROM touched WHERE tab = ?", (table.name,))
        changes += [_change(conn, table, key) for (key,) in touched.fetchall()]
    conn.execute("DELETE FROM touched")
    return sorted(changes, key=lambda change: change.row is not None)


def touch_all(conn: sqlite3.Connection, table: CopiedTable) -> None:
    """Have `take_changes` return every row of a small table."""
    conn.execute(f"INSERT OR REPLACE INTO touched SELECT '{table.name}', {table.key} FROM {table.name}")  # noqa: S608


def touch_some(conn: sqlite3.Connection, table: CopiedTable, after: str) -> str | None:
    """Have it return the next rows, past the key `after`; the last one's key, None where there are none."""
    statement = f"SELECT {table.key} FROM {table.name} WHERE {table.key} > ? ORDER BY {table.key} LIMIT ?"  # noqa: S608
    keys = [key for (key,) in conn.execute(statement, (after, ROWS_MAX))]
    conn.executemany("INSERT OR REPLACE INTO touched VALUES (?, ?)", [(table.name, key) for key in keys])
    return keys[-1] if keys else None


def apply_changes(conn: sqlite3.Connection, file: CopiedFile, changes: Sequence[RowChange]) -> None:
    """Write them. Raises `KeyError` for a table that is none of the file's."""
    keys = {table.name: table.key for table in TABLES[file]}
    for change in changes:
        key = keys[change.table]
        if change.row is None:
            conn.execute(f"DELETE FROM {change.table} WHERE {key} = ?", (change.key,))  # noqa: S608
        else:
            places = ", ".join("?" * len(change.row))
            conn.execute(f"INSERT OR REPLACE INTO {change.table} VALUES ({places})", change.row)  # noqa: S608


def _change(conn: sqlite3.Connection, table: CopiedTable, key: int | str) -> RowChange:
    row = conn.execute(f"SELECT * FROM {table.name} WHERE {table.key} = ?", (key,)).fetchone()  # noqa: S608
    return RowChange(table.name, key, list(row) if row else None)
