"""Statements written in SQLAlchemy Core, compiled once per dialect and run as text.

Building and compiling a statement on each call costs four times the rest of it (measured: docs/performance.md).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.sql.expression import Executable


class Statement:
    """`statement(conn, name=value, …)` runs it with these bind values and returns SQLAlchemy's result.

    Every bind parameter must be given (`bindparam("amount")`, or a column of a plain `insert(table)`).
    """

    def __init__(self, core: Executable) -> None:
        self._core = core
        self._compiled: dict[str, tuple[str, Sequence[str], dict[str, Any]]] = {}

    def __call__(self, conn: Connection, **values: Any) -> CursorResult[Any]:
        text, names, fixed = self._compiled.get(conn.dialect.name) or self._compile(conn)
        given = fixed | values if fixed else values
        return conn.exec_driver_sql(text, tuple([given[name] for name in names]))

    def _compile(self, conn: Connection) -> tuple[str, Sequence[str], dict[str, Any]]:
        compiled = self._core.compile(dialect=conn.dialect)  # type: ignore[attr-defined]
        fixed = {name: value for name, value in compiled.params.items() if value is not None}
        made = (str(compiled), compiled.positiontup or (), fixed)
        self._compiled[conn.dialect.name] = made
        return made
