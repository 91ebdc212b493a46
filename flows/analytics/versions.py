"""How payments stood before they changed, for `payments_as_of`.

A row that is replaced stays, with `replaced_at`: the earliest moment from which a later event of the payment was
true. So of the rows of a payment one at most is true of a moment, and the one that stands has no `replaced_at`. An
event is true from its `recorded_at`, or from when it came here, where a clock of the books was ahead of ours.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import duckdb

from flows.analytics.rows import WarehousePayment
from flows.analytics.spans import Span, during, one_of, spans, stored, within
from flows.analytics.stored_payments import StoredPayment
from schemas.times import EPOCH, as_utc

# A wide row is not written a second time.
REPLACE = """
UPDATE store.payments p SET replaced_at = ended.at
FROM (SELECT unnest($ids::VARCHAR[]) AS id, unnest($ends::TIMESTAMP[]) AS at) ended
WHERE {created} AND p.id = ended.id AND p.replaced_at IS NULL
"""
FORGET = "DELETE FROM store.payments WHERE {created} AND {wanted} AND replaced_at IS NULL"

# An event that came after a later one, or whose time is later than that one's, may be here already, and changes
# until when the rows before it were true.
DROP_REPEATED = """
DELETE FROM store.payments p
USING (SELECT unnest($ids::VARCHAR[]) AS id, unnest($sequences::BIGINT[]) AS sequence) repeated
WHERE p.id = repeated.id AND p.sequence = repeated.sequence AND p.created_at >= $oldest
"""
SETTLE = """
UPDATE store.payments p SET replaced_at = settled.replaced_at FROM (
    SELECT earlier.id, earlier.sequence, min(least(later.recorded_at, later.ingested_at)) AS replaced_at
    FROM ({rows}) earlier JOIN ({rows}) later ON earlier.id = later.id AND earlier.sequence < later.sequence
    WHERE earlier.id IN $ids GROUP BY ALL
) settled
WHERE p.id = settled.id AND p.sequence = settled.sequence AND p.created_at >= $oldest
"""

PRUNE = "DELETE FROM store.payments WHERE replaced_at <= $begin::TIMESTAMP"
HISTORY_BEGIN = "SELECT max(begins_at) FROM store.history"
FORGET_BEGIN = "DELETE FROM store.history"
SAVE_BEGIN = "INSERT INTO store.history VALUES ($begin::TIMESTAMP)"


class KnownPayment(NamedTuple):
    """What is stored of a payment: the number of its newest event, and since when that is true (UTC)."""

    sequence: int
    true_since: datetime


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
    batch: Mapping[str, Sequence[WarehousePayment]],
    known: Mapping[str, KnownPayment],
    since: datetime,
    present: datetime,
) -> Replacements:
    """What the rows of a batch put into the past; what was replaced by `since` (UTC) is left out.

    `present` (UTC): when they came.
    """
    result = Replacements([], [], set())
    for id, rows in batch.items():
        stored = known.get(id)
        if stored is None and len(rows) == 1:
            continue
        if stored:
            _replace_stored(id, rows, stored, since, present, result)
        end = None
        for row in reversed(rows):
            replaced_at = _replaced_at(row, end, stored)
            if replaced_at and replaced_at > since:
                result.passed.append((row, replaced_at))
            true_since = min(as_utc(row.recorded_at), present)
            end = true_since if end is None or true_since < end else end
    return result


def _replaced_at(row: WarehousePayment, end: datetime | None, stored: KnownPayment | None) -> datetime | None:
    """When a row of a batch was replaced; None where it stands, or stands already. `end`: by one of the batch."""
    if stored is None or row.sequence > stored.sequence:
        return end
    if row.sequence == stored.sequence:
        return None
    return min(end, stored.true_since) if end else stored.true_since


def _replace_stored(
    id: str,
    rows: Sequence[WarehousePayment],
    stored: KnownPayment,
    since: datetime,
    present: datetime,
    result: Replacements,
) -> None:
    newer = (as_utc(row.recorded_at) for row in rows if row.sequence > stored.sequence)
    first = min((min(recorded_at, present) for recorded_at in newer), default=None)
    if first and first > since:
        result.stored.append((id, first))
    is_late = rows[0].sequence < stored.sequence or (first is not None and first < stored.true_since)
    if is_late and stored.true_since > since:
        result.disordered.add(id)


def history_begin(con: duckdb.DuckDBPyConnection) -> datetime:
    """Of which moments on `payments_as_of` knows (UTC)."""
    [(begin,)] = con.execute(HISTORY_BEGIN).fetchall()
    return as_utc(begin) if begin else EPOCH


def prune_versions(con: duckdb.DuckDBPyConnection, begin: datetime) -> None:
    """Drop the versions that were replaced by `begin` (UTC), and remember that; call it in a transaction."""
    con.execute(PRUNE, {"begin": begin})
    con.execute(FORGET_BEGIN)
    con.execute(SAVE_BEGIN, {"begin": begin})


def replace_stored(
    con: duckdb.DuckDBPyConnection, replaced: Sequence[StoredPayment], ends: Mapping[str, datetime]
) -> None:
    """Let rows that stand give way: each is true until its end, and goes where nobody may ask for it any more."""
    kept = [each for each in replaced if each.id in ends]
    for span, ids in _spread(kept):
        parameters = {"ids": ids, "ends": [stored(ends[id]) for id in ids]}
        con.execute(REPLACE.format(created=during(span, "p.created_at")), parameters)
    for span, ids in _spread([each for each in replaced if each.id not in ends]):
        con.execute(FORGET.format(created=during(span), wanted=one_of("id", ids)), {"ids": ids})


def _spread(payments: Sequence[StoredPayment]) -> list[tuple[Span, list[str]]]:
    """Where to look for payments, and for which of them."""
    if not payments:
        return []
    created = {each.id: as_utc(each.created_at) for each in payments}
    return [
        ((begin, end), [id for id, moment in created.items() if begin <= moment <= end])
        for begin, end in spans(set(created.values()))
    ]


def drop_repeated(con: duckdb.DuckDBPyConnection, past: Replacements, there: Sequence[Span]) -> None:
    """Delete rows that are about to be written, where events did not come in their order."""
    if past.disordered and past.passed:
        rows = [row for row, _ in past.passed]
        parameters = {"ids": [row.id for row in rows], "sequences": [row.sequence for row in rows]}
        con.execute(DROP_REPEATED, parameters | _oldest(there))


def settle(con: duckdb.DuckDBPyConnection, past: Replacements, there: Sequence[Span]) -> None:
    """Say anew until when the rows of disordered payments were true, once all are written."""
    if past.disordered:
        statement = SETTLE.format(rows=within("store.payments", there))
        con.execute(statement, {"ids": sorted(past.disordered)} | _oldest(there))


def _oldest(there: Sequence[Span]) -> dict[str, datetime]:
    return {"oldest": stored(there[0][0])}
