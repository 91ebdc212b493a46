"""The shapes of an answer: a table, CSV, JSON, or a line for each value."""

import csv
import io
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any, Literal

import msgspec

from connectors.warehouse import Table

Shape = Literal["table", "csv", "json", "lines"]

WIDTH_MAX = 48  # characters of one column of the table; the other shapes are not shortened
GAP = "  "
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def as_json(table: Table) -> str:
    """A list of objects; times with a Z, decimals as numbers."""
    rows = [dict(zip(table.columns, map(plain, row), strict=True)) for row in table.rows]
    return _encoder.encode(rows).decode()


def as_csv(table: Table) -> str:
    """A line of names, then a line per row; null is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([text(value) for value in row] for row in table.rows)
    return out.getvalue().rstrip("\n")


def as_lines(table: Table) -> str:
    """A line for each value below the number of its row: for rows that are too wide for a table."""
    longest = max(map(len, table.columns), default=0)
    lines = list[str]()
    for number, row in enumerate(table.rows, 1):
        lines.append(f"── {number}")
        for name, value in zip(table.columns, row, strict=True):
            lines.append(f"{name.rjust(longest)}{GAP}{cell(value, None)}".rstrip())
    return "\n".join([*lines, f"({_rows(table)})"])


def as_table(table: Table, room: int | None = None) -> str:
    """Columns under their names, numbers aligned right, and the number of rows.

    Those from the left that fit into `room` characters, at least one; all of them without it.
    """
    cells = [[cell(value) for value in row] for row in table.rows]
    names = [cell(name) for name in table.columns]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    fitting = len(widths) if room is None else _fitting(widths, room)
    numeric = [all(isinstance(v, int | float | Decimal | None) for v in column) for column in _columns(table)]
    lines = [
        GAP.join(
            c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row[:fitting], widths, numeric, strict=False)
        ).rstrip()
        for row in [names, ["─" * width for width in widths], *cells]
    ]
    left_out = f"; {fitting} of {len(widths)} columns fit" if fitting < len(widths) else ""
    return "\n".join([*lines, f"({_rows(table)}{left_out})"])


SHAPES: dict[Shape, Callable[[Table], str]] = {
    "table": as_table,
    "csv": as_csv,
    "json": as_json,
    "lines": as_lines,
}


def plain(value: Any) -> Any:
    """A value that JSON can hold: the warehouse's integers may have 128 bits, and its maps keys of any type."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value) if abs(value) >= 2**63 else value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def text(value: Any) -> str:
    """A value as the text of a cell: JSON, but texts and times without quotes."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    shown = _encoder.encode(plain(value)).decode()
    return shown.strip('"') if isinstance(value, datetime) else shown


def cell(value: Any, width: int | None = WIDTH_MAX) -> str:
    """A value on one line of at most `width` characters, without terminal control sequences."""
    clean = "".join(character if character.isprintable() else "·" for character in text(value))
    return clean if width is None or len(clean) <= width else clean[: width - 1] + "…"


def _fitting(widths: list[int], width: int) -> int:
    """How many of the columns fit, from the left."""
    ends = accumulate(widths, lambda end, column: end + len(GAP) + column)
    return max(1, sum(end <= width for end in ends))


def _rows(table: Table) -> str:
    return f"{len(table.rows)} {'row' if len(table.rows) == 1 else 'rows'}"


def _columns(table: Table) -> list[tuple[Any, ...]]:
    return list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
