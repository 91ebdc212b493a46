"""Details go once they are old enough, by the books' time; what is counted of them stays exact for ever.

Of a payment its stub stays: a later event of it (a refund a year later) finds what was counted, and brings the
payment back whole. The aggregates have counted the rest when it came.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import duckdb
import msgspec

from flows.analytics.rows import (
    WarehouseAlert,
    WarehouseDeadLetter,
    WarehouseLabel,
    WarehouseLedgerEntry,
    WarehouseNotification,
    WarehouseOperation,
    WarehousePayment,
    WarehouseRefund,
    WarehouseReview,
    WarehouseRow,
    WarehouseVerdict,
)
from flows.analytics.spans import in_utc, stored
from schemas.times import as_utc

CHUNK = 10_000  # rows of one transaction: 30 to 120 ms
MOMENT = timedelta(microseconds=1)  # the finest difference of two times

KEEP_STUBS = """
INSERT INTO store.payment_stubs BY NAME
SELECT id, sequence, created_at, recorded_at, state, currency, processor, amount, amount_captured, amount_refunded,
       risk_outcome, risk_source, waited_ms, trace_id
FROM store.standing WHERE recorded_at < $bound AND created_at < $bound
"""

# Whatever says how old rows are says it to whoever drops them, in the same transaction.
REMEMBER = """
INSERT INTO store.pruned VALUES ($name, $bound)
ON CONFLICT (name) DO UPDATE SET before = greatest(pruned.before, excluded.before)
"""

# What was read last says how late it is where records wait: none of them may be older than what is pruned. Null
# where that is not known.
PRESENT = """
SELECT CASE WHEN count(*) FILTER (l.lag > 0 AND o.newest_at IS NULL) = 0 AND count(*) > 0
            THEN least(now()::TIMESTAMP, min(o.newest_at) FILTER (l.lag > 0)) END
FROM store.lags l LEFT JOIN store.offsets o USING (topic, partition)
"""

WAKE = """
CREATE OR REPLACE TEMP TABLE waking AS
SELECT stub.*, fresh.sequence AS fresh_sequence
FROM store.payment_stubs stub
JOIN (SELECT unnest($ids::VARCHAR[]) AS id, unnest($sequences::BIGINT[]) AS sequence) fresh USING (id)
WHERE stub.created_at BETWEEN $oldest AND $newest
"""
# Without `recorded_at`: by that the writer knows that it was no whole row, and keeps no version of it.
GIVE_BACK = """
INSERT INTO store.payments BY NAME
SELECT * EXCLUDE (fresh_sequence, recorded_at) FROM waking WHERE sequence < fresh_sequence
"""
DROP_WOKEN = """
DELETE FROM store.payment_stubs
WHERE created_at BETWEEN $oldest AND $newest AND id IN (SELECT id FROM waking WHERE sequence < fresh_sequence)
"""

Pruned = Mapping[str, datetime]  # by table: all rows older than that are gone (UTC)


class PrunedTable(msgspec.Struct, frozen=True):
    """A table of details. `clocks`: the columns that say how old a row is, which is as young as its youngest.

    `keep`: what stores the rest of the rows that go, older than `$bound`. `drops_repeats`: a row older than what
    was pruned is a repeat, and not written. `goes`: a condition of every row that may go.
    """

    name: str
    rows: type[WarehouseRow]
    clocks: tuple[str, ...] = ("recorded_at",)
    keep: str | None = None
    drops_repeats: bool = True
    goes: str = "true"

    def is_older(self, than: str) -> str:
        """The condition that a row is older than a parameter."""
        return " AND ".join([*(f"{clock} < {than}" for clock in self.clocks), self.goes])


PRUNED = (
    # Its stub tells a repeat. No stub is of a payment created since, so younger ones need not look for theirs.
    # Rows that were replaced stay for as long as `payments_as_of` may ask.
    PrunedTable(
        "payments",
        WarehousePayment,
        ("recorded_at", "created_at"),
        keep=KEEP_STUBS,
        drops_repeats=False,
        goes="replaced_at IS NULL",
    ),
    PrunedTable("refunds", WarehouseRefund),
    PrunedTable("verdicts", WarehouseVerdict),
    PrunedTable("labels", WarehouseLabel),
    PrunedTable("alerts", WarehouseAlert),
    PrunedTable("notifications", WarehouseNotification),
    PrunedTable("dead_letters", WarehouseDeadLetter),
    # Of an open one its end is still to come, which takes away what was counted of it.
    PrunedTable("operations", WarehouseOperation, goes="status <> 'unknown'"),
    # `sluice outbox backfill` tells today of postings of any age: age alone makes none a repeat, and each has to
    # be here for as long as it may come again, to tell its repeat.
    PrunedTable("ledger", WarehouseLedgerEntry, ("recorded_at", "ingested_at"), drops_repeats=False),
    PrunedTable("reviews", WarehouseReview),
)
# Every other table of the schema `store`, and why it stays.
STAYS = {
    "payment_stubs": "what is left of payments: a late event of one finds what was counted of it",
    "history": "a row",
    "accounts": "a row per account",
    "payment_changes": "a minute's, which then goes into the three below",
    "operation_changes": "a minute's, which then goes into the next",
    "operation_minutes": "an aggregate",
    "payment_minutes": "an aggregate",
    "payment_hours": "an aggregate",
    "risk_minutes": "an aggregate",
    "label_hours": "an aggregate",
    "balances": "an aggregate",
    "ledger_days": "an aggregate",
    "controls": "what is in force",
    "offsets": "where to read on",
    "lags": "a row per partition",
    "pruned": "a row per table",
}
BY_ROWS = {table.rows: table.name for table in PRUNED if table.drops_repeats}


def pruned_before(con: duckdb.DuckDBPyConnection) -> dict[str, datetime]:
    """Before which time nothing is left, by table (UTC)."""
    rows = con.execute("SELECT name, before FROM store.pruned").fetchall()
    return {name: as_utc(before) for name, before in rows}


def present(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """Up to when all has been read (UTC): now, or the newest record of the partition that is most behind."""
    [(moment,)] = con.execute(PRESENT).fetchall()
    return as_utc(moment) if moment else None


def prune(
    con: duckdb.DuckDBPyConnection, table: PrunedTable, cutoff: datetime, rows_max: int = CHUNK
) -> datetime | None:
    """Delete about `rows_max` of the rows older than `cutoff`, the oldest; call it in a transaction.

    The time before which nothing is left then; None where there was nothing to delete.
    """
    bound = _bound(con, table, cutoff, rows_max)
    if bound is None:
        return None
    if table.keep:
        con.execute(table.keep, {"bound": stored(bound)})
    con.execute(
        f"DELETE FROM store.{table.name} WHERE {table.is_older('$bound')}",  # noqa: S608 - of constants
        {"bound": stored(bound)},
    )
    con.execute(REMEMBER, {"name": table.name, "bound": stored(bound)})
    return bound


def without_repeats(rows: Sequence[WarehouseRow], pruned: Pruned) -> Sequence[WarehouseRow]:
    """`rows` without those that can only be repeats of what was pruned."""
    if not pruned:
        return rows
    return [row for row in rows if not _is_repeat(row, pruned)]


def woken(
    con: duckdb.DuckDBPyConnection, rows: Sequence[WarehousePayment], pruned: Pruned
) -> Sequence[WarehousePayment]:
    """`rows` without repeats of pruned payments; those whose stub is older are in `store.payments` again.

    Call it in the transaction that then writes the rows: a payment that was given back has only what its stub had.
    """
    if not rows or "payments" not in pruned:
        return rows
    created = [in_utc(row.created_at) for row in rows]
    if min(created) >= pruned["payments"]:
        return rows
    span = {"oldest": stored(min(created)), "newest": stored(max(created))}
    newest: dict[str, int] = {}
    for row in rows:
        newest[row.id] = max(row.sequence, newest.get(row.id, 0))
    con.execute(WAKE, {"ids": list(newest), "sequences": list(newest.values())} | span)
    con.execute(GIVE_BACK)
    con.execute(DROP_WOKEN, span)
    counted = dict(con.execute("SELECT id, sequence FROM waking").fetchall())
    return [row for row in rows if row.sequence > counted.get(row.id, 0)]


def _bound(con: duckdb.DuckDBPyConnection, table: PrunedTable, cutoff: datetime, rows_max: int) -> datetime | None:
    """The time before which about `rows_max` rows are, or `cutoff`; None where no row is older than that."""
    youngest = f"greatest({', '.join(table.clocks)})"
    oldest_first = f"""
        SELECT {youngest} AS age FROM store.{table.name}
        WHERE {table.is_older("$cutoff")} ORDER BY age LIMIT {rows_max}
    """  # noqa: S608 - of constants
    [(newest, count)] = con.execute(
        f"SELECT max(age), count(*) FROM ({oldest_first})",  # noqa: S608 - as above
        {"cutoff": stored(cutoff)},
    ).fetchall()
    if not count:
        return None
    return cutoff if count < rows_max else as_utc(newest) + MOMENT


def _is_repeat(row: WarehouseRow, pruned: Pruned) -> bool:
    before = pruned.get(BY_ROWS.get(type(row), ""))
    return before is not None and in_utc(row.recorded_at) < before
