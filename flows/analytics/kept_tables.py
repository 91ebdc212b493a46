"""How the rows of a table are kept: appended once, or replaced by what is told later.

DuckDB looks for the known rows of a batch only in the blocks between its first and its last clock: a column that
is the same on each repeat of a row, however late that comes, and grows with the table.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from flows.analytics import aggregates
from flows.analytics.rows import (
    ReplacedRow,
    WarehouseAccount,
    WarehouseDeadLetter,
    WarehouseLabel,
    WarehouseLedgerEntry,
    WarehouseNotification,
    WarehouseOperation,
    WarehouseRefund,
    WarehouseReview,
    WarehouseRow,
    WarehouseVerdict,
)
from flows.analytics.spans import among, in_utc

APPEND = "INSERT INTO store.{table} BY NAME {new}"
NEW = """
SELECT * FROM ({fresh}) fresh
WHERE NOT EXISTS (
    FROM store.{table} known WHERE {same_key} AND known."{clock}" BETWEEN $oldest::{type} AND $newest::{type}
)
"""
SELECT_ADDED = "CREATE OR REPLACE TEMP TABLE added AS {new}"
# What is new of an event, where another one came under its number: a part of it alone would leave the ledger out
# of balance.
ODD_ADDED = """
SELECT count(*) FROM (
    SELECT 1 FROM added GROUP BY operation, sequence, currency HAVING sum(amount) <> 0
)
"""
APPEND_ADDED = "INSERT INTO store.{table} BY NAME SELECT * FROM added"

REPLACE = """
MERGE INTO store.{table} known USING ({fresh}) fresh ON known.id = fresh.id AND {there}
WHEN MATCHED AND known.sequence < fresh.sequence THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME
"""


class LedgerUnbalanced(Exception):
    """What a batch adds to the ledger does not add up to 0."""


class AppendedTable(msgspec.Struct, frozen=True):
    """A table whose rows never change: only the first row of a `key` is written, repeats are dropped.

    `counted`: the statements that add what was not there yet to an aggregate. `odd`: the query that counts what
    may not be added.
    """

    rows: type[
        WarehouseVerdict | WarehouseLabel | WarehouseNotification | WarehouseDeadLetter | WarehouseLedgerEntry
    ]
    name: str
    key: tuple[str, ...]
    clock: Literal["occurred_at", "recorded_at", "caused_at", "offset"]
    counted: tuple[str, ...] = ()
    odd: str | None = None

    def firsts(self, rows: Sequence[WarehouseRow]) -> list[WarehouseRow]:
        """The first row of each key, in their order."""
        return list({self._key_of(row): row for row in reversed(rows)}.values())[::-1]

    def _key_of(self, row: WarehouseRow) -> tuple[object, ...]:
        return tuple(getattr(row, column) for column in self.key)

    def clock_of(self, row: WarehouseRow) -> Any:
        """The clock of a row of this table."""
        value = getattr(row, self.clock)
        return in_utc(value) if isinstance(value, datetime) else value

    def new(self, fresh: str) -> str:
        """The query of those rows of the query `fresh` whose key is new."""
        return NEW.format(
            table=self.name,
            same_key=" AND ".join(f'known."{column}" = fresh."{column}"' for column in self.key),
            clock=self.clock,
            type="BIGINT" if self.clock == "offset" else "TIMESTAMP",
            fresh=fresh,
        )


class ReplacedTable(msgspec.Struct, frozen=True):
    """A table of one row per id: that of the highest sequence. Without a clock all rows are searched."""

    rows: type[ReplacedRow]
    name: str
    clock: Literal["created_at", "opened_at", None]

    def replace(self, fresh: str, rows: Sequence[ReplacedRow]) -> str:
        """The statement that writes these rows, those of the query `fresh`, where they are new or newer."""
        there = "true"
        if self.clock:
            there = among(f"known.{self.clock}", {in_utc(getattr(row, self.clock)) for row in rows})
        return REPLACE.format(table=self.name, fresh=fresh, there=there)


APPENDED = (
    AppendedTable(WarehouseVerdict, "verdicts", ("payment",), "occurred_at"),
    AppendedTable(WarehouseLabel, "labels", ("event",), "recorded_at", (aggregates.COUNT_LABELS,)),
    AppendedTable(WarehouseNotification, "notifications", ("event",), "caused_at"),
    AppendedTable(WarehouseDeadLetter, "dead_letters", ("topic", "partition", "offset"), "offset"),
    AppendedTable(
        WarehouseLedgerEntry,
        "ledger",
        ("operation", "sequence", "number"),
        "recorded_at",
        (aggregates.COUNT_BALANCES, aggregates.COUNT_LEDGER_DAYS),
        odd=ODD_ADDED,
    ),
)

REPLACED = (
    ReplacedTable(WarehouseRefund, "refunds", "created_at"),
    ReplacedTable(WarehouseOperation, "operations", "created_at"),
    ReplacedTable(WarehouseReview, "reviews", "opened_at"),
    ReplacedTable(WarehouseAccount, "accounts", None),
)
