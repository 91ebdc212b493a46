"""The answer to a person's statement, in a DuckDB file of its own: shown in pages, taken as CSV or Parquet.

A file, not memory: an answer may have 100,000 rows, and as many people look at theirs as there are.
"""

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import duckdb
import msgspec

from connectors.warehouse import KEPT, Table, quoted
from dashboards import formats
from dashboards.tables import payment_href
from dashboards.tile import as_csv
from schemas.times import now

ROWS_SHOWN = 50
MEMORY = "128MB"
WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
BROKEN = ("FLOAT", "DOUBLE")
SECONDS = len("2026-11-27 14:03:07.123")
OF_MONEY = ("net", "reversed", "held", "lost", "due_by_then", "captured", "refunded")
GROUPED_FROM = 10_000  # below it a number may be a year

Kind = Literal["whole", "broken", "time", "text"]


class AnswerColumn(msgspec.Struct, frozen=True):
    """A column; `type` as DuckDB names it. `is_money`: amounts in minor units, of the column `currency`."""

    name: str
    type: str
    is_money: bool

    @property
    def kind(self) -> Kind:
        """How its values are read and shown."""
        if self.type in WHOLE or self.type.startswith("DECIMAL"):
            return "whole"
        if self.type in BROKEN:
            return "broken"
        return "time" if self.type.startswith(("TIMESTAMP", "DATE")) else "text"


class AnswerCell(msgspec.Struct, frozen=True):
    """A value as it is shown, and where it leads."""

    text: str
    href: str = ""


class KeptAnswer:
    """An answer; its file goes when nobody has it any more."""

    def __init__(self, path: Path, statement: str, rows: int, seconds: float) -> None:
        """`seconds`: how long it took."""
        self.statement, self.rows, self.seconds, self.at = statement, rows, seconds, now()
        self._path = path
        self._con = duckdb.connect(str(path), read_only=True, config={"threads": 1, "memory_limit": MEMORY})
        weakref.finalize(self, _remove, path, self._con)
        self._con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        described = self._con.execute(f"DESCRIBE {KEPT}").fetchall()
        has_currency = any(name == "currency" for name, *_ in described)
        self.columns = [
            AnswerColumn(name, type, has_currency and type in WHOLE and _names_money(name))
            for name, type, *_ in described
        ]

    @property
    def has_money(self) -> bool:
        """Whether amounts are shown in units of their currency."""
        return any(column.is_money for column in self.columns)

    def page(self, start: int) -> list[list[AnswerCell]]:
        """`ROWS_SHOWN` rows from the row `start` on (from 0), as they are shown."""
        rows = self._values(self.columns, f"LIMIT {ROWS_SHOWN} OFFSET {start}")
        return [shown(self.columns, row) for row in rows]

    def values(self, columns: Sequence[AnswerColumn], most: int) -> list[tuple[Any, ...]]:
        """The first `most` rows of some columns: numbers as they are, everything else as text."""
        return self._values(columns, f"LIMIT {most}")

    def csv(self) -> bytes:
        """All of it as CSV; no text is a formula to a spreadsheet."""
        return as_csv(Table([column.name for column in self.columns], self._values(self.columns, "")))

    def parquet(self) -> bytes:
        """All of it as Parquet, which has no whole numbers above 64 bits: they are decimals there."""
        columns = ", ".join(
            f"{_name(column)}::DECIMAL(38, 0) AS {_name(column)}" if column.type == "HUGEINT" else _name(column)
            for column in self.columns
        )
        path = self._path.with_suffix(".parquet")
        written = f"SELECT {columns} FROM {KEPT}"  # noqa: S608 (names in quotes)
        try:
            to = f"{quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
            self._con.cursor().execute(f"COPY ({written}) TO {to}")
            return path.read_bytes()
        finally:
            path.unlink(missing_ok=True)

    def _values(self, columns: Sequence[AnswerColumn], part: str) -> list[tuple[Any, ...]]:
        """Times and what is nested are made texts by DuckDB, which has more of them than Python."""
        numbers = ("whole", "broken")
        asked = [_name(c) if c.kind in numbers else f"{_name(c)}::VARCHAR" for c in columns]
        statement = f"SELECT {', '.join(asked)} FROM {KEPT} {part}"  # noqa: S608 (names in quotes)
        return self._con.cursor().execute(statement).fetchall()


def shown(columns: Sequence[AnswerColumn], row: Sequence[Any]) -> list[AnswerCell]:
    """The cells of a row."""
    currency = next((v for c, v in zip(columns, row, strict=True) if c.name == "currency"), None)
    return [_cell(column, value, currency) for column, value in zip(columns, row, strict=True)]


def _cell(column: AnswerColumn, value: Any, currency: str | None) -> AnswerCell:
    if value is None:
        return AnswerCell(formats.NONE)
    if column.is_money and currency:
        return AnswerCell(formats.amount(value, currency))
    match column.kind:
        case "whole":
            return AnswerCell(formats.count(value) if abs(value) >= GROUPED_FROM else f"{value}")
        case "broken":
            return AnswerCell(_broken(value))
        case "time":
            return AnswerCell(value[:SECONDS].removesuffix(".000"))
        case "text":
            return AnswerCell(value, payment_href(value) if _is_payment(value) else "")


def _broken(value: float) -> str:
    return formats.shortened(value) if abs(value) >= 0.001 or not value else f"{value:.3g}"


def _is_payment(value: str) -> bool:
    return value.startswith("pay_") and value[4:].isalnum()


def _names_money(name: str) -> bool:
    """Whether a whole number of that name is of money, as in the views and in the questions of docs/sql.md."""
    return name.startswith("amount") or name in OF_MONEY


def _name(column: AnswerColumn) -> str:
    return '"' + column.name.replace('"', '""') + '"'


def _remove(path: Path, con: duckdb.DuckDBPyConnection) -> None:
    con.close()
    for each in (path, path.with_suffix(".parquet")):
        each.unlink(missing_ok=True)
