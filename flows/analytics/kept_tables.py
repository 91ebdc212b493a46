"""How the rows of a table are kept: appended once, or replaced by what is told later.

DuckDB looks for the known rows of a batch only in the blocks between its first and its last clock: a column that
is the same on each repeat of a row, however late that comes, and grows with the table. An event that says another
time of what is known changes that, and makes no second one (docs/decisions/0092-one-row-whatever-its-times.md).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import duckdb
import msgspec
from msgspec.structs import replace

from flows.analytics import aggregates
from flows.analytics.births import around, other_birth
from flows.analytics.columns import insert, table_of
from flows.analytics.ingest import latest
from flows.analytics.rows import (
    ReplacedRow,
    WarehouseAccount,
    WarehouseAlert,
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
from flows.analytics.spans import during, in_utc, one_of, stored

FIND_KEYS = """
SELECT {key} FROM store.{table} WHERE "{clock}" BETWEEN $oldest::{type} AND $newest::{type} AND {wanted}
"""
FIND_ANYWHERE = "SELECT {key} FROM store.{table} WHERE {wanted}"
STANDING = "store.{table} WHERE {there} AND {wanted}"
FIND_STANDING = "SELECT id, sequence, {clock} FROM store.{table} WHERE {there} AND {wanted}"
TAKE = "DELETE FROM store.{table} WHERE {there} AND {wanted}"


Key = tuple[object, ...]


class LedgerUnbalanced(Exception):
    """What a batch adds to the ledger does not add up to 0."""


class AppendedTable(msgspec.Struct, frozen=True):
    """A table whose rows never change: only the first row of a `key` is written, repeats are dropped.

    `counted`: the statements that add what was not there yet to an aggregate. `balanced`: what is added of an
    event has to add up to 0.
    """

    rows: type[
        WarehouseVerdict
        | WarehouseLabel
        | WarehouseAlert
        | WarehouseNotification
        | WarehouseDeadLetter
        | WarehouseLedgerEntry
    ]
    name: str
    key: tuple[str, ...]
    clock: Literal["occurred_at", "recorded_at", "caused_at", "offset"]
    counted: tuple[str, ...] = ()
    balanced: bool = False

    def append(
        self, con: duckdb.DuckDBPyConnection, rows: Sequence[WarehouseRow], told: Mapping[str, int]
    ) -> None:
        """Write the rows that are not there yet, and count them; `told`: how far was told of operations before.

        Raises `LedgerUnbalanced`.
        """
        if not rows:
            return
        added = self._new(con, {self._key_of(row): row for row in reversed(rows)}, told)
        if not added:
            return
        if self.balanced:
            _check_balance(added)
        fresh = insert(con, self.name, table_of(added))
        for count in self.counted:
            oldest = {"oldest": stored(min(self._clocks(added)))} if "$oldest" in count else {}
            con.execute(count.format(fresh=fresh), oldest)

    def _new(
        self, con: duckdb.DuckDBPyConnection, rows: Mapping[Key, WarehouseRow], told: Mapping[str, int]
    ) -> list[WarehouseRow]:
        clocks = self._clocks(rows.values())
        oldest, newest = min(clocks), max(clocks)
        if isinstance(oldest, datetime):
            oldest, newest = stored(oldest), stored(newest)
        known = self._find(con, FIND_KEYS, rows, oldest=oldest, newest=newest)
        again = [key for key, row in rows.items() if key not in known and _was_told(row, told)]
        known |= self._find(con, FIND_ANYWHERE, again) if again else set()
        return [row for key, row in rows.items() if key not in known][::-1]

    def _find(
        self, con: duckdb.DuckDBPyConnection, statement: str, keys: Iterable[Key], **bounds: object
    ) -> set[Key]:
        """Those of the `keys` that are stored, and other ones."""
        ids = list({str(first) for first, *_ in keys})
        find = statement.format(
            key=", ".join(f'"{column}"' for column in self.key),
            table=self.name,
            clock=self.clock,
            type="BIGINT" if self.clock == "offset" else "TIMESTAMP",
            wanted=one_of(self.key[0], ids),
        )
        return set(con.execute(find, {"ids": ids, **bounds}).fetchall())

    def _key_of(self, row: WarehouseRow) -> Key:
        return tuple([getattr(row, column) for column in self.key])

    def _clocks(self, rows: Iterable[WarehouseRow]) -> list[Any]:
        values = [getattr(row, self.clock) for row in rows]
        return [in_utc(value) if isinstance(value, datetime) else value for value in values]


class ReplacedTable(msgspec.Struct, frozen=True):
    """A table of one row per id: that of the highest sequence. Without a clock all rows are searched.

    A row's clock is what the first event said that was stored of it, whatever later ones say. `noted`: the
    statement that notes which rows of it come and go, for an aggregate.
    """

    rows: type[ReplacedRow]
    name: str
    clock: Literal["created_at", "opened_at", None]
    noted: str = ""

    def replace(self, con: duckdb.DuckDBPyConnection, rows: Sequence[Any]) -> dict[str, int]:
        """Write the rows that are new or newer; the sequence that stood of each that was known."""
        there = self._there(rows)
        found = self._run(con, FIND_STANDING, [row.id for row in rows], there)
        known = {id: sequence for id, sequence, _ in found}
        newer = [row for row in latest(rows) if row.id not in known or known[row.id] < row.sequence]
        if replaced := [row.id for row in newer if row.id in known]:
            if self.noted:
                self._run(con, self.noted.format(sign="-", rows=STANDING), replaced, there)
            self._run(con, TAKE, replaced, there)
        if newer:
            written = self._of_one_clock(newer, rows, {id: at for id, _, at in found})
            fresh = insert(con, self.name, table_of(written))
            if self.noted:
                con.execute(self.noted.format(sign="", rows=fresh))
        return known

    def _there(self, rows: Iterable[Any]) -> list[str]:
        """Where known rows are: at their time, and at that in their id where it is another one."""
        if self.clock is None:
            return ["true"]
        moments = {in_utc(getattr(row, self.clock)) for row in rows}
        births = {birth for row in rows if (birth := other_birth(row.id, getattr(row, self.clock)))}
        return [during(span, self.clock) for span in around(moments | births)]

    def _of_one_clock(
        self, newer: Sequence[Any], rows: Iterable[Any], known: Mapping[str, datetime]
    ) -> Sequence[Any]:
        """The rows that are written, each with the clock that is stored, or that its first event has."""
        if self.clock is None:
            return newer
        by_age = sorted(rows, key=lambda row: row.sequence, reverse=True)
        clocks = {**{row.id: stored(getattr(row, self.clock)) for row in by_age}, **known}
        return [
            row
            if stored(getattr(row, self.clock)) == clocks[row.id]
            else replace(row, **{self.clock: clocks[row.id]})
            for row in newer
        ]

    def _run(
        self, con: duckdb.DuckDBPyConnection, statement: str, ids: Sequence[str], there: Sequence[str]
    ) -> list[Any]:
        """Run a statement in each part of the table, which DuckDB skips the rest of."""
        each = [
            statement.format(table=self.name, there=part, wanted=one_of("id", ids), clock=self.clock or "NULL")
            for part in there
        ]
        return [row for sql in each for row in con.execute(sql, {"ids": ids}).fetchall()]


def _was_told(row: WarehouseRow, told: Mapping[str, int]) -> bool:
    """Whether an entry's event, or a later one of its operation, has come before: it may stand at another time."""
    return isinstance(row, WarehouseLedgerEntry) and told.get(row.operation, 0) >= row.sequence


def _check_balance(added: Iterable[WarehouseRow]) -> None:
    """Of an event another one may have come under its number: a part of it alone would not add up."""
    moved: Counter[tuple[str, int, str]] = Counter()
    for row in added:
        assert isinstance(row, WarehouseLedgerEntry)
        moved[row.operation, row.sequence, row.currency] += row.amount
    if any(moved.values()):
        raise LedgerUnbalanced


APPENDED = (
    AppendedTable(WarehouseVerdict, "verdicts", ("payment",), "occurred_at"),
    AppendedTable(WarehouseLabel, "labels", ("event",), "recorded_at", (aggregates.COUNT_LABELS,)),
    AppendedTable(WarehouseAlert, "alerts", ("event",), "recorded_at"),
    AppendedTable(WarehouseNotification, "notifications", ("event",), "caused_at"),
    AppendedTable(WarehouseDeadLetter, "dead_letters", ("topic", "partition", "offset"), "offset"),
    AppendedTable(
        WarehouseLedgerEntry,
        "ledger",
        ("operation", "sequence", "number"),
        "recorded_at",
        (aggregates.COUNT_BALANCES, aggregates.COUNT_LEDGER_DAYS),
        balanced=True,
    ),
)

REPLACED = (
    ReplacedTable(WarehouseRefund, "refunds", "created_at"),
    ReplacedTable(WarehouseOperation, "operations", "created_at", aggregates.NOTE_OPERATIONS),
    ReplacedTable(WarehouseReview, "reviews", "opened_at"),
    ReplacedTable(WarehouseAccount, "accounts", None),
)
