"""Asking the warehouse: whole statements travel to the analytics flow by Quack, their rows come back.

WarehouseError
├── QueryRefused    the statement or its reader is not let in
├── QueryFailed     DuckDB cannot answer it: an unknown column, a division of text
└── WarehouseAway   the analytics flow does not answer
"""

import re
import secrets
import threading
from datetime import UTC, datetime
from typing import Any

import duckdb
import msgspec

from connectors.keyfiles import read_or_make
from connectors.quack import load_quack, quoted
from schemas.settings import Settings

READERS = ("dashboard", "sql", "replay", "reconcile", "bench")
ROWS_MAX = 100_000

ALLOWED = (
    "only one SELECT, FROM, WITH, VALUES, SHOW, DESCRIBE or SUMMARIZE at a time, over the warehouse's tables and"
    " views; of table functions range, generate_series, unnest, duckdb_tables, duckdb_views and duckdb_columns"
)
SET_ASIDE = "this reader is not let in: a wrong token, or a statement of its own went over the limits a minute ago"
CUT_OFF = (
    "the warehouse does not answer: it is not up, or restarts because a statement took too long or too much memory"
)


class WarehouseError(Exception):
    """A query has no answer. The message is for the person who asked, on one line."""


class QueryRefused(WarehouseError):
    """The statement is not allowed, its reader is not let in, or its result is too large."""


class QueryFailed(WarehouseError):
    """DuckDB cannot answer the statement; the message is its own."""


class WarehouseAway(WarehouseError):
    """The analytics flow does not answer: stopped, starting, or cut off in the middle."""


class Table(msgspec.Struct, frozen=True):
    """An answer: column names and rows. Times are UTC and know it, amounts are minor units."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def token(settings: Settings, reader: str) -> str:
    """The token of one of `READERS`, made on first use."""
    return read_or_make(settings, f"warehouse.{reader}.token", lambda: secrets.token_hex(16).encode()).decode()


def address(settings: Settings) -> str:
    """Where the warehouse is served."""
    return f"quack:localhost:{settings.port('warehouse')}"


class Reader:
    """Asks the warehouse in the name of one of `READERS`. Any number of threads may share it."""

    def __init__(self, settings: Settings, name: str, rows_max: int = ROWS_MAX) -> None:
        self._address, self._token, self._rows_max = address(settings), token(settings, name), rows_max
        self._con = duckdb.connect(config={"threads": 1})
        self._con.execute("SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false")  # it would go to stdout
        load_quack(self._con)
        self._local = threading.local()

    def query(self, sql: str) -> Table:
        """The whole answer to one statement. Raises `WarehouseError`."""
        travelling = f"quack_query({quoted(self._address)}, {quoted(sql)}, token = {quoted(self._token)})"
        try:
            return self._fetch(travelling)
        except duckdb.Error as error:
            raise _meaning(str(error)) from None

    def _fetch(self, travelling: str) -> Table:
        cursor = self._cursor()
        # S608: the statement travels as one quoted literal.
        cursor.execute(f"SELECT * FROM {travelling} LIMIT {self._rows_max + 1}")  # noqa: S608
        zoned = [column[0] for column in cursor.description if column[1] == "TIMESTAMP WITH TIME ZONE"]
        if zoned:  # of `now()`: DuckDB would want the module pytz to give them to Python
            casts = ", ".join(f"{_name(column)}::TIMESTAMP AS {_name(column)}" for column in zoned)
            cursor.execute(f"SELECT * REPLACE ({casts}) FROM {travelling} LIMIT {self._rows_max + 1}")  # noqa: S608
        rows = cursor.fetchall()
        if len(rows) > self._rows_max:
            raise QueryRefused(f"more than {self._rows_max} rows: ask for fewer, with LIMIT or GROUP BY")
        if any(column[1] == "TIMESTAMP" for column in cursor.description):
            rows = [tuple(map(_aware, row)) for row in rows]
        return Table([column[0] for column in cursor.description], rows)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._con.cursor()
        cursor: duckdb.DuckDBPyConnection = self._local.cursor
        return cursor


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _meaning(said: str) -> WarehouseError:
    if "Authorization failed" in said:
        return QueryRefused(f"refused: {ALLOWED}")
    if "Authentication failed" in said:
        return QueryRefused(f"refused: {SET_ASIDE}")
    if said.startswith("IO Error"):
        return WarehouseAway(CUT_OFF)
    # DuckDB repeats our own statement at the end, with the token in it.
    mistake = said.split("\n\nLINE 1: SELECT * FROM quack_query")[0].split("\n\nLINE 1: SELECT * REPLACE")[0]
    return QueryFailed(re.sub(r"\s+", " ", mistake.removeprefix("Invalid Input Error: ")).strip())
