"""Postings: double entry, append only; the postings of one source add up to zero, and so do all of them."""

from typing import Literal, assert_never

import msgspec
from sqlalchemy import BigInteger, Connection, Index, bindparam, cast, func, insert, select

from gateway.books.operations import Operation, operations
from gateway.books.sql import Statement
from gateway.books.tables import Micros, Minor, SerialId, table_of

SourceKind = Literal["operation", "dispute", "fee"]
Entries = tuple[tuple[str, int], ...]  # (ledger account, signed minor units)


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `postings`: `amount` in minor units, moved on a ledger `account` because of its source."""

    id: SerialId
    source_kind: SourceKind
    source_id: str
    payment_id: str
    account: str
    amount: Minor
    currency: str
    recorded_at: Micros


postings = table_of("postings", Posting, sqlite_autoincrement=True)
_c = postings.c
Index("ix_postings_source_id", _c.source_id)
Index("ix_postings_payment_id", _c.payment_id)

_insert = Statement(insert(postings).values({c.name: bindparam(c.name) for c in _c if c.name != "id"}))
_own = postings.alias("own")
_own_accounts = select(_own.c.account).where(_own.c.source_id == bindparam("operation_id"))
_kind = operations.c.kind
_takes_off = (_kind == "void") | (_kind == "reversal") | (_kind == "capture")
# With what later operations took off it: voids and reversals of it, and captures of a hold.
_standing = Statement(
    select(_c.account, cast(func.sum(_c.amount), BigInteger).label("amount"))  # PostgreSQL's sum is a numeric
    .join(operations, operations.c.id == _c.source_id)
    .where(
        _c.source_kind == "operation",
        _c.payment_id == bindparam("payment_id"),  # for its index
        _c.account.in_(_own_accounts),
        (operations.c.id == bindparam("operation_id"))
        | ((operations.c.parent_id == bindparam("operation_id")) & _takes_off),
    )
    .group_by(_c.account)
    .having(func.sum(_c.amount) != 0)
    .order_by(func.min(_c.id))
)


_posted = Statement(select(_c.account, _c.amount).where(_c.source_id == bindparam("operation_id")).order_by(_c.id))


class Unbalanced(AssertionError):
    """Entries that do not add up to zero were about to be posted: a bug that must not reach the books."""


def entries_of(operation: Operation, merchant_id: str) -> Entries:
    """The entries of an operation that succeeded and moves money; nothing for what takes another one back.

    `hold:` accounts carry what is reserved and not yet taken; `due:` what a processor owes us (positive) and what
    we owe a merchant (negative). What a capture takes off a hold is `off_hold`; what a void or reversal takes back
    are the `negated` entries of its parent.
    """
    processor, amount = operation.processor, operation.amount
    match operation.kind:
        case "authorize":
            return _moved("hold", processor, merchant_id, amount)
        case "sale" | "capture":
            return _moved("due", processor, merchant_id, amount)
        case "refund":
            return _moved("due", processor, merchant_id, -amount)
        case "order" | "void" | "reversal":
            return ()
        case _:
            assert_never(operation.kind)


def off_hold(capture: Operation, merchant_id: str, released: int) -> Entries:
    """The entries by which a capture frees `released` (minor units) of the hold of its authorization."""
    return _moved("hold", capture.processor, merchant_id, -released)


def _moved(kind: str, processor: str, merchant_id: str, amount: int) -> Entries:
    return ((f"{kind}:{processor}", amount), (f"{kind}:{merchant_id}", -amount))


def negated(entries: Entries) -> Entries:
    """The entries that undo these."""
    return tuple((account, -amount) for account, amount in entries)


def select_standing(conn: Connection, payment_id: str, operation_id: str) -> Entries:
    """What is still posted for an operation of the payment: what an authorization holds, nothing once undone."""
    rows = _standing(conn, payment_id=payment_id, operation_id=operation_id)
    return tuple((row.account, row.amount) for row in rows)


def select_posted(conn: Connection, operation_id: str) -> Entries:
    """All that was ever posted for an operation, in order."""
    return tuple((row.account, row.amount) for row in _posted(conn, operation_id=operation_id))


def post(conn: Connection, operation: Operation, entries: Entries, now: int) -> None:
    """Write the entries of an operation at `now` (microseconds UTC). Raises `Unbalanced`."""
    if sum(amount for _, amount in entries):
        raise Unbalanced(operation.id)
    row = {
        "source_kind": "operation",
        "source_id": operation.id,
        "payment_id": operation.payment_id,
        "currency": operation.currency,
        "recorded_at": now,
    }
    _insert.many(conn, [{**row, "account": account, "amount": amount} for account, amount in entries])
