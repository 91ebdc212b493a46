"""Writes a batch of rows and the offsets after them to DuckDB in one transaction.

Rows are passed as Arrow tables (docs/decisions/0053-rows-by-arrow.md).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from connectors.record_reader import Bookmark
from connectors.records import Place
from flows.analytics import minutes
from flows.analytics.births import around, elsewhere, moved, of_one_birth
from flows.analytics.columns import FRESH, TYPES, give, insert, listed, table_of
from flows.analytics.ingest import latest_controls
from flows.analytics.kept_tables import APPENDED, REPLACED
from flows.analytics.retention import Pruned, without_repeats, woken
from flows.analytics.rows import (
    PartitionLag,
    PartitionPosition,
    RemovedControl,
    WarehouseControl,
    WarehousePayment,
    WarehouseRow,
)
from flows.analytics.spans import Span, in_utc, stored
from flows.analytics.stored_payments import NewerPayment, StoredPayment, by_payment, changes, find, traces
from flows.analytics.versions import (
    NOTHING,
    KnownPayment,
    Replacements,
    drop_repeated,
    replace_stored,
    replacements,
    settle,
)
from schemas.times import as_utc, now

UPSERT_CONTROLS = f"""
MERGE INTO store.controls c USING ({FRESH}) fresh ON c.id = fresh.id
WHEN MATCHED AND c.recorded_at <= fresh.recorded_at THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME
"""
REMOVE_CONTROLS = "DELETE FROM store.controls WHERE id IN (SELECT unnest($ids))"

# Where the batch began goes along: what it changed is told after the commit, so who dies in between reads it once
# more.
POSITION = {
    "topic": "VARCHAR",
    "partition": "BIGINT",
    "next_offset": "BIGINT",
    "newest_at": "TIMESTAMP",
    "told_offset": "BIGINT",
}
ADVANCE_OFFSETS = """
UPDATE store.offsets o SET
    told_at = CASE fresh.told_offset WHEN o.next_offset THEN o.newest_at WHEN o.told_offset THEN o.told_at END,
    told_offset = fresh.told_offset, next_offset = fresh.next_offset, newest_at = fresh.newest_at,
    ingested_at = now()::TIMESTAMP
FROM ({given}) fresh WHERE o.topic = fresh.topic AND o.partition = fresh.partition
"""
# An upsert takes as long as both, and a partition is new once.
BEGIN_OFFSETS = """
INSERT INTO store.offsets BY NAME
SELECT *, now()::TIMESTAMP AS ingested_at FROM ({given}) fresh
ANTI JOIN store.offsets o ON o.topic = fresh.topic AND o.partition = fresh.partition
"""
UNTOLD = "SELECT topic, partition, coalesce(told_offset, 0), epoch_ms(told_at) FROM store.offsets WHERE topic = ?"
# Where the payments of a batch are, the rows of each, and what is stored of them.
StoredBatch = tuple[list[Span], Mapping[str, Sequence[WarehousePayment]], Mapping[str, StoredPayment]]

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
    by_type = _by_type(without_repeats(rows, pruned))
    with transaction(con):
        payments = woken(con, by_type[WarehousePayment], pruned)
        standing = _write_payments(con, payments, since, pruned) if payments else []
        told: dict[str, int] = {}
        for replaced in REPLACED:
            if replaced.rows in by_type:
                told |= replaced.replace(con, by_type[replaced.rows])
        for appended in APPENDED:
            if appended.rows in by_type:
                appended.append(con, by_type[appended.rows], told)
        if WarehouseControl in by_type or RemovedControl in by_type:
            _write_controls(con, [row for row in rows if isinstance(row, WarehouseControl | RemovedControl)])
        _advance_offsets(con, positions)
    return standing


def _advance_offsets(con: duckdb.DuckDBPyConnection, positions: Sequence[PartitionPosition]) -> None:
    given = {name: [getattr(each, name) for each in positions] for name in POSITION}
    given["newest_at"] = [stored(each.newest_at) for each in positions]
    [(known,)] = con.execute(ADVANCE_OFFSETS.format(given=listed(POSITION)), given).fetchall()
    if known < len(positions):
        con.execute(BEGIN_OFFSETS.format(given=listed(POSITION)), given)


def _by_type(rows: Iterable[WarehouseRow]) -> dict[type[WarehouseRow], list[Any]]:
    found: dict[type[WarehouseRow], list[Any]] = defaultdict(list)
    for row in rows:
        found[type(row)].append(row)
    return found


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
        con.execute(SAVE_LAG.format(fresh=give(con, "lags", table_of(lags))))


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
    con: duckdb.DuckDBPyConnection, rows: Sequence[WarehousePayment], since: datetime, pruned: Pruned
) -> list[str]:
    there, batch, known = _find(con, rows, pruned)
    changed = changes(batch, known)
    past, newest = NOTHING, max(in_utc(row.recorded_at) for row in rows)
    if newest > since:  # else it was all replaced before
        past = replacements(batch, _whole(known), since, _present(con, newest))
    replace_stored(con, [each.known for each in changed if each.known], dict(past.stored))
    drop_repeated(con, past, there)
    minutes.note(con, changed)
    _insert_payments(con, changed, past, traces(batch, known))
    settle(con, past, there)
    return [id for id, each in batch.items() if id not in known or known[id].sequence <= each[-1].sequence]


def _find(con: duckdb.DuckDBPyConnection, rows: Sequence[WarehousePayment], pruned: Pruned) -> StoredBatch:
    """What is stored of payments, where events give them other times of their creation too."""
    there, batch, known = _stored(con, rows)
    if births := elsewhere(con, batch, known):
        there, batch, known = _stored(con, woken(con, moved(batch, births), pruned))
    return there, of_one_birth(batch, known), known


def _stored(con: duckdb.DuckDBPyConnection, rows: Sequence[WarehousePayment]) -> StoredBatch:
    if not rows:
        return [], {}, {}
    there, batch = around(in_utc(row.created_at) for row in rows), by_payment(rows)
    return there, batch, find(con, list(batch), there)


def _insert_payments(
    con: duckdb.DuckDBPyConnection,
    changed: Sequence[NewerPayment],
    past: Replacements,
    trace_ids: Mapping[str, str | None],
) -> None:
    """Write the rows that stand now, and those that passed within the batch, each with its payment's trace."""
    rows = [*(each.row for each in changed), *(row for row, _ in past.passed)]
    if not rows:
        return
    table = table_of(rows)
    traced = pa.array([trace_ids[row.id] for row in rows], type=TYPES[str])
    table = table.set_column(table.schema.get_field_index("trace_id"), "trace_id", traced)
    ends = pa.array([*[None] * len(changed), *(end for _, end in past.passed)], type=TYPES[datetime])
    insert(con, "payments", table.append_column("replaced_at", ends))


def _present(con: duckdb.DuckDBPyConnection, newest: datetime) -> datetime:
    """The time of this transaction, `ingested_at` of its rows, where `newest` may be later than that."""
    if newest <= now():
        return newest
    [(moment,)] = con.execute("SELECT now()::TIMESTAMP").fetchall()
    return as_utc(moment)


def _whole(known: Mapping[str, StoredPayment]) -> dict[str, KnownPayment]:
    """Without stubs that were given back: most of one is missing, so it is no version."""
    return {
        id: KnownPayment(each.sequence, as_utc(each.true_since)) for id, each in known.items() if each.true_since
    }


def _write_controls(con: duckdb.DuckDBPyConnection, rows: Sequence[WarehouseControl | RemovedControl]) -> None:
    if removed := [row.id for row in rows if isinstance(row, RemovedControl)]:
        con.execute(REMOVE_CONTROLS, {"ids": removed})
    if kept := latest_controls(rows):
        con.execute(UPSERT_CONTROLS.format(fresh=give(con, "controls", table_of(kept))))
