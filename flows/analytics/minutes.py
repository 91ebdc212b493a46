"""Sums of payments by the minute and the hour in which they were created, kept by deltas.

The transaction that writes payments keeps them: one that changes leaves the sums as it was and comes in as it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import duckdb
import msgspec
import pyarrow as pa

from flows.analytics.columns import TYPES, execute
from flows.analytics.rows import WarehousePayment
from flows.analytics.spans import among, stored
from flows.analytics.stored_payments import NewerPayment, StoredPayment

Key = tuple[Any, ...]  # the minute or hour (UTC without saying so), then texts
Numbers = tuple[int, ...]
Payment = WarehousePayment | StoredPayment

ADD = """
MERGE INTO store.{table} known USING fresh ON {same} AND {there}
WHEN MATCHED THEN UPDATE SET {added}
WHEN NOT MATCHED THEN INSERT BY NAME
"""


class Sums(msgspec.Struct, frozen=True):
    """A table of `sums`, each by the `unit` of time and `keys`."""

    table: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    unit: Literal["minute", "hour"] = "minute"

    def add(self, con: duckdb.DuckDBPyConnection, deltas: Iterable[tuple[Key, Numbers]]) -> None:
        """Add to the sums of each key; call it in a transaction."""
        if totals := _totals(deltas):
            execute(con, self._statement({begin for begin, *_ in totals}), self._table(totals))

    def _statement(self, begins: set[datetime]) -> str:
        same = " AND ".join(f"known.{key} IS NOT DISTINCT FROM fresh.{key}" for key in (self.unit, *self.keys))
        added = ", ".join(f"{name} = known.{name} + fresh.{name}" for name in self.sums)
        return ADD.format(table=self.table, same=same, there=among(f"known.{self.unit}", begins), added=added)

    def _table(self, totals: Mapping[Key, Numbers]) -> pa.Table:
        types = [TYPES[datetime], *[TYPES[str]] * len(self.keys), *[TYPES[int]] * len(self.sums)]
        values = zip(*(key + numbers for key, numbers in totals.items()), strict=True)
        arrays = [pa.array(column, type=kind) for column, kind in zip(values, types, strict=True)]
        return pa.Table.from_arrays(arrays, names=[self.unit, *self.keys, *self.sums])


PAYMENTS = Sums(
    "payment_minutes",
    ("currency", "processor", "state"),
    ("count", "amount", "amount_captured", "amount_refunded"),
)
# A month has millions of minutes' sums and some ten thousand of hours: what looks at one asks for these.
HOURS = Sums("payment_hours", PAYMENTS.keys, PAYMENTS.sums, "hour")
RISK = Sums("risk_minutes", ("outcome", "source", "currency"), ("count", "amount"))


def count(con: duckdb.DuckDBPyConnection, changes: Iterable[NewerPayment]) -> None:
    """Count what changed; call it in the transaction that writes it."""
    moved = list(_moved(changes))
    by_minute = [_of_state(*each) for each in moved]
    PAYMENTS.add(con, by_minute)
    HOURS.add(con, (((minute.replace(minute=0), *keys), sums) for (minute, *keys), sums in by_minute))
    RISK.add(con, (_of_risk(*each) for each in moved if each[2].risk_outcome is not None))


def _moved(changes: Iterable[NewerPayment]) -> Iterator[tuple[datetime, int, Payment]]:
    """What leaves (-1) and what comes in (1), with the minute of the payment."""
    for row, known in changes:
        minute = stored(row.created_at).replace(second=0, microsecond=0)
        yield minute, 1, row
        if known:
            yield minute, -1, known


def _of_state(minute: datetime, n: int, payment: Payment) -> tuple[Key, Numbers]:
    amounts = payment.amount, payment.amount_captured, payment.amount_refunded
    key = (minute, payment.currency, payment.processor, payment.state)
    return key, (n, *(n * amount for amount in amounts))


def _of_risk(minute: datetime, n: int, payment: Payment) -> tuple[Key, Numbers]:
    return (minute, payment.risk_outcome, payment.risk_source, payment.currency), (n, n * payment.amount)


def _totals(deltas: Iterable[tuple[Key, Numbers]]) -> dict[Key, Numbers]:
    """The sums of each key to which something is to be added."""
    totals: dict[Key, Numbers] = {}
    for key, numbers in deltas:
        known = totals.get(key)
        totals[key] = tuple(map(sum, zip(known, numbers, strict=True))) if known else numbers
    return {key: numbers for key, numbers in totals.items() if any(numbers)}
