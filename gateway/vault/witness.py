"""The witness: one row outside of both vaults that says which of them serves, and whether the other may take over.

It is changed by compare-and-set alone, so of two that want to change it one does. No time is in it: whoever stands
by counts by its own clock for how long `beats` has not changed (docs/decisions/0101).
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import asyncpg  # type: ignore[import-untyped]  # it has types, but no marker that says so

from schemas.settings import BadSetting

T = TypeVar("T")

ANSWER_S = 2.0  # what takes longer is as if the witness were away
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, sqlite3.Error)

TABLE = """
CREATE TABLE IF NOT EXISTS vault_witness (
    one INTEGER PRIMARY KEY CHECK (one = 1), store_id TEXT NOT NULL, serving TEXT NOT NULL, run_id TEXT NOT NULL,
    standby TEXT NOT NULL, term BIGINT NOT NULL, beats BIGINT NOT NULL
)"""
READ = "SELECT store_id, serving, run_id, standby, term, beats FROM vault_witness"
BEGIN = (
    "INSERT INTO vault_witness (one, store_id, serving, run_id, standby, term, beats)"
    " VALUES (1, $1, $2, $3, $4, $5, 0)"
    " ON CONFLICT (one) DO UPDATE SET store_id = excluded.store_id, serving = excluded.serving,"
    " run_id = excluded.run_id, standby = excluded.standby, term = excluded.term"
)
CHANGE = "UPDATE vault_witness SET serving = $2, run_id = $3, standby = $4, term = $5 WHERE term = $1"
BEAT = "UPDATE vault_witness SET beats = beats + 1 WHERE run_id = $1"


class WitnessAway(Exception):
    """The witness does not answer, or has no table: whether a change was made is not known."""


class WitnessRow(NamedTuple):
    """Which vault serves: its name `serving` and the `run_id` of its process.

    `standby`: the vault that has all that was ever answered, and may take over; empty: none has. `term` grows with
    each change of these. `store_id`: whose cards they are. `beats` is counted up by the one that serves.
    """

    store_id: str
    serving: str
    run_id: str
    standby: str
    term: int
    beats: int = 0

    def is_same_term(self, other: "WitnessRow | None") -> bool:
        """Whether both say the same, whatever the beats."""
        return other is not None and self[:5] == other[:5]


class Witness(Protocol):
    """Each may raise `WitnessAway`."""

    async def read(self) -> WitnessRow | None:
        """The row; None before `begin`."""

    async def begin(self, row: WitnessRow) -> None:
        """Write the row, whatever there was. An operator's act: see `sluice vault begin`."""

    async def change(self, term: int, row: WitnessRow) -> bool:
        """Write the row if the one that is there is of `term`."""

    async def beat(self, run_id: str) -> bool:
        """Count up the beats if the process `run_id` serves."""

    async def close(self) -> None:
        """Let go of it."""


class SqliteWitness:
    """In a file of this machine: for two vaults on one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> WitnessRow | None:
        """As `Witness`."""
        row = await self._run(lambda conn: conn.execute(READ).fetchone() if _has_table(conn) else None)
        return WitnessRow(*row) if row else None

    async def begin(self, row: WitnessRow) -> None:
        """As `Witness`."""
        await self._run(lambda conn: (conn.execute(TABLE), _execute(conn, BEGIN, *row[:5])))

    async def change(self, term: int, row: WitnessRow) -> bool:
        """As `Witness`."""
        return await self._run(lambda conn: _execute(conn, CHANGE, term, *row[1:5]).rowcount == 1)

    async def beat(self, run_id: str) -> bool:
        """As `Witness`."""
        return await self._run(lambda conn: _execute(conn, BEAT, run_id).rowcount == 1)

    async def close(self) -> None:
        """As `Witness`."""

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def on_a_connection() -> T:
            with closing(sqlite3.connect(self._path, isolation_level=None, timeout=ANSWER_S)) as conn:
                conn.execute("PRAGMA synchronous=FULL")
                return work(conn)

        try:
            return await asyncio.to_thread(on_a_connection)
        except AWAY as error:
            raise WitnessAway(f"{self._path}: {error}") from None


class PostgresWitness:
    """In a database that both reach. Connects at its first call, and again after the server was away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._conn: asyncpg.Connection | None = None
        self._lock = asyncio.Lock()  # a connection runs one statement at a time

    async def read(self) -> WitnessRow | None:
        """As `Witness`."""
        row = await self._run(_fetched)
        return WitnessRow(*row) if row else None

    async def begin(self, row: WitnessRow) -> None:
        """As `Witness`."""
        await self._run(lambda conn: conn.execute(TABLE))
        await self._run(lambda conn: conn.execute(BEGIN, *row[:5]))

    async def change(self, term: int, row: WitnessRow) -> bool:
        """As `Witness`."""
        return bool(await self._run(lambda conn: conn.execute(CHANGE, term, *row[1:5])) == "UPDATE 1")

    async def beat(self, run_id: str) -> bool:
        """As `Witness`."""
        return bool(await self._run(lambda conn: conn.execute(BEAT, run_id)) == "UPDATE 1")

    async def close(self) -> None:
        """As `Witness`."""
        if self._conn is not None:
            self._conn.terminate()

    async def _run(self, statement: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        try:
            async with self._lock, asyncio.timeout(ANSWER_S):
                if self._conn is None or self._conn.is_closed():
                    self._conn = await asyncpg.connect(self._url, command_timeout=ANSWER_S)
                return await statement(self._conn)
        except AWAY as error:  # a statement that was cut off may lie on the connection still
            conn, self._conn = self._conn, None
            if conn is not None:
                conn.terminate()
            raise WitnessAway(type(error).__name__) from None


async def _fetched(conn: asyncpg.Connection) -> Any:
    try:
        return await conn.fetchrow(READ)
    except asyncpg.UndefinedTableError:
        return None


def open_witness(url: str) -> Witness:
    """The witness that SLUICE_VAULT_WITNESS names. Raises `BadSetting`."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        return SqliteWitness(Path(rest))
    if scheme in ("postgres", "postgresql") and rest:
        return PostgresWitness(url)
    raise BadSetting("SLUICE_VAULT_WITNESS: sqlite:///path or postgresql://user@host/database")


def _has_table(conn: sqlite3.Connection) -> bool:
    return conn.execute("SELECT 1 FROM sqlite_schema WHERE name = 'vault_witness'").fetchone() is not None


def _execute(conn: sqlite3.Connection, statement: str, *values: object) -> sqlite3.Cursor:
    """SQLite's form of a statement of PostgreSQL: its parameters have names, which cannot be numbers alone."""
    named = {f"p{number}": value for number, value in enumerate(values, start=1)}
    return conn.execute(statement.replace("$", ":p"), named)
