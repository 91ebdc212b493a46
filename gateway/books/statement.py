"""Statements written in SQLAlchemy Core, compiled once per dialect and run as text.

Building and compiling a statement on each call costs four times the rest of it (docs/performance.md).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.dialects import postgresql, sqlite

INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Statement:
    """`statement(conn, name=value, …)` runs it with these values and returns SQLAlchemy's result.

    Every bind parameter must be given (`bindparam("amount")`, or a column of a plain `insert(table)`).
    An upsert is written as a function of the dialect's own `insert`: `lambda insert: insert(table).on_…`.
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        self._compiled: dict[str, tuple[str, Sequence[str], dict[str, Any]]] = {}

    def __call__(self, conn: Connection, **values: Any) -> CursorResult[*tuple[Any, ...]]:
        text, names, fixed = self._text(conn)
        given = {**fixed, **values}
        return conn.exec_driver_sql(text, tuple([given[name] for name in names]))

    def many(self, conn: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run it once per row of values."""
        text, names, fixed = self._text(conn)
        conn.exec_driver_sql(text, [tuple([{**fixed, **row}[name] for name in names]) for row in rows])

    def _text(self, conn: Connection) -> tuple[str, Sequence[str], dict[str, Any]]:
        return self._compiled.get(conn.dialect.name) or self._compile(conn)

    def _compile(self, conn: Connection) -> tuple[str, Sequence[str], dict[str, Any]]:
        name = conn.dialect.name
        core = self._core(INSERTS[name]) if callable(self._core) else self._core
        compiled = core.compile(dialect=conn.dialect)
        fixed = {key: value for key, value in compiled.params.items() if value is not None}
        self._compiled[name] = (str(compiled), compiled.positiontup or (), fixed)
        return self._compiled[name]
