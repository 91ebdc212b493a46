"""Sums of payments by the minute and the hour in which they were created, of what decided them, and of calls.

The transaction that writes them notes by how much it changes the sums: what changes leaves them as it was and
comes in as it is. Views add up the sums and what is noted, so a reader sees both at once. Once a minute what is
noted goes into the sums: one short INSERT a batch takes a sixth of the time of three MERGEs.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from operator import add

import duckdb
import msgspec

from flows.analytics.columns import listed
from flows.analytics.rows import WarehousePayment
from flows.analytics.spans import among, in_utc
from flows.analytics.stored_payments import NewerPayment, StoredPayment
from schemas.times import as_utc

# The minute (UTC without saying so), currency, processor, state, and outcome and source of what decided.
Key = tuple[datetime, str, str | None, str, str | None, str | None]
Numbers = tuple[int, ...]  # payments, then the amounts of them
Payment = WarehousePayment | StoredPayment

NOTED = (
    {"minute": "TIMESTAMP"}
    | dict.fromkeys(("currency", "processor", "state", "outcome", "source"), "VARCHAR")
    | dict.fromkeys(("count", "amount", "amount_captured", "amount_refunded"), "BIGINT")
)
NOTE = f"INSERT INTO store.payment_changes BY NAME {listed(NOTED)}"

WHEN = "SELECT DISTINCT date_trunc('{unit}', minute) FROM store.{changes}"
ADD = """
MERGE INTO store.{table} known USING (
    SELECT date_trunc('{unit}', minute) AS {unit}, {keys}, {sums}
    FROM store.{changes} WHERE {counted} GROUP BY ALL HAVING {differs}
) fresh ON {same} AND {there}
WHEN MATCHED THEN UPDATE SET {added}
WHEN NOT MATCHED THEN INSERT BY NAME
"""
FORGET = "DELETE FROM store.payment_changes; DELETE FROM store.operation_changes"


class Sums(msgspec.Struct, frozen=True):
    """A table of `sums`, each by the `unit` of time and `keys`, of what is `counted` of a table of `changes`."""

    table: str
    unit: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    counted: str = "true"
    changes: str = "payment_changes"

    def add(self, con: duckdb.DuckDBPyConnection) -> None:
        """Add what is noted; call it in a transaction."""
        when = WHEN.format(unit=self.unit, changes=self.changes)
        begins = [as_utc(begin) for (begin,) in con.execute(when).fetchall()]
        if begins:
            con.execute(self._statement(begins))

    def _statement(self, begins: list[datetime]) -> str:
        return ADD.format(
            table=self.table,
            changes=self.changes,
            unit=self.unit,
            keys=", ".join(self.keys),
            sums=", ".join(f"sum({name})::BIGINT AS {name}" for name in self.sums),
            counted=self.counted,
            differs=" OR ".join(f"sum({name}) <> 0" for name in self.sums),
            same=" AND ".join(f"known.{key} IS NOT DISTINCT FROM fresh.{key}" for key in (self.unit, *self.keys)),
            there=among(f"known.{self.unit}", begins),
            added=", ".join(f"{name} = known.{name} + fresh.{name}" for name in self.sums),
        )


BY_STATE = ("currency", "processor", "state")
OF_STATE = ("count", "amount", "amount_captured", "amount_refunded")
OF_CALL = ("processor", "kind", "status", "was_unknown", "took_over")
TABLES = (
    Sums("payment_minutes", "minute", BY_STATE, OF_STATE),
    # A month has millions of minutes' sums and some ten thousand of hours: what looks at one asks for these.
    Sums("payment_hours", "hour", BY_STATE, OF_STATE),
    Sums("risk_minutes", "minute", ("outcome", "source", "currency"), ("count", "amount"), "outcome IS NOT NULL"),
    Sums("operation_minutes", "minute", OF_CALL, ("count",), changes="operation_changes"),
)


def note(con: duckdb.DuckDBPyConnection, changes: Iterable[NewerPayment]) -> None:
    """Note by how much changes change the sums; call it in the transaction that writes them."""
    if totals := _totals(_moved(changes)):
        columns = zip(*(key + numbers for key, numbers in totals.items()), strict=True)
        con.execute(NOTE, dict(zip(NOTED, map(list, columns), strict=True)))


def fold(con: duckdb.DuckDBPyConnection) -> None:
    """Put what is noted into the sums; call it in a transaction."""
    for table in TABLES:
        table.add(con)
    con.execute(FORGET)


def _moved(changes: Iterable[NewerPayment]) -> Iterator[tuple[Key, Numbers]]:
    """What comes in and what leaves, by the minute of its payment."""
    for row, known in changes:
        minute = in_utc(row.created_at).replace(second=0, microsecond=0, tzinfo=None)
        yield _counted(minute, 1, row)
        if known:
            yield _counted(minute, -1, known)


def _counted(minute: datetime, n: int, payment: Payment) -> tuple[Key, Numbers]:
    state = minute, payment.currency, payment.processor, payment.state
    numbers = n, n * payment.amount, n * payment.amount_captured, n * payment.amount_refunded
    return (*state, payment.risk_outcome, payment.risk_source), numbers


def _totals(deltas: Iterable[tuple[Key, Numbers]]) -> dict[Key, Numbers]:
    """The sums of each key to which something is to be added."""
    totals: dict[Key, Numbers] = {}
    for key, numbers in deltas:
        known = totals.get(key)
        totals[key] = tuple(map(add, known, numbers)) if known else numbers
    return {key: numbers for key, numbers in totals.items() if any(numbers)}
