"""Reviews: payments held for a person. One decision wins."""

import msgspec
from sqlalchemy import Column, Connection, Index, Table, Text, bindparam, insert, select, update

from gateway.books.metadata import Micros, metadata
from gateway.books.payments import payments
from gateway.books.statement import Statement

reviews = Table(
    "reviews",
    metadata,
    Column("id", Text, primary_key=True),
    Column("payment", Text, nullable=False, unique=True),
    Column("opened_at", Micros, nullable=False),
    Column("decision", Text),
    Column("reason", Text),
    Column("decided_by", Text),
    Column("decided_at", Micros),
)
Index("ix_reviews_decision", reviews.c.decision, reviews.c.id)


class Review(msgspec.Struct, frozen=True):
    """A review with what it is about. Times in microseconds UTC; `risk` is JSON of the applied verdict."""

    id: str
    payment: str
    opened_at: int
    decision: str | None
    reason: str | None
    amount: int
    currency: str
    risk: str | None


_c = reviews.c
_joined = select(
    _c.id,
    _c.payment,
    _c.opened_at,
    _c.decision,
    _c.reason,
    payments.c.amount,
    payments.c.currency,
    payments.c.risk,
).join(payments, payments.c.id == _c.payment)
_insert = Statement(
    insert(reviews).values(id=bindparam("id"), payment=bindparam("payment"), opened_at=bindparam("opened_at"))
)
_select = Statement(_joined.where(_c.id == bindparam("of")))
_decide = Statement(
    update(reviews)
    .where(_c.id == bindparam("of"), _c.decision.is_(None))
    .values(
        decision=bindparam("to_decision"),
        reason=bindparam("to_reason"),
        decided_by=bindparam("by"),
        decided_at=bindparam("at"),
    )
)


def insert_review(conn: Connection, review: str, payment: str, now: int) -> None:
    """Open a review of a payment."""
    _insert(conn, id=review, payment=payment, opened_at=now)


def select_review(conn: Connection, review: str) -> Review | None:
    """The review of this id."""
    row = _select(conn, of=review).first()
    return Review(*row) if row else None


def list_reviews(conn: Connection, after: str | None, most: int) -> list[Review]:
    """Open reviews first, then the decided ones, the newest first in each; `after` is a review's id."""
    decided = _c.decision.is_not(None)
    query = _joined.order_by(decided, _c.id.desc()).limit(most)
    if after is not None:
        last = select_review(conn, after)
        was_decided = last is not None and last.decision is not None
        older = (decided == was_decided) & (_c.id < after)
        query = query.where(older if was_decided else older | decided)
    return [Review(*row) for row in conn.execute(query)]


def decide(conn: Connection, review: str, decision: str, reason: str, by: str, now: int) -> bool:
    """Decide a review; False where someone was first."""
    decided = _decide(conn, of=review, to_decision=decision, to_reason=reason, by=by, at=now)
    return bool(decided.rowcount)
