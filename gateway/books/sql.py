"""Statements written in SQLAlchemy Core, compiled once per dialect, and run as text on the driver's own cursor.

Building and compiling a statement on each call costs four times the rest of it, and SQLAlchemy's way of running a
text twice as much as the driver's (docs/performance.md).
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
CURSOR = "cursor"  # in a connection's `info`: a cursor of our own, where the driver has none that is not slow


class Result:
    """`rows`: named tuples of what a statement selects or returns; `rowcount`: how many it changed."""

    __slots__ = ("rowcount", "rows")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self.rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def first(self) -> Any:
        """The first row; None where there is none."""
        return self.rows[0] if self.rows else None

    def one(self) -> Any:
        """The only row. Raises `ValueError` where there is none, or more."""
        (row,) = self.rows
        return row

    def scalar(self) -> Any:
        """The first column of the first row; None where there is none."""
        return self.rows[0][0] if self.rows else None


class CompiledSql(msgspec.Struct, frozen=True):
    """A compiled statement: its text, what picks its positional bind values, and those that Core fixed itself."""

    sql: str
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    fixed: dict[str, Any]

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """The positional bind values. Raises `KeyError` where one is not given."""
        return self.pick({**self.fixed, **given} if self.fixed else given)


class Statement:
    """`statement(conn, name=value, …)` runs it with these values. Raises SQLAlchemy's `DBAPIError`s.

    Every bind parameter must be given (`bindparam("amount")`, or a column of a plain `insert(table)`).
    Others are ignored, so that a whole row may be given. An upsert is written as a function of the dialect's own
    `insert`: `lambda insert: insert(table).on_…`. `columns`: those that an `update(table)` sets; their values have
    the columns' names.
    """

    def __init__(self, core: Any, columns: Sequence[str] | None = None) -> None:
        self._core = core
        self._columns = columns
        self._compiled: dict[str, CompiledSql] = {}
        self._make_row: Callable[..., Any] | None = None

    def __call__(self, conn: Connection, **values: Any) -> Result:
        compiled = self._sql(conn)
        cursor = execute(conn, compiled.sql, compiled.values(values))
        if cursor.description is None:
            return Result([], cursor.rowcount)
        make_row = self._make_row or self._learn_columns(cursor)
        return Result([make_row(row) for row in cursor.fetchall()], cursor.rowcount)

    def many(self, conn: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run it once per row of values."""
        compiled = self._sql(conn)
        execute(conn, compiled.sql, [compiled.values(row) for row in rows], many=True)

    def _learn_columns(self, cursor: Any) -> Callable[..., Any]:
        names = [column[0] for column in cursor.description]
        row = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        self._make_row = row._make
        return self._make_row

    def _sql(self, conn: Connection) -> CompiledSql:
        return self._compiled.get(conn.dialect.name) or self._compile(conn)

    def _compile(self, conn: Connection) -> CompiledSql:
        name = conn.dialect.name
        core = self._core(INSERTS[name]) if callable(self._core) else self._core
        compiled = core.compile(dialect=conn.dialect, column_keys=self._columns)
        if not compiled.positional:
            raise TypeError(f"{name} names its binds: statements are run by position")
        fixed = {key: value for key, value in compiled.params.items() if value is not None}
        self._compiled[name] = CompiledSql(str(compiled), _picker(compiled.positiontup), fixed)
        return self._compiled[name]


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """`itemgetter` takes a third of a loop's time, but gives a bare value for one name and needs one at least."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda given: tuple([given[name] for name in names])


def execute(conn: Connection, sql: str, values: Any = (), *, many: bool = False) -> Any:
    """The driver's cursor after running a text. Raises SQLAlchemy's errors, for the driver's differ by driver.

    `conn` must be in a transaction already: this goes past SQLAlchemy.
    """
    raw = conn.connection
    cursor = raw.info.get(CURSOR) or raw.cursor()
    try:
        (cursor.executemany if many else cursor.execute)(sql, values)
    except DBAPIError:
        raise
    except Exception as error:
        known = conn.dialect.loaded_dbapi.Error
        raise DBAPIError.instance(sql, None, error, known) from error  # no values: they may be personal
    return cursor
