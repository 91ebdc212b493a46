"""`sluice sql`: asks the running process `sql` and prints a table, CSV or JSON."""

import csv
import io
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import click
import msgspec

from connectors.warehouse import Table, WarehouseError, WarehouseReader
from schemas.settings import Settings, load

WIDTH_MAX = 48  # characters of one column of the table; CSV and JSON are not shortened
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


@click.command()
@click.argument("query", required=False)
@click.option("--csv", "shape", flag_value="csv", help="Print CSV.")
@click.option("--json", "shape", flag_value="json", help="Print a list of objects.")
@click.option("--table", "shape", flag_value="table", default=True, help="Print a table (default).")
def sql(query: str | None, shape: str) -> None:
    """Ask the warehouse: one SELECT, SHOW, DESCRIBE, PIVOT or EXPLAIN. Without QUERY, a prompt.

    The views are payments, refunds, payments_by_minute, payments_by_hour, payments_by_day, risk,
    risk_outcomes_by_minute, notifications, labels, model_quality, controls, dead_letters and pipeline_health;
    `DESCRIBE payments` shows the columns of one. Times are UTC, amounts minor units.
    """
    reader, show = WarehouseReader(load(Settings), "sql"), SHAPES[shape]
    if query is None:
        for statement in statements():
            answer(reader, statement, show)
    elif not answer(reader, query, show):
        sys.exit(1)


def answer(reader: WarehouseReader, query: str, show: Callable[[Table], str]) -> bool:
    """Print the answer to a query, or one line with the error; whether there was an answer."""
    try:
        table = reader.query(query)
    except WarehouseError as error:
        click.echo(f"Error: {error}", err=True)
        return False
    click.echo(show(table), color=True)  # else click takes escape codes out of the data
    return True


def statements() -> Iterator[str]:
    """The statements typed in; each ends with a semicolon, or with the input."""
    lines: list[str] = []
    while True:
        try:
            lines.append(input(("   ...> " if lines else "sluice> ") if sys.stdin.isatty() else ""))
        except EOFError:
            if "".join(lines).strip():
                yield "\n".join(lines)
            return
        if lines[-1].rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []


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


def as_table(table: Table) -> str:
    """Columns under their names, numbers aligned right, and the number of rows."""
    cells = [[printable(text(value)) for value in row] for row in table.rows]
    names = [printable(name) for name in table.columns]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    numeric = [all(isinstance(v, int | float | Decimal | None) for v in column) for column in _columns(table)]
    lines = [
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)).rstrip()
        for row in [names, ["─" * width for width in widths], *cells]
    ]
    return "\n".join([*lines, f"({len(cells)} {'row' if len(cells) == 1 else 'rows'})"])


SHAPES: dict[str, Callable[[Table], str]] = {"json": as_json, "csv": as_csv, "table": as_table}


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


def printable(cell: str) -> str:
    """A cell on one line of at most `WIDTH_MAX` characters, without terminal control sequences."""
    clean = "".join(character if character.isprintable() else "·" for character in cell)
    return clean if len(clean) <= WIDTH_MAX else clean[: WIDTH_MAX - 1] + "…"


def _columns(table: Table) -> list[tuple[Any, ...]]:
    return list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
