"""Queries of the warehouse: whole statements are sent to the analytics flow by Quack, which returns their rows.

Quack is DuckDB's own client and server protocol. Wheels carry its extensions: nothing is downloaded at run time.

WarehouseError
├── QueryRefused    the statement is not allowed, or its reader not let in
├── QueryFailed     DuckDB cannot answer it: an unknown column, a division of text
└── WarehouseAway   the analytics flow does not answer
"""

import re
import secrets
import threading
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from connectors.keyfiles import read_or_make
from schemas.settings import Settings

EXTENSIONS = ("httpfs", "quack")  # Quack uses httpfs
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
    """A query has no answer. The message is one line for the person who asked."""


class QueryRefused(WarehouseError):
    """The statement is not allowed, its reader is not let in, or its result is too large."""


class QueryFailed(WarehouseError):
    """DuckDB cannot answer the statement; the message is its own."""


class WarehouseAway(WarehouseError):
    """The analytics flow does not answer: it is stopped, starting, or was stopped during the query."""


class Table(msgspec.Struct, frozen=True):
    """The answer to a query: column names and rows. Times are timezone-aware UTC, amounts minor units."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def load_quack(con: duckdb.DuckDBPyConnection) -> None:
    """Load the functions `quack_serve` and `quack_query`. Call it before external access is turned off."""
    for name in EXTENSIONS:
        con.execute(f"LOAD {quoted(str(_extension(name)))}")


def quoted(text: str) -> str:
    """`text` as an SQL literal. (DuckDB imports pandas to bind a parameter: a second for every reader.)"""
    return "'" + text.replace("'", "''") + "'"


def _extension(name: str) -> Path:
    folder = files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
    return Path(str(folder / f"{name}.duckdb_extension"))


def token(settings: Settings, reader: str) -> str:
    """The token of one of `READERS`, made on first use."""
    return (
        read_or_make(settings, f"warehouse.{reader}.token", lambda: secrets.token_hex(16).encode())
        .decode()
        .strip()
    )


def address(settings: Settings) -> str:
    """The Quack address that readers ask."""
    return "quack:" + settings.warehouse_url().partition("://")[2]


class WarehouseReader:
    """Queries the warehouse as one of `READERS`. Any number of threads may share it."""

    def __init__(self, settings: Settings, name: str, rows_max: int = ROWS_MAX) -> None:
        self._address, self._token, self._rows_max = address(settings), token(settings, name), rows_max
        # By itself Quack wants TLS of every other host.
        self._has_no_tls = settings.warehouse_url().startswith("http://")
        self._con = duckdb.connect(config={"threads": 1})
        self._con.execute(
            "SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false"
        )  # it prints to standard output
        load_quack(self._con)
        self._local = threading.local()

    def query(self, sql: str) -> Table:
        """The whole answer to one statement. Raises `WarehouseError`."""
        way = f"token = {quoted(self._token)}, disable_ssl = {self._has_no_tls}"
        travelling = f"quack_query({quoted(self._address)}, {quoted(sql)}, {way})"
        try:
            return self._fetch(travelling)
        except duckdb.Error as error:
            raise _meaning(str(error)) from None

    def _fetch(self, travelling: str) -> Table:
        cursor = self._cursor()
        # S608: the statement travels as one quoted literal.
        cursor.execute(f"SELECT * FROM {travelling} LIMIT {self._rows_max + 1}")  # noqa: S608
        zoned = [column[0] for column in cursor.description if column[1] == "TIMESTAMP WITH TIME ZONE"]
        if zoned:  # such as `now()`; DuckDB needs the module pytz to convert them
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


def _meaning(message: str) -> WarehouseError:
    """The error for a message of DuckDB's, without our own statement, which has the token in it."""
    if "Authorization failed" in message:
        return QueryRefused(f"refused: {ALLOWED}")
    if "Authentication failed" in message:
        return QueryRefused(f"refused: {SET_ASIDE}")
    if message.startswith("IO Error"):
        return WarehouseAway(CUT_OFF)
    mistake = message.split("\n\nLINE 1: SELECT * FROM quack_query")[0].split("\n\nLINE 1: SELECT * REPLACE")[0]
    return QueryFailed(re.sub(r"\s+", " ", mistake.removeprefix("Invalid Input Error: ")).strip())
