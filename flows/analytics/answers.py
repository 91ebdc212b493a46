"""A statement's whole answer, made before Quack hands it over.

The statement runs on a connection of ours, in the thread of whoever asks: so it can be interrupted, counted and
told of, which Quack cannot do with what it runs itself. The answer lies in memory until Quack has read it.
"""

import itertools
import math
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from connectors.warehouse import ROWS_MAX, quoted
from flows.analytics.policy import RoleViews
from flows.analytics.statements import StatementRefused
from schemas.accounts import SqlReader

CATALOG = "answers"
NOWHERE = "nowhere"  # an empty database: a name that is no view of the reader's leads there
KEPT_S = 5.0  # Quack reads an answer in the moment after it is made

TOO_MANY = f"more than {ROWS_MAX} rows: ask for fewer, with LIMIT or GROUP BY"
TOO_LARGE = "the answer has too many bytes, or others do at the moment: ask for less"

IN_MEMORY = "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'"
PIVOT = "__pivot_enum"
LINE = re.compile(r"\n\nLINE (\d{1,9}):")
# A reader may put a million blanks into an error: of a run of them only the first begins a match.
SUGGESTION = re.compile(r"(?<!\s)\s*Did you mean\b[^\n]*")
MESSAGE_MAX = 4_000  # characters; a text of a reader's own may be as long as all memory


class Answers:
    """Runs statements and keeps their answers for Quack. Any number of threads may use it.

    `policy`: what readers see who do not see everything. `bytes_max`: of all answers that are kept.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, policy: RoleViews, bytes_max: int) -> None:
        self._con, self._policy, self._bytes_max = con, policy, bytes_max
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._kept: dict[str, float] = {}  # by table: since when
        con.execute(f"ATTACH ':memory:' AS {CATALOG}; ATTACH ':memory:' AS {NOWHERE}")

    @contextmanager
    def cursor_for(self, reader: SqlReader, views: set[str]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for one statement of a reader, which names these of their views."""
        cursor = self._con.cursor()
        try:
            if reader.sees != "all":
                cursor.execute(f"USE {NOWHERE};{self._policy.definitions(reader, views)}")
            yield cursor
        finally:
            cursor.close()

    def run(self, cursor: duckdb.DuckDBPyConnection, statement: str) -> tuple[str, int]:
        """The statement that reads the answer, and its rows.

        Raises `StatementRefused` where it is too large, and `duckdb.Error` as the statement does.
        """
        self.drop_old()
        table = f"{CATALOG}.main.a{next(self._numbers)}"
        with self._lock:
            self._kept[table] = math.inf
        try:
            rows = self._make(cursor, table, statement)
        except BaseException:
            self._drop([table])
            raise
        with self._lock:
            self._kept[table] = time.monotonic()
        return f"FROM {table}", rows

    def _make(self, cursor: duckdb.DuckDBPyConnection, table: str, statement: str) -> int:
        cursor.execute(_creating(cursor, table, statement))
        [(rows,)] = cursor.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 (no text of theirs)
        if rows > ROWS_MAX or self.are_large():
            raise StatementRefused(TOO_MANY if rows > ROWS_MAX else TOO_LARGE)
        return int(rows)

    def are_large(self) -> bool:
        """Whether the answers, with those that are being made, take more memory than they may."""
        [(size,)] = self._con.cursor().execute(IN_MEMORY).fetchall()
        return int(size) > self._bytes_max

    def drop_old(self) -> None:
        """Drop the answers that Quack has read. (Who is reading one still has it to its end.)"""
        oldest = time.monotonic() - KEPT_S
        with self._lock:
            old = [table for table, since in self._kept.items() if since < oldest]
        self._drop(old)

    def _drop(self, tables: list[str]) -> None:
        cursor = self._con.cursor()
        for table in tables:
            with self._lock:
                known = self._kept.pop(table, None) is not None
            if known:
                cursor.execute(f"DROP TABLE IF EXISTS {table}")


def _creating(cursor: duckdb.DuckDBPyConnection, table: str, statement: str) -> str:
    """What makes a table of the answer. The text of the reader begins on its second line."""
    if cursor.extract_statements(statement)[-1].type == duckdb.StatementType.EXPLAIN:
        plan = cursor.execute(f"\n{statement}").fetchall()
        rows = ", ".join(f"({quoted(key)}, {quoted(value)})" for key, value in plan)
        return f"CREATE TABLE {table} AS FROM (VALUES {rows}) plan(explain_key, explain_value)"
    return f"CREATE TABLE {table} AS FROM (\n{_without_end(statement)}\n) LIMIT {ROWS_MAX + 1}"


def _without_end(statement: str) -> str:
    """A statement without the semicolons after it."""
    text = statement.encode()  # DuckDB counts bytes
    offsets = [offset for offset, _ in duckdb.tokenize(statement)]
    while offsets and text.startswith(b";", offsets[-1]):
        text = text[: offsets.pop()]
    return text.decode()


def meaning(error: Exception, reader: SqlReader) -> str:
    """What an error says to a reader: nothing of names that are not theirs, and the lines of their own text."""
    message = str(error)
    if found := LINE.search(message):
        place = message[found.end() :]
        is_theirs = CATALOG not in place and PIVOT not in place  # else it shows what DuckDB made of a PIVOT
        shown = f"\n\nLINE {int(found[1]) - 1}:{place}" if is_theirs else ""
        message = message[: found.start()] + shown
    message = message[:MESSAGE_MAX]
    return message if reader.sees == "all" else SUGGESTION.sub("", message)
