"""Reviews: payments held for a person (`held`), or taken before their block came (`late`). One decision wins."""

import msgspec
from sqlalchemy import Connection, Index, UniqueConstraint, bindparam, insert, select, update

from gateway.books.engine import Outdated
from gateway.books.payments import payments
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, Int32, Micros, table_of
from schemas.reviews import ReviewKind, ReviewOutcome

OPENED, ENDED = 1, 2  # a review's `sequence`


class ReviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `reviews`. Times in microseconds UTC; from `decision` to `decided_at` null until it is decided.

    `decided_by`: an account; null where a late block or the time limit did. `reasons`: JSON, of a `late` one those
    of its block. `sequence`: of its newest event on `reviews.v1`: 1 opened, 2 ended; 0: it was never told of.
    """

    id: str
    payment_id: str
    opened_at: Micros
    decision: ReviewOutcome | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: Micros | None = None
    kind: ReviewKind = "held"
    reasons: str | None = None
    sequence: Int32 = 0


class Review(msgspec.Struct, frozen=True):
    """A review with what it is about. Times in microseconds UTC; `risk` is JSON of the applied verdict.

    `amount_captured` in minor units: a `late` one is about that. The others are as in its row.
    """

    id: str
    payment_id: str
    opened_at: int
    decision: ReviewOutcome | None
    reason: str | None
    amount: int
    currency: str
    risk: str | None
    kind: ReviewKind
    reasons: str | None
    amount_captured: int
    decided_by: str | None
    decided_at: int | None
    sequence: int


reviews = table_of("reviews", ReviewRow, UniqueConstraint("payment_id", "kind", name="uq_reviews_payment"))
_c = reviews.c
_is_decided = {False: _c.decision.is_(None), True: _c.decision.is_not(None)}
Index("ix_reviews_open", _c.id, sqlite_where=_is_decided[False], postgresql_where=_is_decided[False])
Index("ix_reviews_decided", _c.id, sqlite_where=_is_decided[True], postgresql_where=_is_decided[True])

with_payment = select(
    _c.id,
    _c.payment_id,
    _c.opened_at,
    _c.decision,
    _c.reason,
    payments.c.amount,
    payments.c.currency,
    payments.c.risk,
    _c.kind,
    _c.reasons,
    payments.c.amount_captured,
    _c.decided_by,
    _c.decided_at,
    _c.sequence,
).join(payments, payments.c.id == _c.payment_id)
_insert = Statement(insert(reviews))
_select = Statement(with_payment.where(_c.id == bindparam("review_id")))
_held_open = Statement(
    select(_c.id).where(
        _c.payment_id == bindparam("of_payment_id"), _c.kind == bindparam("of_kind"), _c.decision.is_(None)
    )
)
PAGES = {
    decided: Statement(
        with_payment.where(condition, _c.id < bindparam("below")).order_by(_c.id.desc()).limit(bindparam("most"))
    )
    for decided, condition in _is_decided.items()
}
_decide = Statement(
    update(reviews)
    .where(_c.id == bindparam("review_id"), _c.decision.is_(None), _c.sequence == bindparam("from_sequence"))
    .values(
        sequence=ENDED,
        decision=bindparam("to_decision"),
        reason=bindparam("to_reason"),
        decided_by=bindparam("by"),
        decided_at=bindparam("at"),
    )
)


def insert_review(
    conn: Connection,
    review_id: str,
    payment_id: str,
    now: int,
    kind: ReviewKind = "held",
    reasons: str | None = None,
) -> None:
    """Write a review of a payment, opened at `now` (microseconds UTC). `reasons`: JSON, of a late block."""
    row = ReviewRow(
        id=review_id, payment_id=payment_id, opened_at=now, kind=kind, reasons=reasons, sequence=OPENED
    )
    _insert(conn, **msgspec.structs.asdict(row))


def select_review(conn: Connection, review_id: str) -> Review | None:
    """The review of this id."""
    row = _select(conn, review_id=review_id).first()
    return Review(*row) if row else None


def select_undecided(conn: Connection, payment_id: str) -> str | None:
    """The id of the review that holds a payment; None where nobody has to decide."""
    found: str | None = _held_open(conn, of_payment_id=payment_id, of_kind="held").scalar()
    return found


def list_reviews(conn: Connection, after: tuple[bool, str] | None, most: int) -> list[Review]:
    """Up to `most` reviews: open ones first, then the decided ones, the newest first in each.

    `after`: whether the last one of the page before was decided, and its id.
    """
    was_decided, last_id = after or (False, ABOVE_ALL_IDS)
    found = [] if was_decided else [Review(*row) for row in PAGES[False](conn, below=last_id, most=most)]
    below = last_id if was_decided else ABOVE_ALL_IDS
    if len(found) < most:
        found += [Review(*row) for row in PAGES[True](conn, below=below, most=most - len(found))]
    return found


def decide(
    conn: Connection, review: Review, decision: ReviewOutcome, reason: str, by: str | None, now: int
) -> None:
    """Write a decision of `now` (microseconds UTC) by the account `by`, or None. Raises `Outdated`."""
    decided = _decide(
        conn,
        review_id=review.id,
        from_sequence=review.sequence,
        to_decision=decision,
        to_reason=reason,
        by=by,
        at=now,
    )
    if not decided.rowcount:
        raise Outdated(review.id)
