"""Queries of the warehouse: whole statements are sent by Quack, which returns their rows.

Two processes answer: `sql`, with a copy of its own, whatever its readers ask; `analytics`, which writes the
warehouse, our own dashboards and `sluice reconcile`. Quack is DuckDB's own client and server protocol. Wheels
carry its extensions: nothing is downloaded at run time.

WarehouseError
├── QueryRefused    the statement is not allowed, or its reader not let in
├── QueryFailed     DuckDB cannot answer it: an unknown column, a division of text
└── WarehouseAway   the process does not answer
"""

import re
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from connectors.secret_files import Secret, SecretFile, secret_file, text_of
from schemas.cards import find_numbers
from schemas.settings import Settings

EXTENSIONS = ("httpfs", "quack")  # Quack uses httpfs
SQL_READERS = ("sql", "replay", "bench", "backtest")
WRITERS_READERS = ("dashboard", "reconcile")
ROWS_MAX = 100_000

REFUSED = "refused: "  # how the error begins that says why a statement is not run
READ_ONLY = "the warehouse is only read"
CARD_NUMBER = "a card number stands in the statement; the warehouse has none to compare it with"
NOT_LET_IN = "this token is none of a reader's here"
TOO_LONG = "the statement is too long: 65,536 characters at most"
CUT_OFF = (
    "the warehouse does not answer: it is not up, or restarts because a statement took too long or too much memory"
)
NOT_CERTIFIED = "the certificate of the warehouse's server is none that SLUICE_SQL_CA or this machine trusts"
UNTRUSTED = re.compile(r"SSL (?:peer certificate|CA cert)")  # in what curl says
HASHED = ("customer", "instrument")  # columns of `payments` with a hash beside them, which is ten times as fast
TIME = "TIMESTAMP"  # in the name of a type
KEPT = "answer"  # the table of a file that an answer is kept in
POINTED = re.compile(r"\n\nLINE (\d{1,9}): ([^\n]*)\n( *)\^")
NAMES_A_ZONE = re.compile(r"zone\b", re.IGNORECASE)  # `AT TIME ZONE` and `timezone(…)` make times of somewhere


class Pointed(msgspec.Struct, frozen=True):
    """Where DuckDB found a mistake: in which `line` of a statement, what it shows of it, and where in that."""

    line: int
    text: str
    at: int


class WarehouseError(Exception):
    """A query has no answer. The message is one line for the person who asked; `pointed`: where, if known."""

    pointed: Pointed | None = None


class QueryRefused(WarehouseError):
    """The statement is not allowed now or ever, its reader is not let in, or its result is too large."""


class QueryFailed(WarehouseError):
    """DuckDB cannot answer the statement; the message is its own."""


class WarehouseAway(WarehouseError):
    """The process does not answer: it is stopped, starting, or was stopped during the query."""


class Table(msgspec.Struct, frozen=True):
    """The answer to a query: column names and rows. Times are timezone-aware UTC, amounts minor units.

    Where the statement names a zone, a plain TIMESTAMP may be of that zone, and is not aware.
    Where two columns have one name, the second has a number after it.
    """

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def by_name(self) -> list[dict[str, Any]]:
        """The rows, each by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def load_quack(con: duckdb.DuckDBPyConnection) -> None:
    """Load the functions `quack_serve` and `quack_query`. Call it before external access is turned off."""
    for name in EXTENSIONS:
        con.execute(f"LOAD {quoted(str(_extension(name)))}")


def quoted(text: str) -> str:
    """`text` as an SQL literal. (DuckDB imports pandas to bind a parameter: a second for every reader.)"""
    return "'" + text.replace("'", "''") + "'"


def hash_of(text: str) -> str:
    """SQL for the 32 bits by which `HASHED` columns are sought; `text`: a column, or a literal."""
    return f"md5_number_lower({text}) >> 32"


def _extension(name: str) -> Path:
    folder = files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
    return Path(str(folder / f"{name}.duckdb_extension"))


def token(settings: Settings, reader: str) -> str:
    """The token of a reader as it is now, made on first use."""
    return token_file(settings, reader).text()


def token_file(settings: Settings, reader: str) -> SecretFile:
    """The file of a reader's token, made on first use. Raises `SecretMissing`."""
    return secret_file(settings, f"warehouse.{reader}.token", lambda: secrets.token_hex(16).encode())


def tokens(settings: Settings, readers: Iterable[str]) -> dict[str, SecretFile]:
    """The token of each of these readers."""
    return {reader: token_file(settings, reader) for reader in readers}


def url(settings: Settings, reader: str) -> str:
    """Where a reader asks."""
    return settings.sql_url() if reader in SQL_READERS else settings.warehouse_url()


def address(settings: Settings, reader: str) -> str:
    """The Quack address that a reader asks."""
    return "quack:" + url(settings, reader).partition("://")[2]


class WarehouseReader:
    """Queries the warehouse as one of `SQL_READERS` or `WRITERS_READERS`. Any number of threads may share it.

    The first have one statement at a time, in all processes together: another one is refused meanwhile.
    """

    def __init__(
        self, settings: Settings, name: str, rows_max: int = ROWS_MAX, own_token: str | None = None
    ) -> None:
        """`own_token`: of a person, who asks where this reader does; empty: each question says whose it is."""
        self._address, self._rows_max = address(settings, name), rows_max
        self._token: Secret = token_file(settings, name) if own_token is None else own_token
        # By itself Quack wants TLS of every other host.
        self._has_no_tls = url(settings, name).startswith("http://")
        self._con = duckdb.connect(config={"threads": 1})
        # The progress bar would be printed to standard output.
        self._con.execute("SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false")
        load_quack(self._con)
        if settings.sql_ca is not None:
            self._con.execute(f"SET GLOBAL ca_cert_file = {quoted(str(settings.sql_ca))}")
        self._local = threading.local()

    def query(self, sql: str, own_token: str | None = None) -> Table:
        """The whole answer to one statement; `own_token`: of the person who asks, where it is not the reader's.

        Raises `WarehouseError`; `QueryRefused` where a card number is in it. Such a statement is not sent: the
        process that runs it would have the number in its memory (PCI DSS 3.5.1).
        """
        travelling = self._travelling(sql, own_token)
        with _explained():
            return self._fetch(travelling, NAMES_A_ZONE.search(sql) is not None)

    def copy(self, sql: str, path: Path) -> int:
        """Write the answer to one statement, however long, to a Parquet file; the number of rows.

        Raises `WarehouseError`, also where the file cannot be written.
        """
        # S608: the statement travels as one quoted literal.
        rows = f"SELECT * FROM {self._travelling(sql)}"  # noqa: S608
        with _explained():
            copied = self._cursor().execute(
                f"COPY ({rows}) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
            )
            return int(copied.fetchall()[0][0])

    def keep(self, sql: str, path: Path, own_token: str) -> int:
        """Write the answer to a person's statement to the table `KEPT` of a new DuckDB file, in its types.

        Returns the number of rows. Raises `WarehouseError`, also where the file cannot be written.
        """
        travelling, name = self._travelling(sql, own_token), f"kept_{secrets.token_hex(8)}"
        with _explained():
            cursor = self._con.cursor()
            cursor.execute(f"ATTACH {quoted(str(path))} AS {name}")
            try:
                made = cursor.execute(f"CREATE TABLE {name}.{KEPT} AS FROM {travelling}")
                return int(made.fetchall()[0][0])
            finally:
                cursor.execute(f"DETACH {name}")

    def _travelling(self, sql: str, own_token: str | None = None) -> str:
        if find_numbers(sql):
            raise QueryRefused(f"{REFUSED}{CARD_NUMBER}")
        way = f"token = {quoted(own_token or text_of(self._token))}, disable_ssl = {self._has_no_tls}"
        return f"quack_query({quoted(self._address)}, {quoted(sql)}, {way})"

    def _fetch(self, travelling: str, names_a_zone: bool) -> Table:
        cursor = self._cursor()
        # S608: the statement travels as one quoted literal.
        cursor.execute(f"SELECT * FROM {travelling} LIMIT {self._rows_max + 1}")  # noqa: S608
        names, types = [column[0] for column in cursor.description], [column[1] for column in cursor.description]
        rows = cursor.fetchall()
        if len(rows) > self._rows_max:
            raise QueryRefused(f"more than {self._rows_max} rows: ask for fewer, with LIMIT or GROUP BY")
        if any(TIME in str(type) for type in types) and not names_a_zone:
            rows = [tuple(map(_aware, row)) for row in rows]
        return Table(names, rows)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._con.cursor()
        cursor: duckdb.DuckDBPyConnection = self._local.cursor
        return cursor


@contextmanager
def _explained() -> Iterator[None]:
    """What DuckDB raises, as a `WarehouseError`."""
    try:
        yield
    except duckdb.Error as error:
        raise _meaning(str(error)) from None
    except UnicodeEncodeError:
        raise QueryRefused(f"{REFUSED}the statement is not UTF-8") from None


def _aware(value: Any) -> Any:
    """A value with its times in UTC, which is what the columns of the views are in."""
    if isinstance(value, list | tuple):
        return type(value)(map(_aware, value))
    if isinstance(value, dict):
        return {_aware(key): _aware(item) for key, item in value.items()}
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def pointed(message: str) -> Pointed | None:
    """Where an error of DuckDB's says that the mistake is: of several places the last."""
    found = [*POINTED.finditer(message)]
    if not found:
        return None
    line, text, before = found[-1].groups()
    return Pointed(int(line), text, max(0, len(before) - len(f"LINE {line}: ")))


def _meaning(message: str) -> WarehouseError:
    """The error for a message of DuckDB's, without our own statement, which has the token in it."""
    error = _kind(message)
    error.pointed = pointed(message.partition("FROM quack_query")[0])
    return error


def _kind(message: str) -> WarehouseError:
    if "Authorization failed" in message:
        return QueryRefused(f"{REFUSED}{READ_ONLY}")
    if "Authentication failed" in message:
        return QueryRefused(f"{REFUSED}{NOT_LET_IN}")
    if message.startswith("IO Error") and "Payload Too Large" in message:
        return QueryRefused(f"{REFUSED}{TOO_LONG}")
    if message.startswith("IO Error"):
        return WarehouseAway(NOT_CERTIFIED if UNTRUSTED.search(message) else CUT_OFF)
    mistake = re.split(r"\n\nLINE 1: .* FROM quack_query", message)[0].removeprefix("Invalid Input Error: ")
    line = re.sub(r"\s+", " ", mistake).strip()
    return QueryRefused(line) if line.startswith(REFUSED) else QueryFailed(line)
