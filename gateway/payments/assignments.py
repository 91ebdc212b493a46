"""Reviews taken and given back, so that no two people work on the same one (docs/decisions/0061)."""

from sqlalchemy import Connection

from gateway.books.assignments import give_back, take
from gateway.books.audit import Act, record
from gateway.books.engine import Outdated
from gateway.books.reviews import Review, select_review
from gateway.payments.captures import WrongState
from gateway.payments.held import Assigned
from gateway.refusals import NoSuchObject
from schemas.times import steady_micros


def take_review(conn: Connection, review_id: str, by: str, may_take_over: bool) -> Review:
    """Make an open review the account's for fifteen minutes from now; that it changes hands is in the audit.

    Raises `NoSuchObject`, `WrongState` where it is decided, `Assigned` where it is a colleague's from whom it may
    not be taken, and `Outdated` where that changes meanwhile.
    """
    review = _existing(conn, review_id)
    if review.decision is not None:
        raise WrongState("It is decided already.")
    holder = _holder(review, by, may_take_over)
    if not take(conn, review_id, by, over=holder):
        raise Outdated(review_id)
    if holder != by:
        taken_from = {"from": holder} if holder else {}
        record(conn, Act("review_taken", by, review_id, {"payment": review.payment_id} | taken_from))
    return _existing(conn, review_id)


def give_back_review(conn: Connection, review_id: str, by: str, may_take_over: bool) -> None:
    """Leave a review to anybody; what is free or decided stays so.

    Raises `NoSuchObject`, and `Assigned` where it is a colleague's from whom it may not be taken.
    """
    review = _existing(conn, review_id)
    holder = _holder(review, by, may_take_over)
    if holder is not None and give_back(conn, review_id, holder):
        record(conn, Act("review_given_back", by, review_id, {"payment": review.payment_id, "from": holder}))


def _existing(conn: Connection, review_id: str) -> Review:
    review = select_review(conn, review_id)
    if review is None:
        raise NoSuchObject
    return review


def _holder(review: Review, by: str, may_take_over: bool) -> str | None:
    holder = review.holder(steady_micros())
    if holder not in (None, by) and not may_take_over:
        raise Assigned
    return holder
