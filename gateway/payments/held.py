"""Reviews opened and ended: payments held for a person, or taken before their block came.

Each is told of in the transaction that writes it, by whoever it is ended: a person, the time limit, a late block.
"""

import msgspec
from sqlalchemy import Connection

from gateway.books.outbox import add_events
from gateway.books.payments import PaymentRow
from gateway.books.reviews import ExpectedLoss, Review, decide, insert_review, select_review
from gateway.books.verdicts import select_scored
from gateway.euro_rates import EuroRates
from gateway.payments.telling import reasons_of, review_events
from gateway.refusals import Refusal
from schemas.ids import new_id
from schemas.reviews import ReviewKind, ReviewOutcome
from schemas.times import steady_micros

UNKNOWN_LOSS = ExpectedLoss()


class Assigned(Refusal):
    """A colleague has taken the review."""


def expected_loss(conn: Connection, rates: EuroRates, payment: PaymentRow, amount: int) -> ExpectedLoss:
    """What approving costs on average: `amount` (minor units) × the fraud flow's score; not known without one.

    It is ordered by its worth in euro; a currency without a rate stands as if its minor units were cents.
    """
    score = select_scored(conn, payment.id).score
    if score is None:
        return UNKNOWN_LOSS
    minor = round(amount * score)
    cents = rates.cents(minor, payment.currency)
    return ExpectedLoss(minor, minor if cents is None else cents)


def open_review(
    conn: Connection,
    payment: PaymentRow,
    now: int,
    kind: ReviewKind = "held",
    reasons: str | None = None,
    loss: ExpectedLoss = UNKNOWN_LOSS,
) -> str:
    """Open a review of a payment at `now` (microseconds UTC); its id. `reasons`: JSON, of a late block."""
    review = Review(
        id=new_id("rev"),
        payment_id=payment.id,
        opened_at=now,
        decision=None,
        reason=None,
        amount=payment.amount,
        currency=payment.currency,
        risk=payment.risk,
        kind=kind,
        reasons=reasons,
        amount_captured=payment.amount_captured,
        decided_by=None,
        decided_at=None,
        sequence=0,
        expected_loss=loss.minor,
        loss_rank=loss.rank,
    )
    insert_review(conn, review, reasons_of(review))
    add_events(conn, review_events(payment, review, now))
    return review.id


def end_review(
    conn: Connection,
    payment: PaymentRow,
    review_id: str,
    decision: ReviewOutcome,
    reason: str,
    by: str | None,
    now: int,
) -> bool:
    """Decide a review at `now` (microseconds UTC) for the account `by`, or None; False where someone was first.

    Raises `Assigned` where a colleague of `by` has taken it, and `Outdated` where it changes meanwhile.
    """
    review = select_review(conn, review_id)
    if review is None or review.decision is not None:
        return False
    if by is not None and review.holder(steady_micros()) not in (None, by):
        raise Assigned
    decide(conn, review, decision, reason, by, now)
    ended = msgspec.structs.replace(review, decision=decision, decided_by=by, decided_at=now)
    add_events(conn, review_events(payment, ended, now))
    return True
