"""What is stored of the payments of a batch, and which of its rows are newer."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import duckdb

from flows.analytics.rows import WarehousePayment
from flows.analytics.spans import Span, one_of, within


class StoredPayment(NamedTuple):
    """What is stored of a payment, times in UTC without saying so. A stub given back has no `true_since`."""

    id: str
    sequence: int
    created_at: datetime
    true_since: datetime | None
    trace_id: str | None
    state: str
    currency: str
    processor: str | None
    amount: int
    amount_captured: int
    amount_refunded: int
    risk_outcome: str | None
    risk_source: str | None


class NewerPayment(NamedTuple):
    """A row that is newer than what is stored of its payment, if anything is."""

    row: WarehousePayment
    known: StoredPayment | None


FIND = """
SELECT {columns} FROM (SELECT *, least(recorded_at, ingested_at) AS true_since FROM ({there}))
WHERE {wanted} AND replaced_at IS NULL
"""


def by_payment(rows: Iterable[WarehousePayment]) -> dict[str, list[WarehousePayment]]:
    """The rows of each payment, by sequence, one of each."""
    found: dict[str, dict[int, WarehousePayment]] = {}
    for row in rows:
        found.setdefault(row.id, {})[row.sequence] = row
    return {id: [each[sequence] for sequence in sorted(each)] for id, each in found.items()}


def find(con: duckdb.DuckDBPyConnection, ids: Sequence[str], there: Iterable[Span]) -> dict[str, StoredPayment]:
    """What is stored of payments that were created `there`: a payment's created_at never changes."""
    columns = ", ".join(StoredPayment._fields)
    statement = FIND.format(columns=columns, there=within("store.payments", there), wanted=one_of("id", ids))
    found = map(StoredPayment._make, con.execute(statement, {"ids": ids}).fetchall())
    return {each.id: each for each in found}


def traces(
    batch: Mapping[str, Sequence[WarehousePayment]], known: Mapping[str, StoredPayment]
) -> dict[str, str | None]:
    """The trace of the first event of each payment, which later rows have too."""
    stored = {id: each.trace_id for id, each in known.items() if each.trace_id}
    return {id: rows[0].trace_id for id, rows in batch.items()} | stored


def changes(
    batch: Mapping[str, Sequence[WarehousePayment]], known: Mapping[str, StoredPayment]
) -> list[NewerPayment]:
    """The newest row of each payment, where it is newer than the stored one."""
    newest = (NewerPayment(rows[-1], known.get(id)) for id, rows in batch.items())
    return [each for each in newest if each.known is None or each.known.sequence < each.row.sequence]
