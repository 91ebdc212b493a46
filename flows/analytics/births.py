"""Of a payment the `created_at` counts that is stored of it, or that its first event has, whatever others say.

By that its rows are found and its sums are kept: under another one it would stand there once more. An id tells
when it was made, so a payment that is not where its event says is looked for at that time too.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import duckdb
from msgspec.structs import replace

from flows.analytics.rows import WarehousePayment
from flows.analytics.spans import Span, in_utc, one_of, spans, within
from flows.analytics.stored_payments import StoredPayment
from schemas.ids import born_at
from schemas.times import as_utc

Batch = Mapping[str, Sequence[WarehousePayment]]

# Between the time in an id and `created_at` lies less than that, unless somebody sets a clock.
ABOUT = timedelta(seconds=1)
AROUND = 2 * ABOUT
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC) + AROUND, datetime.max.replace(tzinfo=UTC) - AROUND

BORN = "SELECT id, created_at FROM ({there}) WHERE {wanted}"


def around(moments: Iterable[datetime]) -> list[Span]:
    """Where payments are (UTC) that events say were created at those moments, or ids."""
    found = spans(set(moments))
    return [(max(begin, EARLIEST) - AROUND, min(end, LATEST) + AROUND) for begin, end in found]


def other_birth(id: str, created_at: datetime) -> datetime | None:
    """The time in an id (UTC), where that is not about its `created_at`."""
    born = born_at(id)
    return born if born and abs(born - in_utc(created_at)) > ABOUT else None


def elsewhere(
    con: duckdb.DuckDBPyConnection, batch: Batch, known: Mapping[str, StoredPayment]
) -> dict[str, datetime]:
    """When payments were created (UTC) that are not `known` where their rows say, and are stored all the same."""
    unknown = [(id, rows[0].created_at) for id, rows in batch.items() if id not in known]
    births = {id: born for id, created_at in unknown if (born := other_birth(id, created_at))}
    if not births:
        return {}
    there = around(births.values())
    found: dict[str, datetime] = {}
    for table in ("payments", "payment_stubs"):
        statement = BORN.format(there=within(f"store.{table}", there), wanted=one_of("id", births))
        found |= dict(con.execute(statement, {"ids": list(births)}).fetchall())
    return {id: as_utc(created_at) for id, created_at in found.items()}


def moved(batch: Batch, births: Mapping[str, datetime]) -> list[WarehousePayment]:
    """The rows of a batch, those of some payments with their `created_at`."""
    return [
        replace(row, created_at=births[id]) if id in births else row for id, rows in batch.items() for row in rows
    ]


def of_one_birth(batch: Batch, known: Mapping[str, StoredPayment]) -> dict[str, Sequence[WarehousePayment]]:
    """The rows of each payment, all with one `created_at`."""
    return {id: _of_one_birth(rows, known.get(id)) for id, rows in batch.items()}


def _of_one_birth(rows: Sequence[WarehousePayment], known: StoredPayment | None) -> Sequence[WarehousePayment]:
    if known is None and len(rows) == 1:
        return rows
    birth = as_utc(known.created_at) if known else rows[0].created_at
    if all(row.created_at == birth for row in rows):
        return rows
    return [replace(row, created_at=birth) for row in rows]
