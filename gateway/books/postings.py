"""Postings: double entry, append only; the postings of one operation add up to zero, and so do all of them."""

from sqlalchemy import Column, Connection, Table, Text, bindparam, insert, select

from gateway.books.metadata import Micros, Minor, Serial, metadata
from gateway.books.operations import Operation
from gateway.books.statement import Statement

postings = Table(
    "postings",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("operation", Text, nullable=False, index=True),
    Column("payment", Text, nullable=False, index=True),
    Column("account", Text, nullable=False),
    Column("amount", Minor, nullable=False),
    Column("currency", Text, nullable=False),
    Column("recorded_at", Micros, nullable=False),
    sqlite_autoincrement=True,
)
_insert = Statement(insert(postings).values({c.name: bindparam(c.name) for c in postings.c if c.name != "id"}))
_of_operation = Statement(
    select(postings.c.account, postings.c.amount)
    .where(postings.c.operation == bindparam("of"))
    .order_by(postings.c.id)
)

Entries = list[tuple[str, int]]


class Unbalanced(AssertionError):
    """Entries that do not add up to zero were about to be posted: a bug, and it must not reach the books."""


def entries(operation: Operation, merchant: str, held: int) -> Entries:
    """The entries (account, signed minor units) of an authorization, sale or capture that succeeded.

    `hold:` accounts carry what is reserved and not yet taken; `due:` what a processor owes us (positive) and
    what we owe a merchant (negative). `held`: what is reserved for the payment; a capture releases all of it.
    What a void or reversal takes back is `negated`.
    """
    processor = operation.processor
    if operation.kind == "authorize":
        return _moved("hold", processor, merchant, operation.amount)
    released = _moved("hold", processor, merchant, -held) if operation.kind == "capture" and held else []
    return released + _moved("due", processor, merchant, operation.amount)


def _moved(kind: str, processor: str, merchant: str, amount: int) -> Entries:
    return [(f"{kind}:{processor}", amount), (f"{kind}:{merchant}", -amount)]


def negated(posted: Entries) -> Entries:
    """The entries that undo these."""
    return [(account, -amount) for account, amount in posted]


def select_entries(conn: Connection, operation: str) -> Entries:
    """What was posted for an operation; nothing for one that was declined or never booked."""
    return [(row.account, row.amount) for row in _of_operation(conn, of=operation)]


def post(conn: Connection, operation: Operation, posted: Entries, now: int) -> None:
    """Write the entries of an operation. Raises `Unbalanced`."""
    if sum(amount for _, amount in posted):
        raise Unbalanced(operation.id)
    row = {"operation": operation.id, "payment": operation.payment, "currency": operation.currency}
    _insert.many(conn, [{**row, "account": a, "amount": n, "recorded_at": now} for a, n in posted])
