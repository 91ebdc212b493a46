"""The ledger of the three twins: one row per movement of money or issuer's decline, never changed afterwards.

All positions (how much of an authorization is captured, whether it was taken back) are sums over these rows, so
no twin answers anything that its ledger does not show. A void or reversal has the amount that it releases: of an
authorization what its captures left. PayPal's final capture and Mastercard's end of a hold release without a row.
"""

import sqlite3
from datetime import datetime
from typing import Any, Literal

import msgspec

from connectors.sandbox.http_shapes import LedgerOperation
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

LedgerStatus = Literal["applied", "declined"]


class LedgerRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A movement of `amount` minor units, or an issuer's decline of it. `of`: the id of the row it follows."""

    id: int
    processor: ProcessorName
    operation: LedgerOperation
    reference: str
    request_id: str
    amount: int
    currency: str
    status: LedgerStatus
    at: datetime
    of: int | None = None


class LedgerPosition(msgspec.Struct, frozen=True):
    """What later rows did to a row, in minor units: captures and refunds that were not taken back themselves."""

    captured: int = 0
    refunded: int = 0
    taken_back: bool = False


def append(
    conn: sqlite3.Connection,
    processor: ProcessorName,
    operation: LedgerOperation,
    *,
    reference: str,
    request_id: str,
    money: Money,
    parent_id: int | None = None,
    status: LedgerStatus = "applied",
) -> int:
    """Write a row and return its id. Raises `sqlite3.IntegrityError` where the parent was taken back before."""
    values = (
        processor,
        operation,
        reference,
        request_id,
        money.amount,
        money.currency,
        parent_id,
        status,
        now_micros(),
    )
    row = conn.execute(INSERT, values).lastrowid
    assert row is not None
    return row


def row(conn: sqlite3.Connection, id: int) -> LedgerRow:
    """The row `id`, which must exist."""
    return _row(conn.execute(ONE, (id,)).fetchone())


def rows_after(conn: sqlite3.Connection, id: int, limit: int) -> list[LedgerRow]:
    """The first `limit` rows after `id`, oldest first."""
    return [_row(values) for values in conn.execute(AFTER, (id, limit))]


def position(conn: sqlite3.Connection, id: int) -> LedgerPosition:
    """What later rows did to the row `id`."""
    followers = conn.execute(FOLLOWERS, (id,)).fetchall()
    return LedgerPosition(
        captured=sum(amount for operation, amount in followers if operation == "capture"),
        refunded=sum(amount for operation, amount in followers if operation == "refund"),
        taken_back=any(operation in TAKEN_BACK for operation, _ in followers),
    )


def _row(values: tuple[Any, ...]) -> LedgerRow:
    id, processor, operation, reference, request_id, amount, currency, status, at, of = values
    moment = from_micros(at)
    return LedgerRow(id, processor, operation, reference, request_id, amount, currency, status, moment, of)
