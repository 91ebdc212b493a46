"""Postings: double entry, append only; the postings of one operation add up to zero, and so do all of them."""

from sqlalchemy import Column, Connection, Table, Text, bindparam, insert

from gateway.books.metadata import Micros, Minor, Serial, metadata
from gateway.books.operations import Operation, OperationKind
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

Entries = list[tuple[str, int]]


class Unbalanced(AssertionError):
    """Entries that do not add up to zero were about to be posted: a bug, and it must not reach the books."""


def entries(operation: Operation, undone: OperationKind | None, merchant: str, held: int) -> Entries:
    """The entries (account, signed minor units) of an operation that succeeded.

    `hold:` accounts carry what is reserved and not yet taken; `due:` what a processor owes us (positive) and
    what we owe a merchant (negative). `undone` is the kind of operation that a void or reversal takes back,
    `held` what is reserved for the payment: a capture releases all of it.
    """
    kind = operation.kind
    if kind in ("void", "reversal"):
        return _negated(_entries(undone, operation.processor, merchant, operation.amount))
    if kind == "capture":
        released = _negated(_entries("authorize", operation.processor, merchant, held))
        return released + _entries("sale", operation.processor, merchant, operation.amount)
    return _entries(kind, operation.processor, merchant, operation.amount)


def _entries(kind: OperationKind | None, processor: str, merchant: str, amount: int) -> Entries:
    if kind == "authorize":
        return [(f"hold:{processor}", amount), (f"hold:{merchant}", -amount)]
    return [(f"due:{processor}", amount), (f"due:{merchant}", -amount)]


def _negated(posted: Entries) -> Entries:
    return [(account, -amount) for account, amount in posted]


def post(conn: Connection, operation: Operation, posted: Entries, now: int) -> None:
    """Write the entries of an operation. Raises `Unbalanced`."""
    if sum(amount for _, amount in posted):
        raise Unbalanced(operation.id)
    row = {"operation": operation.id, "payment": operation.payment, "currency": operation.currency}
    _insert.many(conn, [{**row, "account": a, "amount": n, "recorded_at": now} for a, n in posted])
