"""How payments stood before they changed, for `payments_as_of`.

A version is the row of one event, with `replaced_at`: the earliest `recorded_at` of the payment's later events. So
of the rows of a payment, versions and the present one, one at most is true of a moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

import duckdb
import pyarrow as pa

from flows.analytics.columns import TYPES, table_of
from flows.analytics.rows import WarehousePayment
from schemas.times import as_utc

# `replaced` names rows of the table, before they go; `passed` holds rows that another one of their batch replaced.
KEEP = "INSERT INTO store.payment_versions BY NAME "
STORED = """
SELECT stored.*, replaced.replaced_at FROM (FROM store.payments WHERE {among}) stored JOIN replaced USING (id)
"""
PASSED = """
SELECT passed.* REPLACE (found.trace_id AS trace_id), now()::TIMESTAMP AS ingested_at
FROM passed JOIN found USING (id)
"""

# An event that came after a later one, or whose time is later than that one's, may be here already, and changes
# until when the versions before it were true.
DROP_REPEATED = """
DELETE FROM store.payment_versions v USING passed
WHERE v.id = passed.id AND v.sequence = passed.sequence AND v.{among}
"""
SETTLE = """
UPDATE store.payment_versions v SET replaced_at = settled.replaced_at FROM (
    SELECT earlier.id, earlier.sequence, min(later.recorded_at) AS replaced_at
    FROM store.payment_versions earlier JOIN (
        SELECT id, sequence, recorded_at FROM store.payment_versions
        WHERE id IN $ids AND {among}
        UNION ALL
        SELECT id, sequence, recorded_at FROM store.payments
        WHERE id IN $ids AND {among}
    ) later ON earlier.id = later.id AND earlier.sequence < later.sequence
    WHERE earlier.{among} GROUP BY ALL
) settled
WHERE v.id = settled.id AND v.sequence = settled.sequence AND v.{among}
"""

PRUNE = "DELETE FROM store.payment_versions WHERE replaced_at <= $begin::TIMESTAMP"
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


def by_payment(rows: Iterable[WarehousePayment]) -> dict[str, list[WarehousePayment]]:
    """The rows of each payment, by sequence, one of each."""
    found: dict[str, dict[int, WarehousePayment]] = {}
    for row in rows:
        found.setdefault(row.id, {})[row.sequence] = row
    return {id: [each[sequence] for sequence in sorted(each)] for id, each in found.items()}


def replacements(
    batch: Mapping[str, Sequence[WarehousePayment]], known: Mapping[str, KnownPayment], since: datetime
) -> Replacements:
    """What the rows of a batch put into the past; what was replaced by `since` (UTC) is left out."""
    result = Replacements([], [], set())
    for id, rows in batch.items():
        stored = known.get(id)
        newer = [row for row in rows if stored is None or row.sequence > stored.sequence]
        firsts = _earliest_from(newer)
        passed = list(zip(newer, firsts[1:], strict=False))
        if stored:
            late = [(row, stored.recorded_at) for row in rows if row.sequence < stored.sequence]
            _replace_stored(id, stored, firsts[:1], bool(late), since, result)
            passed += late
        result.passed.extend((row, moment) for row, moment in passed if moment > since)
    return result


def _replace_stored(
    id: str, stored: KnownPayment, first: Sequence[datetime], is_late: bool, since: datetime, result: Replacements
) -> None:
    result.stored.extend((id, moment) for moment in first if moment > since)
    if stored.recorded_at > since and (is_late or any(moment < stored.recorded_at for moment in first)):
        result.disordered.add(id)


def _earliest_from(rows: Sequence[WarehousePayment]) -> list[datetime]:
    """For each row the earliest `recorded_at` of itself and those after it, UTC."""
    return list(accumulate((as_utc(row.recorded_at) for row in reversed(rows)), min))[::-1]


def keep(con: duckdb.DuckDBPyConnection, past: Replacements, there: str) -> None:
    """Write what a batch puts into the past, before its rows take the place of the stored ones.

    `there`: the condition `among` of its payments, which stand in the temporary table `found`.
    """
    parts = []
    if past.stored:
        con.register("replaced", _replaced(past.stored))
        parts.append(STORED.format(among=there))
    if past.passed:
        con.register("passed", _passed(past.passed))
        parts.append(PASSED)
    if past.disordered and past.passed:
        con.execute(DROP_REPEATED.format(among=there))
    if parts:
        con.execute(KEEP + " UNION ALL BY NAME ".join(parts))


def _replaced(stored: Sequence[tuple[str, datetime]]) -> pa.Table:
    ids, moments = zip(*stored, strict=True)
    return pa.table({"id": pa.array(ids), "replaced_at": pa.array(moments, type=TYPES[datetime])})


def _passed(passed: Sequence[tuple[WarehousePayment, datetime]]) -> pa.Table:
    rows, moments = zip(*passed, strict=True)
    return table_of(rows).append_column("replaced_at", pa.array(moments, type=TYPES[datetime]))


def settle(con: duckdb.DuckDBPyConnection, past: Replacements, there: str) -> None:
    """Say anew until when the versions of disordered payments were true, once their rows are written."""
    if past.disordered:
        con.execute(SETTLE.format(among=there), {"ids": sorted(past.disordered)})
