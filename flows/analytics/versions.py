"""How payments stood before they changed, for `payments_as_of`.

A version is the row of one event, with `replaced_at`: the earliest `recorded_at` of the payment's later events. So
of the rows of a payment, versions and the present one, one at most is true of a moment.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

import duckdb
import pyarrow as pa

from flows.analytics.columns import TYPES, execute, table_of
from flows.analytics.rows import WarehousePayment
from flows.analytics.spans import Span, in_utc, stored, within
from schemas.times import EPOCH, as_utc, now

KEEP = "INSERT INTO store.payment_versions BY NAME FROM fresh WHERE replaced_at IS NOT NULL"

# An event that came after a later one, or whose time is later than that one's, may be here already, and changes
# until when the versions before it were true.
DROP_REPEATED = """
DELETE FROM store.payment_versions v USING fresh
WHERE v.id = fresh.id AND v.sequence = fresh.sequence AND v.created_at >= $oldest
"""
SETTLE = """
UPDATE store.payment_versions v SET replaced_at = settled.replaced_at FROM (
    SELECT earlier.id, earlier.sequence, min(later.recorded_at) AS replaced_at
    FROM ({versions}) earlier JOIN (
        SELECT id, sequence, recorded_at FROM ({versions})
        UNION ALL
        SELECT id, sequence, recorded_at FROM ({payments})
    ) later ON earlier.id = later.id AND earlier.sequence < later.sequence
    WHERE earlier.id IN $ids GROUP BY ALL
) settled
WHERE v.id = settled.id AND v.sequence = settled.sequence AND v.created_at >= $oldest
"""

PRUNE = "DELETE FROM store.payment_versions WHERE replaced_at <= $begin::TIMESTAMP"
HISTORY_BEGIN = "SELECT max(begins_at) FROM store.history"
FORGET_BEGIN = "DELETE FROM store.history"
SAVE_BEGIN = "INSERT INTO store.history VALUES ($begin::TIMESTAMP)"


class KnownPayment(NamedTuple):
    """What is stored of a payment: the number of its newest event, and when that was recorded (UTC)."""

    sequence: int
    recorded_at: datetime


class Replacements(NamedTuple):
    """What a batch puts into the past, each with when it was replaced (UTC).

    `stored`: rows of the table, by payment. `passed`: rows of the batch that never stood there as the last
    word. `disordered`: payments whose events did not come, or were not recorded, in their order.
    """

    stored: list[tuple[str, datetime]]
    passed: list[tuple[WarehousePayment, datetime]]
    disordered: set[str]


NOTHING = Replacements([], [], set())


def replacements(
    batch: Mapping[str, Sequence[WarehousePayment]], known: Mapping[str, KnownPayment], since: datetime
) -> Replacements:
    """What the rows of a batch put into the past; what was replaced by `since` (UTC) is left out."""
    result = Replacements([], [], set())
    for id, rows in batch.items():
        stored = known.get(id)
        if stored:
            _replace_stored(id, rows, stored, since, result)
        ends = [*_earliest_from(rows)[1:], None]
        for row, end in zip(rows, ends, strict=True):
            replaced_at = _replaced_at(row, end, stored)
            if replaced_at and replaced_at > since:
                result.passed.append((row, replaced_at))
    return result


def _replaced_at(row: WarehousePayment, end: datetime | None, stored: KnownPayment | None) -> datetime | None:
    """When a row of a batch was replaced; None where it stands, or stands already. `end`: by one of the batch."""
    if stored is None or row.sequence > stored.sequence:
        return end
    if row.sequence == stored.sequence:
        return None
    return min(end, stored.recorded_at) if end else stored.recorded_at


def _replace_stored(
    id: str, rows: Sequence[WarehousePayment], stored: KnownPayment, since: datetime, result: Replacements
) -> None:
    newer = [row for row in rows if row.sequence > stored.sequence]
    first = _earliest_from(newer)[0] if newer else None
    if first and first > since:
        result.stored.append((id, first))
    is_late = rows[0].sequence < stored.sequence or (first is not None and first < stored.recorded_at)
    if is_late and stored.recorded_at > since:
        result.disordered.add(id)


def _earliest_from(rows: Sequence[WarehousePayment]) -> list[datetime]:
    """For each row the earliest `recorded_at` of itself and those after it, UTC."""
    return list(accumulate((as_utc(row.recorded_at) for row in reversed(rows)), min))[::-1]


def history_begin(con: duckdb.DuckDBPyConnection) -> datetime:
    """Of which moments on `payments_as_of` knows (UTC)."""
    [(begin,)] = con.execute(HISTORY_BEGIN).fetchall()
    return as_utc(begin) if begin else EPOCH


def prune_versions(con: duckdb.DuckDBPyConnection, begin: datetime) -> None:
    """Drop the versions that were replaced by `begin` (UTC), and remember that; call it in a transaction."""
    con.execute(PRUNE, {"begin": begin})
    con.execute(FORGET_BEGIN)
    con.execute(SAVE_BEGIN, {"begin": begin})


def keep(
    con: duckdb.DuckDBPyConnection, past: Replacements, taken: Sequence[pa.Table], there: Sequence[Span]
) -> None:
    """Write what a batch puts into the past: of the rows `taken` from the table, and of those that passed.

    `there`: when its payments were created.
    """
    passed = _passed(past.passed) if past.passed else None
    if passed and past.disordered:
        execute(con, DROP_REPEATED, passed, **_oldest(there))
    ends = dict(past.stored)
    tables = [_stored(table, ends) for table in taken if ends] + ([passed] if passed else [])
    if tables:
        execute(con, KEEP, pa.concat_tables(tables, promote_options="permissive"))


def _stored(rows: pa.Table, ends: Mapping[str, datetime]) -> pa.Table:
    """Without an end where nobody may ask for the row any more."""
    moments = [ends.get(id) for id in rows["id"].to_pylist()]
    return rows.append_column("replaced_at", pa.array(moments, type=TYPES[datetime]))


def _passed(passed: Sequence[tuple[WarehousePayment, datetime]]) -> pa.Table:
    rows, moments = zip(*passed, strict=True)
    ingested = pa.array([in_utc(now())] * len(rows), type=TYPES[datetime])
    ends = pa.array(moments, type=TYPES[datetime])
    return table_of(rows).append_column("ingested_at", ingested).append_column("replaced_at", ends)


def settle(con: duckdb.DuckDBPyConnection, past: Replacements, there: Sequence[Span]) -> None:
    """Say anew until when the versions of disordered payments were true, once their rows are written."""
    if past.disordered:
        tables = {"versions": within("store.payment_versions", there), "payments": within("store.payments", there)}
        con.execute(SETTLE.format(**tables), {"ids": sorted(past.disordered)} | _oldest(there))


def _oldest(there: Sequence[Span]) -> dict[str, datetime]:
    return {"oldest": stored(there[0][0])}
