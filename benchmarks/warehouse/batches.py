"""What a batch costs the warehouse, beside a bare insert of the same rows by Arrow, in turns.

Both write into one file, tables of the same columns, with the statement that stamps `ingested_at`, a transaction a
batch. The bare one looks for nothing that is there already, adds nothing up, and notes no offset.
"""

import gc
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

import duckdb
import msgspec

from benchmarks.warehouse.filling import newest
from benchmarks.warehouse.lives import records
from flows.analytics import writer
from flows.analytics.columns import FRESH, table_of
from flows.analytics.ingest import IngestedRecord, ingest, positions
from flows.analytics.rows import WarehousePayment, WarehouseVerdict
from schemas.times import EPOCH

APART = timedelta(milliseconds=5)  # 200 a second
BARE: dict[str, type[msgspec.Struct]] = {"payments": WarehousePayment, "verdicts": WarehouseVerdict}


class BatchFigures(msgspec.Struct, frozen=True):
    """Of batches of `records`: the median of one, and rows a second; with or without `versions`.

    A rebuild writes none of what was replaced more than two days ago. `of_bare`: rows a second ÷ those of a bare
    insert, which builds its Arrow tables from the same rows; `of_ready`: ÷ those of one that finds them built.
    `cpu_*` is the same by CPU time, which says more where others use the cores.
    """

    records: int
    versions: bool
    batch_ms: float
    cpu_ms: float
    rows_per_s: int
    of_bare: float
    of_ready: float
    cpu_of_bare: float
    cpu_of_ready: float


class Clocks(NamedTuple):
    """Seconds on the wall, and of CPU."""

    wall: float
    cpu: float

    def since(self, begun: "Clocks") -> "Clocks":
        """What has passed."""
        return Clocks(self.wall - begun.wall, self.cpu - begun.cpu)


class TurnCost(NamedTuple):
    """What one batch took: the warehouse, and the bare insert to build its tables and to write them."""

    whole: Clocks
    built: Clocks
    inserted: Clocks


def measure(con: duckdb.DuckDBPyConnection, size: int, count: int, versions: bool = True) -> BatchFigures:
    """Write so many batches of `size` records each into the warehouse, and each into bare tables as well."""
    since = EPOCH if versions else newest(con) + timedelta(days=365)
    con.execute("SET wal_autocheckpoint = '100GB'")  # it would fall to whichever of the two is about to commit
    for name in BARE:
        con.execute(f"CREATE OR REPLACE TABLE store.bare_{name} AS FROM store.{name} LIMIT 0")
    began = newest(con) + timedelta(seconds=1)
    items = [ingest(record) for record in records(size * count // 4, began, APART)]
    gc.collect()
    gc.freeze()  # decoded records wait in no flow: a collection would look through all of them
    turns = [TurnCost(_write(con, batch, since), *_bare(con, batch)) for batch in _batches(items, size)]
    gc.unfreeze()
    for name in BARE:
        con.execute(f"DROP TABLE store.bare_{name}")
    con.execute("CHECKPOINT")
    rows = sum(len(item.rows) for item in items)
    return _figures(size, versions, rows, turns)


def _figures(size: int, versions: bool, rows: int, turns: Sequence[TurnCost]) -> BatchFigures:
    wall, cpu = ([[clocks[which] for clocks in turn] for turn in turns] for which in (0, 1))
    whole, built, inserted = (sum(column) for column in zip(*wall, strict=True))
    cpu_whole, cpu_built, cpu_inserted = (sum(column) for column in zip(*cpu, strict=True))
    return BatchFigures(
        size,
        versions,
        batch_ms=round(median(turn.whole.wall for turn in turns) * 1000, 1),
        cpu_ms=round(median(turn.whole.cpu for turn in turns) * 1000, 1),
        rows_per_s=round(rows / whole),
        of_bare=round((built + inserted) / whole, 2),
        of_ready=round(inserted / whole, 2),
        cpu_of_bare=round((cpu_built + cpu_inserted) / cpu_whole, 2),
        cpu_of_ready=round(cpu_inserted / cpu_whole, 2),
    )


def _now() -> Clocks:
    return Clocks(time.perf_counter(), time.process_time())


def _write(con: duckdb.DuckDBPyConnection, batch: Sequence[IngestedRecord], since: datetime) -> Clocks:
    begun = _now()
    rows = [row for item in batch for row in item.rows]
    writer.write_batch(con, rows, positions([item.record for item in batch]), since, {})
    return _now().since(begun)


def _bare(con: duckdb.DuckDBPyConnection, batch: Sequence[IngestedRecord]) -> tuple[Clocks, Clocks]:
    """What it takes to build the tables, and to insert them in one transaction."""
    begun = _now()
    rows = [row for item in batch for row in item.rows]
    tables = {name: table_of([row for row in rows if isinstance(row, kind)], kind) for name, kind in BARE.items()}
    built = _now()
    con.execute("BEGIN")
    for name, table in tables.items():
        con.register("bare", table)
        con.execute(f"INSERT INTO store.bare_{name} BY NAME {FRESH.format(fresh='bare')}")
    con.execute("COMMIT")
    return built.since(begun), _now().since(built)


def _batches(items: Sequence[IngestedRecord], size: int) -> list[Sequence[IngestedRecord]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]
