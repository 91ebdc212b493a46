"""Operations and reviews of before there were events of them: found by their keys, a page at a time.

They are marked as told in the transaction that writes their events. Nothing has to be kept of how far one came: a
run that was interrupted passes over what is told.
"""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, Table, bindparam, select, update

from gateway.books.operations import Operation, operations
from gateway.books.reviews import Review, reviews, with_payment
from gateway.books.sql import Statement
from gateway.books.tables import struct_of

_o, _r = operations.c, reviews.c
_untold_operation = (_o.sequence == 0) & (_o.status != "sending")  # what is out is told of when it ends
_untold_review = _r.sequence == 0


def _walking(table: Table, untold: ColumnElement[bool]) -> Statement:
    key = table.c.id
    walk = select(key, untold.label("is_untold")).where(key > bindparam("past"))
    return Statement(walk.order_by(key).limit(bindparam("most")))


def _marking(table: Table) -> Statement:
    """By `told`, the number of events that there are of it then."""
    return Statement(
        update(table).where(table.c.id == bindparam("of_id")).values(sequence=bindparam("told")),
    )


WALKS = {"operations": _walking(operations, _untold_operation), "reviews": _walking(reviews, _untold_review)}
MARKS = {"operations": _marking(operations), "reviews": _marking(reviews)}
_between = {
    table.name: (table.c.id >= bindparam("first_id"), table.c.id <= bindparam("last_id"))
    for table in (operations, reviews)
}
# Locked: who changes one of them meanwhile finds that it was told of, and begins again.
_operations = Statement(
    select(operations)
    .where(*_between["operations"], _untold_operation)
    .order_by(_o.id)
    .with_for_update(key_share=True)
)
_reviews = Statement(
    with_payment.where(*_between["reviews"], _untold_review)
    .order_by(_r.id)
    .with_for_update(of=reviews, key_share=True)
)


def list_untold(conn: Connection, table: str, past: str, most: int) -> tuple[list[str], str | None]:
    """The untold ones among the next `most` rows past an id, and the id to go on after; None at the end."""
    seen = list(WALKS[table](conn, past=past, most=most))
    return [row.id for row in seen if row.is_untold], seen[-1].id if len(seen) == most else None


def lock_operations(conn: Connection, first_id: str, last_id: str) -> list[Operation]:
    """The untold operations from one id to another, both included, which nobody else changes until the commit."""
    rows = _operations(conn, first_id=first_id, last_id=last_id)
    return [struct_of(Operation, row) for row in rows]


def lock_reviews(conn: Connection, first_id: str, last_id: str) -> list[Review]:
    """The same of reviews."""
    return [Review(*row) for row in _reviews(conn, first_id=first_id, last_id=last_id)]


def mark_told(conn: Connection, table: str, sequences: Iterable[tuple[str, int]]) -> None:
    """Note, by id, the `sequence` of the newest event of each."""
    MARKS[table].many(conn, [{"of_id": id, "told": sequence} for id, sequence in sequences])
