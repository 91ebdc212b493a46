"""What a batch costs the warehouse, beside a bare insert of the same rows by Arrow, in turns."""

import gc
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

import duckdb
import msgspec

from benchmarks.warehouse.filling import newest
from benchmarks.warehouse.lives import records
from flows.analytics import writer
from flows.analytics.columns import table_of
from flows.analytics.ingest import IngestedRecord, ingest, positions
from flows.analytics.rows import WarehousePayment, WarehouseVerdict
from schemas.times import EPOCH

APART = timedelta(milliseconds=5)  # 200 a second
BARE: dict[str, type[msgspec.Struct]] = {"payments": WarehousePayment, "verdicts": WarehouseVerdict}


class BatchFigures(msgspec.Struct, frozen=True):
    """Of batches of `records`: the median of one, and rows a second; with or without `versions`.

    A rebuild writes none of what was replaced more than two days ago. `of_bare`: rows a second ÷ those of a bare
    insert, which builds its Arrow tables from the same rows; `of_ready`: ÷ those of one that finds them built.
    """

    records: int
    versions: bool
    batch_ms: float
    rows_per_s: int
    of_bare: float
    of_ready: float


def measure(con: duckdb.DuckDBPyConnection, size: int, count: int, versions: bool = True) -> BatchFigures:
    """Write so many batches of `size` records each into the warehouse, and each into bare tables as well."""
    since = EPOCH if versions else newest(con) + timedelta(days=365)
    con.execute("SET wal_autocheckpoint = '100GB'")  # it would fall to whichever of the two is about to commit
    for name in BARE:
        con.execute(f"CREATE OR REPLACE TABLE store.bare_{name} AS FROM store.{name} LIMIT 0")
        con.execute(f"ALTER TABLE store.bare_{name} DROP COLUMN ingested_at")
    began = newest(con) + timedelta(seconds=1)
    items = [ingest(record) for record in records(size * count // 4, began, APART)]
    gc.collect()
    gc.freeze()  # decoded records wait in no flow: a collection would look through all of them
    timed = [(_write(con, batch, since), *_bare(con, batch)) for batch in _batches(items, size)]
    gc.unfreeze()
    for name in BARE:
        con.execute(f"DROP TABLE store.bare_{name}")
    con.execute("CHECKPOINT")
    whole, built, inserted = (sum(column) for column in zip(*timed, strict=True))
    rows = sum(len(item.rows) for item in items)
    typical = round(median(seconds for seconds, *_ in timed) * 1000, 1)
    of_bare, of_ready = (built + inserted) / whole, inserted / whole
    return BatchFigures(size, versions, typical, round(rows / whole), round(of_bare, 2), round(of_ready, 2))


def _write(con: duckdb.DuckDBPyConnection, batch: Sequence[IngestedRecord], since: datetime) -> float:
    begun = time.perf_counter()
    rows = [row for item in batch for row in item.rows]
    writer.write_batch(con, rows, positions([item.record for item in batch]), since, {})
    return time.perf_counter() - begun


def _bare(con: duckdb.DuckDBPyConnection, batch: Sequence[IngestedRecord]) -> tuple[float, float]:
    """Seconds to build the tables, and to insert them in one transaction."""
    begun = time.perf_counter()
    rows = [row for item in batch for row in item.rows]
    tables = {name: table_of([row for row in rows if isinstance(row, kind)], kind) for name, kind in BARE.items()}
    built = time.perf_counter()
    con.execute("BEGIN")
    for name, table in tables.items():
        con.register("bare", table)
        con.execute(f"INSERT INTO store.bare_{name} BY NAME FROM bare")
    con.execute("COMMIT")
    return built - begun, time.perf_counter() - built


def _batches(items: Sequence[IngestedRecord], size: int) -> list[Sequence[IngestedRecord]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]
