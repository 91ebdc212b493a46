"""Reviews: payments held for a person (`held`), or taken before their block came (`late`). One decision wins."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    UniqueConstraint,
    and_,
    bindparam,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from gateway.books.engine import Outdated
from gateway.books.payments import payments
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Int64, Micros, Minor, table_of
from schemas.reviews import ReviewKind, ReviewOutcome
from schemas.times import steady_micros

OPENED, ENDED = 1, 2  # a review's `sequence`
NO_SCORE = -1  # the `loss_rank` of what no score is known of: behind all others


class ReviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `reviews`. Times in microseconds UTC; from `decision` to `decided_at` null until it is decided.

    `decided_by`: an account; null where a late block or the time limit did. `reasons`: JSON, of a `late` one those
    of its block. `sequence`: of its newest event on `reviews.v1`: 1 opened, 2 ended; 0: it was never told of.
    `expected_loss`: amount × score as it was opened, in minor units of the payment's currency, null without a
    score; `loss_rank`: what that is worth in euro cents, by which the queue is ordered. Until `assigned_until`
    (steady clock) it is for the account `assigned_to` to decide; both null once it is decided.
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
    expected_loss: Minor | None = None
    loss_rank: Int64 = NO_SCORE
    assigned_to: str | None = None
    assigned_until: Micros | None = None


class ReasonRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `review_reasons`, by which a list is filtered; `is_open` and `loss_rank` as its review has them."""

    review_id: str
    reason: str
    is_open: bool
    loss_rank: Int64


class ExpectedLoss(msgspec.Struct, frozen=True):
    """What is lost by approving, on average: `minor` units of the payment's currency, `rank` in euro cents."""

    minor: int | None = None
    rank: int = NO_SCORE


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
    expected_loss: int | None = None
    loss_rank: int = NO_SCORE
    assigned_to: str | None = None
    assigned_until: int | None = None

    def holder(self, now: int) -> str | None:
        """Whose it is to decide at `now` (steady clock); None: anybody's."""
        return self.assigned_to if self.assigned_until is not None and self.assigned_until > now else None


reviews = table_of("reviews", ReviewRow, UniqueConstraint("payment_id", "kind", name="uq_reviews_payment"))
_c = reviews.c
is_decided = {False: _c.decision.is_(None), True: _c.decision.is_not(None)}


def _index(name: str, where: ColumnElement[bool], *columns: Column[Any]) -> None:
    """For a filter of the queue (`review_lists`): the order of the list within it."""
    Index(f"ix_{name}", *columns, sqlite_where=where, postgresql_where=where)


_index("reviews_open", is_decided[False], _c.id)
_index("reviews_open_loss", is_decided[False], _c.loss_rank, _c.id)
_index("reviews_open_kind", is_decided[False], _c.kind, _c.id)
_index("reviews_open_kind_loss", is_decided[False], _c.kind, _c.loss_rank, _c.id)
_index("reviews_decided", is_decided[True], _c.id)
_index("reviews_decided_kind", is_decided[True], _c.kind, _c.id)
review_reasons = table_of("review_reasons", ReasonRow, primary_key=("review_id", "reason"))
_why = review_reasons.c
is_open_reason = {False: _why.is_open.is_(False), True: _why.is_open.is_(True)}
# Of all rows this holds. Only who asks by age says it: else PostgreSQL would take these indexes for an order by
# loss, too, and sort what they lead to.
by_age = {"assigned_to": _c.loss_rank > literal_column("-2"), "reason": _why.loss_rank > literal_column("-2")}
_is_held = _c.assigned_to.is_not(None)
_index("reviews_assigned", and_(_is_held, by_age["assigned_to"]), _c.assigned_to, _c.id)
_index("reviews_assigned_loss", _is_held, _c.assigned_to, _c.loss_rank, _c.id)
_index("review_reasons_open", and_(is_open_reason[True], by_age["reason"]), _why.reason, _why.review_id)
_index("review_reasons_open_loss", is_open_reason[True], _why.reason, _why.loss_rank, _why.review_id)
_index("review_reasons_decided", is_open_reason[False], _why.reason, _why.review_id)

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
    _c.expected_loss,
    _c.loss_rank,
    _c.assigned_to,
    _c.assigned_until,
).join(payments, payments.c.id == _c.payment_id)
_insert = Statement(insert(reviews))
_select = Statement(with_payment.where(_c.id == bindparam("review_id")))
_held_open = Statement(
    select(_c.id).where(
        _c.payment_id == bindparam("of_payment_id"), _c.kind == bindparam("of_kind"), _c.decision.is_(None)
    )
)
_insert_reason = Statement(insert(review_reasons))
_end_reasons = Statement(
    update(review_reasons).where(_why.review_id == bindparam("of_review_id")).values(is_open=False)
)
# Whoever decides for a person decides no case that is a colleague's by then.
_may_decide = or_(
    bindparam("by", type_=_c.decided_by.type).is_(None),
    _c.assigned_to.is_(None),
    _c.assigned_to == bindparam("by", type_=_c.decided_by.type),
    _c.assigned_until <= bindparam("steady_now", type_=_c.assigned_until.type),
)
_decide = Statement(
    update(reviews)
    .where(
        _c.id == bindparam("review_id"),
        _c.decision.is_(None),
        _c.sequence == bindparam("from_sequence"),
        _may_decide,
    )
    .values(
        sequence=ENDED,
        assigned_to=null(),
        assigned_until=null(),
        decision=bindparam("to_decision"),
        reason=bindparam("to_reason"),
        decided_by=bindparam("by"),
        decided_at=bindparam("at"),
    )
)


def insert_review(conn: Connection, review: Review, why: Iterable[str]) -> None:
    """Write a review that is opened, and the reasons by which it is found."""
    known = {name: getattr(review, name) for name in ReviewRow.__struct_fields__}
    _insert(conn, **(known | {"sequence": OPENED}))
    for reason in sorted(set(why)):
        row = ReasonRow(review_id=review.id, reason=reason, is_open=True, loss_rank=review.loss_rank)
        _insert_reason(conn, **msgspec.structs.asdict(row))


def select_review(conn: Connection, review_id: str) -> Review | None:
    """The review of this id."""
    row = _select(conn, review_id=review_id).first()
    return Review(*row) if row else None


def select_undecided(conn: Connection, payment_id: str) -> str | None:
    """The id of the review that holds a payment; None where nobody has to decide."""
    found: str | None = _held_open(conn, of_payment_id=payment_id, of_kind="held").scalar()
    return found


def decide(
    conn: Connection, review: Review, decision: ReviewOutcome, reason: str, by: str | None, now: int
) -> None:
    """Write a decision of `now` (microseconds UTC) by the account `by`, or None; the case is nobody's any more.

    Raises `Outdated` where it changed since it was read, or is a colleague's now.
    """
    decided = _decide(
        conn,
        review_id=review.id,
        from_sequence=review.sequence,
        to_decision=decision,
        to_reason=reason,
        by=by,
        at=now,
        steady_now=steady_micros(),
    )
    if not decided.rowcount:
        raise Outdated(review.id)
    _end_reasons(conn, of_review_id=review.id)
