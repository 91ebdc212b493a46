"""Who has taken which review: for fifteen minutes it is theirs to decide, by the steady clock, renewed by use."""

from sqlalchemy import Connection, and_, bindparam, null, or_, select, update

from gateway.books.reviews import reviews
from gateway.books.sql import Statement
from gateway.policy import MINUTE_US
from schemas.times import steady_micros

HELD_US = 15 * MINUTE_US

_c = reviews.c
_by = bindparam("by", type_=_c.assigned_to.type)
_now = bindparam("now", type_=_c.assigned_until.type)
_of_this = and_(_c.id == bindparam("of_review_id"), _c.decision.is_(None))
_is_free = or_(_c.assigned_to.is_(None), _c.assigned_to == _by, _c.assigned_until <= _now)
_held_by = and_(_c.assigned_to == _by, _c.assigned_until > _now)
_take = Statement(
    update(reviews)
    .where(_of_this, or_(_is_free, _c.assigned_to == bindparam("over", type_=_c.assigned_to.type)))
    .values(assigned_to=_by, assigned_until=bindparam("until"))
)
_give_back = Statement(
    update(reviews).where(_of_this, _c.assigned_to == _by).values(assigned_to=null(), assigned_until=null())
)
# What another transaction of theirs renews now is passed over: none of the two waits for the other.
_own = select(_c.id).where(_held_by).with_for_update(skip_locked=True)
_renew = Statement(update(reviews).where(_c.id.in_(_own)).values(assigned_until=bindparam("until")))


def take(conn: Connection, review_id: str, by: str, over: str | None = None) -> bool:
    """Make an open review the account's, or renew that it is; False where it is decided, or somebody else's.

    `over`: from whom it may be taken.
    """
    now = steady_micros()
    taken = _take(conn, of_review_id=review_id, by=by, now=now, over=over, until=now + HELD_US)
    return bool(taken.rowcount)


def give_back(conn: Connection, review_id: str, by: str) -> bool:
    """Leave an open review to anybody; False where the account did not have it."""
    return bool(_give_back(conn, of_review_id=review_id, by=by).rowcount)


def renew(conn: Connection, by: str) -> None:
    """What an account has taken stays its own for another fifteen minutes."""
    now = steady_micros()
    _renew(conn, by=by, now=now, until=now + HELD_US)
