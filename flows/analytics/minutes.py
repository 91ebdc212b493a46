"""Sums of payments by the minute and the hour in which they were created, kept by deltas.

The transaction that writes payments keeps them: one that changes leaves the sums as it was and comes in as it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from operator import add
from typing import Any, Literal

import duckdb
import msgspec

from flows.analytics.columns import listed
from flows.analytics.rows import WarehousePayment
from flows.analytics.spans import among, in_utc
from flows.analytics.stored_payments import NewerPayment, StoredPayment

Key = tuple[Any, ...]  # the minute or hour (UTC without saying so), then texts
Numbers = tuple[int, ...]
Payment = WarehousePayment | StoredPayment

ADD = """
MERGE INTO store.{table} known USING ({given}) fresh ON {same} AND {there}
WHEN MATCHED THEN UPDATE SET {added}
WHEN NOT MATCHED THEN INSERT BY NAME
"""


class Sums(msgspec.Struct, frozen=True):
    """A table of `sums`, each by the `unit` of time and `keys`."""

    table: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    unit: Literal["minute", "hour"] = "minute"

    def add(self, con: duckdb.DuckDBPyConnection, totals: Mapping[Key, Numbers]) -> None:
        """Add to the sums of each key; call it in a transaction."""
        if totals:
            columns = zip(*(key + numbers for key, numbers in totals.items()), strict=True)
            given = dict(zip(self._types(), map(list, columns), strict=True))
            con.execute(self._statement({begin for begin, *_ in totals}), given)

    def _statement(self, begins: set[datetime]) -> str:
        same = " AND ".join(f"known.{key} IS NOT DISTINCT FROM fresh.{key}" for key in (self.unit, *self.keys))
        added = ", ".join(f"{name} = known.{name} + fresh.{name}" for name in self.sums)
        there = among(f"known.{self.unit}", begins)
        return ADD.format(table=self.table, given=listed(self._types()), same=same, there=there, added=added)

    def _types(self) -> dict[str, str]:
        return {self.unit: "TIMESTAMP"} | dict.fromkeys(self.keys, "VARCHAR") | dict.fromkeys(self.sums, "BIGINT")


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
    by_minute = _totals(_of_state(*each) for each in moved)
    PAYMENTS.add(con, by_minute)
    HOURS.add(
        con, _totals(((minute.replace(minute=0), *keys), sums) for (minute, *keys), sums in by_minute.items())
    )
    RISK.add(con, _totals(_of_risk(*each) for each in moved if each[2].risk_outcome is not None))


def _moved(changes: Iterable[NewerPayment]) -> Iterator[tuple[datetime, int, Payment]]:
    """What leaves (-1) and what comes in (1), with the minute of the payment."""
    for row, known in changes:
        minute = in_utc(row.created_at).replace(second=0, microsecond=0, tzinfo=None)
        yield minute, 1, row
        if known:
            yield minute, -1, known


def _of_state(minute: datetime, n: int, payment: Payment) -> tuple[Key, Numbers]:
    numbers = n, n * payment.amount, n * payment.amount_captured, n * payment.amount_refunded
    return (minute, payment.currency, payment.processor, payment.state), numbers


def _of_risk(minute: datetime, n: int, payment: Payment) -> tuple[Key, Numbers]:
    return (minute, payment.risk_outcome, payment.risk_source, payment.currency), (n, n * payment.amount)


def _totals(deltas: Iterable[tuple[Key, Numbers]]) -> dict[Key, Numbers]:
    """The sums of each key to which something is to be added."""
    totals: dict[Key, Numbers] = {}
    for key, numbers in deltas:
        known = totals.get(key)
        totals[key] = tuple(map(add, known, numbers)) if known else numbers
    return {key: numbers for key, numbers in totals.items() if any(numbers)}
