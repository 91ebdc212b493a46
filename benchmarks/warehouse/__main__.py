"""`python -m benchmarks.warehouse`: ten million payments, what is asked of them, what a batch costs beside them.

Writes the file first, which takes some minutes; with `--file` it is kept, and the next run goes on with it. Prints
one JSON document. `--part` measures one thing alone.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import click
import duckdb
import msgspec

from benchmarks.warehouse import batches, filling, freshness, questions
from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import open_file

Part = Literal["fill", "questions", "batches", "freshness"]

SIZES = {50: 40, 500: 40, 5_000: 10, 50_000: 3}  # records of a batch, and how many batches
PER_SECOND = 200.0


@click.command()
@click.option("--payments", default=10_000_000, help="How many there are before anything is measured.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="Keep the warehouse here.")
@click.option("--part", type=click.Choice(get_args(Part)), multiple=True, help="All of them without.")
@click.option("--minutes", default=9.0, help="How long it may fill the file; then it ends, to be called again.")
@click.option("--seconds", default=30.0, help="How long payments come in for their freshness.")
def main(payments: int, path: Path | None, part: tuple[Part, ...], minutes: float, seconds: float) -> None:
    """Measure the warehouse on this machine."""
    parts = part or get_args(Part)
    figures: dict[str, Any] = {}
    with _folder(path) as file:
        there = filling.fill(file, payments, time.monotonic() + minutes * 60)
        figures["payments"], figures["file_mb"] = there, round(file.stat().st_size / 1e6)
        if there < payments:
            click.echo(f"{there} of {payments} payments: call it again", err=True)
            sys.exit(2)
        if "questions" in parts:
            figures["questions"] = _opened(file, questions.ask_all)
        if "batches" in parts:
            figures["batches"] = _opened(file, _batches)
    if "freshness" in parts:
        figures["freshness"] = freshness.measure(PER_SECOND, seconds)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())


@contextmanager
def _folder(path: Path | None) -> Iterator[Path]:
    if path:
        yield path
    else:
        with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
            yield Path(folder) / "warehouse.duckdb"


def _batches(con: duckdb.DuckDBPyConnection) -> list[batches.BatchFigures]:
    return [batches.measure(con, size, count, kept) for kept in (True, False) for size, count in SIZES.items()]


def _opened(file: Path, measure: Any) -> Any:
    """What `measure` says of the file, opened as the process `sql` opens its own."""
    con: duckdb.DuckDBPyConnection = open_file(WarehouseFile(file, 512, 1))
    try:
        return measure(con)
    finally:
        con.close()


if __name__ == "__main__":
    main()
