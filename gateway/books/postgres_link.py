"""A connection to PostgreSQL that runs the books' functions, by statements that asyncpg has prepared once.

The functions are plain; they run in a greenlet of their own, from which each statement is awaited on the event
loop (docs/decisions/0020).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import asyncpg  # type: ignore[import-untyped]  # it has types, but no marker that says so
import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_, greenlet_spawn

from gateway.books.passwords import connected, parted
from gateway.books.sql import CURSOR

R = TypeVar("R")

CONNECT_TIMEOUT_S = 2.0
STATEMENT_TIMEOUT_S = 5.0
PLAIN_SETTINGS = {
    "application_name": "sluice",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "jit": "off",  # our statements are too small to be worth compiling
}
BOUNDS = {
    "statement_timeout": str(int(STATEMENT_TIMEOUT_S * 1000)),
    "idle_in_transaction_session_timeout": "10000",
}
# Every statement of ours has an index that leads to its rows in their order. What else the planner may choose is
# dear where its statistics are old.
BY_INDEX = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off"}
CANCELLED = "57014"  # by a timeout of ours: the connection is as good as before
READ_ONLY = "25006"  # a standby, or a primary that became one: what takes writes is somewhere else
# What a driver raises where the server, or the way to it, is gone.
AWAY = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class Prepared(msgspec.Struct, frozen=True):
    """A statement that the server knows; `columns` as a driver's cursor describes them, None where it has none."""

    statement: Any
    columns: list[tuple[str]] | None


class PreparedCursor:
    """The part of a driver's cursor that `gateway.books.sql` uses. Raises SQLAlchemy's errors."""

    def __init__(self, raw: Any) -> None:
        self.description: list[tuple[str]] | None = None
        self.rowcount = -1
        self._raw = raw
        self._rows: list[Any] = []
        self._known: dict[str, Prepared] = {}

    def execute(self, sql: str, values: Sequence[Any]) -> None:
        """Run a text with these values."""
        try:
            prepared = self._known.get(sql) or self._prepare(sql)
            self._rows = await_(prepared.statement.fetch(*values))
        except Exception as error:
            raise as_sqlalchemy(sql, error) from error
        self.description = prepared.columns
        done = prepared.statement.get_statusmsg().rpartition(" ")[2]
        self.rowcount = int(done) if done.isdigit() else -1

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a text once per row of values."""
        try:
            prepared = self._known.get(sql) or self._prepare(sql)
            await_(prepared.statement.executemany(rows))
        except Exception as error:
            raise as_sqlalchemy(sql, error) from error
        self.description, self.rowcount, self._rows = None, -1, []

    def fetchall(self) -> list[Any]:
        """The rows of the last statement."""
        return self._rows

    def _prepare(self, sql: str) -> Prepared:
        statement = await_(self._raw.prepare(sql))
        columns = [(column.name,) for column in statement.get_attributes()]
        self._known[sql] = prepared = Prepared(statement, columns or None)
        return prepared


class Link:
    """One connection. `facts`: what was announced on it since its transaction began."""

    def __init__(self, conn: AsyncConnection, raw: Any) -> None:
        self.facts: list[Any] = []
        self._conn = conn
        self._sync = cast(Connection, conn.sync_connection)
        self._raw = raw
        self._sync.info[CURSOR] = PreparedCursor(raw)

    def is_open(self) -> bool:
        """False once the server, or either side, ended it."""
        return not self._raw.is_closed()

    async def run(self, fn: Callable[[Connection], R]) -> R:
        """Run a function in a greenlet, from which its statements are awaited."""
        self.facts = self._sync.info["announced"] = []
        return await greenlet_spawn(fn, self._sync)

    async def say(self, sql: str) -> str:
        """Run a text without values; the server's own word for what it did. Raises `OperationalError`."""
        try:
            return str(await self._raw.execute(sql))
        except Exception as error:
            raise as_sqlalchemy(sql, error) from error

    async def fetch(self, sql: str, *values: Any) -> Any:
        """The first column of the first row of a text. Raises `OperationalError`."""
        try:
            return await self._raw.fetchval(sql, *values)
        except Exception as error:
            raise as_sqlalchemy(sql, error) from error

    def when_lost(self, call: Callable[[], None]) -> None:
        """Have `call` called once the connection has ended."""
        self._raw.add_termination_listener(lambda _raw: call())

    async def end(self) -> None:
        """Close it at once, whatever it is in the middle of; once more does no harm."""
        if not self._conn.closed:
            self._raw.terminate()
            await self._conn.invalidate()
            await self._conn.close()


def postgres_engine(url: str, *, patient: bool = False) -> AsyncEngine:
    """An engine that pools nothing, as `PostgresBooks` does that itself.

    `patient`: for what reads or rewrites whole tables; else each statement is bounded in time.
    """
    bounds: dict[str, Any] = {"server_settings": PLAIN_SETTINGS}
    if not patient:
        bounds = {
            "server_settings": PLAIN_SETTINGS | BOUNDS | BY_INDEX,
            "command_timeout": STATEMENT_TIMEOUT_S * 2,
        }

    dsn, file = parted(url)

    async def connect() -> Any:
        return await connected(partial(asyncpg.connect, dsn, timeout=CONNECT_TIMEOUT_S, **bounds), file)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


async def linked(engine: AsyncEngine) -> Link:
    """A new connection, on which `say("BEGIN")` begins a transaction. Raises `OperationalError`.

    For SQLAlchemy it is one that commits by itself: what it does about transactions costs a round trip more.
    """
    try:
        conn = await engine.connect()
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        raw = (await conn.get_raw_connection()).driver_connection
    except DBAPIError as error:
        raise OperationalError("connect", None, error.orig or error) from error
    except Exception as error:
        raise OperationalError("connect", None, error) from error
    return Link(conn, raw)


def as_sqlalchemy(sql: str, error: Exception) -> DBAPIError:
    """SQLAlchemy's error for one of asyncpg's; without values, for they may be personal."""
    state = getattr(error, "sqlstate", None) or ""
    if isinstance(error, asyncpg.DataError):  # asyncpg's own, too: a value that the type cannot take
        return ProgrammingError(sql, None, error)
    if state[:2] == "23":
        return IntegrityError(sql, None, error)
    if isinstance(error, AWAY) or state[:2] in ("08", "40", "53", "55", "57", "58"):
        return OperationalError(sql, None, error)
    return ProgrammingError(sql, None, error)


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's code of an error; empty where the connection failed instead."""
    return getattr(error.orig, "sqlstate", None) or ""


def is_lost(error: DBAPIError) -> bool:
    """Whether the connection, and with it the transaction, is gone, or leads to where nothing can be written."""
    code, orig = sqlstate(error), error.orig
    drivers = orig.__cause__ if orig is not None else None  # where SQLAlchemy's own cursor was used
    return (
        isinstance(orig, AWAY)
        or isinstance(drivers, AWAY)
        or (code[:2] in ("08", "53", "57") and code != CANCELLED)
        or code == READ_ONLY
    )
