"""Writes a batch of rows and the offsets after them to DuckDB in one transaction.

Rows are passed as Arrow tables (docs/decisions/0053-rows-by-arrow.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import duckdb

from connectors.record_reader import Bookmark
from connectors.records import Place
from flows.analytics.aggregates import COUNT_MINUTES, COUNT_RISK
from flows.analytics.columns import table_of
from flows.analytics.ingest import latest, latest_controls, latest_payments
from flows.analytics.kept_tables import (
    APPEND,
    APPEND_ADDED,
    APPENDED,
    REPLACED,
    SELECT_ADDED,
    AppendedTable,
    LedgerUnbalanced,
    ReplacedTable,
)
from flows.analytics.retention import Pruned, without_repeats, woken
from flows.analytics.rows import (
    PartitionLag,
    PartitionPosition,
    RemovedControl,
    ReplacedRow,
    WarehouseControl,
    WarehousePayment,
    WarehouseRow,
)
from flows.analytics.spans import among, created, in_utc, spans, within
from flows.analytics.versions import NOTHING, KnownPayment, by_payment, keep, replacements, settle

# The rows that are given to a statement, as the Arrow table `fresh`.
FRESH = "SELECT *, now()::TIMESTAMP AS ingested_at FROM fresh"

# A payment is looked up only where its created_at is, which never changes. Its trace stays: it is the first's.
# The table is narrow: a row of all columns is written once, where it stays.
FIND_PAYMENTS = """
CREATE OR REPLACE TEMP TABLE found AS
SELECT fresh.id, fresh.sequence, fresh.created_at, fresh.state, fresh.processor, fresh.currency, fresh.amount,
       fresh.amount_captured, fresh.amount_refunded, fresh.risk_outcome, fresh.risk_source,
       coalesce(known.trace_id, fresh.trace_id) AS trace_id,
       known.id IS NOT NULL AS is_known, known.sequence AS old_sequence, known.recorded_at AS old_recorded_at,
       known.state AS old_state, known.processor AS old_processor,
       known.currency AS old_currency, known.amount AS old_amount,
       known.amount_captured AS old_captured, known.amount_refunded AS old_refunded,
       known.risk_outcome AS old_risk_outcome, known.risk_source AS old_risk_source
FROM fresh LEFT JOIN ({there}) known ON known.id = fresh.id
"""
# A stub that was given back is no version: most of it is missing.
KNOWN = "SELECT id, old_sequence, old_recorded_at FROM found WHERE old_recorded_at IS NOT NULL"
STANDING = "SELECT id FROM found WHERE NOT is_known OR old_sequence <= sequence"
CHANGED = "CREATE OR REPLACE TEMP VIEW changed AS FROM found WHERE NOT is_known OR old_sequence < sequence"

# Faster than a MERGE, which would do the same: a row with a list is not updated in its place.
TAKE_REPLACED = "DELETE FROM store.payments WHERE {created} AND id IN (SELECT id FROM changed WHERE is_known)"
INSERT_CHANGED = """
INSERT INTO store.payments BY NAME
SELECT fresh.* REPLACE (changed.trace_id AS trace_id), now()::TIMESTAMP AS ingested_at
FROM fresh JOIN changed USING (id)
"""

UPSERT_CONTROLS = f"""
MERGE INTO store.controls c USING ({FRESH}) fresh ON c.id = fresh.id
WHEN MATCHED AND c.recorded_at <= fresh.recorded_at THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME
"""
REMOVE_CONTROLS = "DELETE FROM store.controls WHERE id IN (SELECT unnest($ids))"

# Where the batch began goes along: what it changed is told after the commit, so who dies in between reads it once
# more.
ADVANCE_OFFSETS = f"""
INSERT INTO store.offsets BY NAME {FRESH}
ON CONFLICT DO UPDATE SET
    told_at = CASE excluded.told_offset
        WHEN offsets.next_offset THEN offsets.newest_at WHEN offsets.told_offset THEN offsets.told_at END,
    told_offset = excluded.told_offset, next_offset = excluded.next_offset, newest_at = excluded.newest_at,
    ingested_at = excluded.ingested_at
"""
UNTOLD = "SELECT topic, partition, coalesce(told_offset, 0), epoch_ms(told_at) FROM store.offsets WHERE topic = ?"
SAVE_LAG = f"INSERT OR REPLACE INTO store.lags BY NAME {FRESH}"


def write_batch(
    con: duckdb.DuckDBPyConnection,
    rows: Sequence[WarehouseRow],
    positions: Sequence[PartitionPosition],
    since: datetime,
    pruned: Pruned,
) -> list[str]:
    """Write `rows` and `positions` in one transaction; the payments of which a row now stands in the warehouse.

    Versions of payments that were replaced by `since` (UTC) are not kept. `pruned`: what retention took away; a
    repeat of that is not written. Raises `duckdb.Error`, `LedgerUnbalanced`, or an error of `columns.UNFIT`, with
    nothing written.
    """
    rows = without_repeats(rows, pruned)
    with transaction(con):
        payments = woken(con, [row for row in rows if isinstance(row, WarehousePayment)], pruned)
        standing = _write_payments(con, payments, since)
        for replaced in REPLACED:
            _replace(con, replaced, latest(row for row in rows if isinstance(row, replaced.rows)))
        for appended in APPENDED:
            _append(con, appended, [row for row in rows if isinstance(row, appended.rows)])
        _write_controls(con, [row for row in rows if isinstance(row, WarehouseControl | RemovedControl)])
        _execute(con, ADVANCE_OFFSETS, positions)
    return standing


def stored_bookmarks(con: duckdb.DuckDBPyConnection) -> dict[Place, Bookmark]:
    """Where to read each partition on: as of the last transaction."""
    return _bookmarks(con, "SELECT topic, partition, next_offset, epoch_ms(newest_at) FROM store.offsets")


def untold_bookmarks(con: duckdb.DuckDBPyConnection, topic: str) -> dict[Place, Bookmark]:
    """From where on changes of a topic may not have been told; none of what was read before that was noted."""
    return _bookmarks(con, UNTOLD, topic)


def _bookmarks(con: duckdb.DuckDBPyConnection, statement: str, *parameters: str) -> dict[Place, Bookmark]:
    found = con.execute(statement, parameters).fetchall()
    return {(topic, partition): Bookmark(offset, read_ms) for topic, partition, offset, read_ms in found}


def save_lag(con: duckdb.DuckDBPyConnection, lag: Mapping[Place, int]) -> None:
    """Store how many records of each partition are still to be read."""
    lags = [PartitionLag(topic, partition, left) for (topic, partition), left in lag.items()]
    if lags:
        _execute(con, SAVE_LAG, lags)


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction: all of it is written, or nothing."""
    con.execute("BEGIN")
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")


def _write_payments(
    con: duckdb.DuckDBPyConnection, rows: Sequence[WarehousePayment], since: datetime
) -> list[str]:
    if not rows:
        return []
    births = {in_utc(row.created_at) for row in rows}
    there = spans(births)
    _execute(con, FIND_PAYMENTS.format(there=within("store.payments", there)), latest_payments(rows))
    con.execute(CHANGED)
    past = NOTHING
    if max(in_utc(row.recorded_at) for row in rows) > since:  # else it was all replaced before
        past = replacements(by_payment(rows), _known(con), since)
    keep(con, past, there)
    minutes = among("m.minute", {birth.replace(second=0, microsecond=0) for birth in births})
    for count in (COUNT_MINUTES, COUNT_RISK):
        con.execute(count.format(there=minutes))
    for span in there:
        con.execute(TAKE_REPLACED.format(created=created(span)))
    con.execute(INSERT_CHANGED)
    settle(con, past, there)
    return [id for [id] in con.execute(STANDING).fetchall()]


def _known(con: duckdb.DuckDBPyConnection) -> dict[str, KnownPayment]:
    found = con.execute(KNOWN).fetchall()
    return {id: KnownPayment(sequence, in_utc(recorded_at)) for id, sequence, recorded_at in found}


def _replace(con: duckdb.DuckDBPyConnection, table: ReplacedTable, rows: Sequence[ReplacedRow]) -> None:
    if rows:
        _execute(con, table.replace(FRESH, rows), rows)


def _append(con: duckdb.DuckDBPyConnection, table: AppendedTable, rows: Sequence[WarehouseRow]) -> None:
    if not rows:
        return
    firsts = table.firsts(rows)
    clocks = [table.clock_of(row) for row in firsts]
    span = {"oldest": min(clocks), "newest": max(clocks)}
    if not table.counted:
        _execute(con, APPEND.format(table=table.name, new=table.new(FRESH)), firsts, **span)
        return
    _execute(con, SELECT_ADDED.format(new=table.new(FRESH)), firsts, **span)
    if table.odd and con.execute(table.odd).fetchall() != [(0,)]:
        raise LedgerUnbalanced
    con.execute(APPEND_ADDED.format(table=table.name))
    for count in table.counted:
        con.execute(count, {"oldest": min(clocks)} if "$oldest" in count else {})


def _write_controls(con: duckdb.DuckDBPyConnection, rows: Sequence[WarehouseControl | RemovedControl]) -> None:
    if removed := [row.id for row in rows if isinstance(row, RemovedControl)]:
        con.execute(REMOVE_CONTROLS, {"ids": removed})
    if kept := latest_controls(rows):
        _execute(con, UPSERT_CONTROLS, kept)


def _execute(
    con: duckdb.DuckDBPyConnection,
    statement: str,
    rows: Sequence[WarehouseRow | PartitionPosition | PartitionLag],
    **parameters: object,
) -> None:
    """Run a statement over `fresh`, which are these rows."""
    con.register("fresh", table_of(rows))
    con.execute(statement, parameters)
