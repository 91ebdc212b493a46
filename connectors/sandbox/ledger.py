"""What the three processors did with money: one row per movement or issuer's no, never changed afterwards.

All positions (how much of an authorization is captured, whether it was taken back) are sums over these rows,
so a twin can say nothing that its ledger does not.
"""

import sqlite3
from datetime import datetime
from typing import Any, Literal

import msgspec

from connectors.sandbox.wire import Operation
from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.times import from_micros, now_micros

TABLE = """
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    processor TEXT NOT NULL,
    operation TEXT NOT NULL,
    reference TEXT NOT NULL,     -- the merchant's: our attempt
    request_id TEXT NOT NULL,    -- the merchant's: this call
    amount INTEGER NOT NULL,     -- minor units
    currency TEXT NOT NULL,
    of INTEGER REFERENCES ledger (id),
    status TEXT NOT NULL,
    at INTEGER NOT NULL          -- microseconds, UTC
) STRICT;
CREATE INDEX IF NOT EXISTS ledger_of ON ledger (of) WHERE of IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS ledger_taken_back_once ON ledger (of)
    WHERE operation IN ('void', 'reversal') AND status = 'applied';
CREATE TRIGGER IF NOT EXISTS ledger_is_not_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_not_shortened BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""

TAKEN_BACK = ("void", "reversal")

INSERT = """
INSERT INTO ledger (processor, operation, reference, request_id, amount, currency, of, status, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ONE = """
SELECT id, processor, operation, reference, request_id, amount, currency, status, at, of FROM ledger WHERE id = ?
"""
AFTER = """
SELECT id, processor, operation, reference, request_id, amount, currency, status, at, of FROM ledger
WHERE id > ? ORDER BY id LIMIT ?
"""
FOLLOWERS = """
SELECT operation, amount FROM ledger AS row WHERE of = ? AND status = 'applied' AND NOT EXISTS (
    SELECT 1 FROM ledger WHERE of = row.id AND operation IN ('void', 'reversal') AND status = 'applied')
"""

Status = Literal["applied", "declined"]


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """A movement of `amount` minor units, or an issuer's no to it. `of`: the row a later operation follows."""

    id: int
    processor: ProcessorName
    operation: Operation
    reference: str
    request_id: str
    amount: int
    currency: str
    status: Status
    at: datetime
    of: int | None = None


class Standing(msgspec.Struct, frozen=True):
    """What became of a row, in minor units: captures and refunds that were not taken back themselves."""

    captured: int = 0
    refunded: int = 0
    taken_back: bool = False


def append(
    conn: sqlite3.Connection,
    processor: ProcessorName,
    operation: Operation,
    *,
    reference: str,
    request_id: str,
    money: Money,
    of: int | None = None,
    status: Status = "applied",
) -> int:
    """Write a row and return its id. Raises `sqlite3.IntegrityError` where `of` was already taken back."""
    values = (processor, operation, reference, request_id, money.amount, money.currency, of, status, now_micros())
    row = conn.execute(INSERT, values).lastrowid
    assert row is not None
    return row


def row(conn: sqlite3.Connection, id: int) -> Row:
    """The row `id`, which must exist."""
    return _row(conn.execute(ONE, (id,)).fetchone())


def rows_after(conn: sqlite3.Connection, id: int, limit: int) -> list[Row]:
    """The first `limit` rows after `id`, oldest first."""
    return [_row(values) for values in conn.execute(AFTER, (id, limit))]


def standing(conn: sqlite3.Connection, id: int) -> Standing:
    """What became of the row `id`."""
    followers = conn.execute(FOLLOWERS, (id,)).fetchall()
    return Standing(
        captured=sum(amount for operation, amount in followers if operation == "capture"),
        refunded=sum(amount for operation, amount in followers if operation == "refund"),
        taken_back=any(operation in TAKEN_BACK for operation, _ in followers),
    )


def _row(values: tuple[Any, ...]) -> Row:
    id, processor, operation, reference, request_id, amount, currency, status, at, of = values
    return Row(id, processor, operation, reference, request_id, amount, currency, status, from_micros(at), of)
