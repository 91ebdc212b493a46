"""Reviews opened and ended: payments held for a person, or taken before their block came.

Each is told of in the transaction that writes it, by whoever it is ended: a person, the time limit, a late block.
"""

import msgspec
from sqlalchemy import Connection

from gateway.books.outbox import add_events
from gateway.books.payments import PaymentRow
from gateway.books.reviews import Review, decide, insert_review, select_review
from gateway.payments.telling import review_events
from schemas.ids import new_id
from schemas.reviews import ReviewKind, ReviewOutcome


def open_review(
    conn: Connection, payment: PaymentRow, now: int, kind: ReviewKind = "held", reasons: str | None = None
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
    )
    insert_review(conn, review.id, payment.id, now, kind, reasons)
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

    Raises `Outdated` where it changes meanwhile.
    """
    review = select_review(conn, review_id)
    if review is None or review.decision is not None:
        return False
    decide(conn, review, decision, reason, by, now)
    ended = msgspec.structs.replace(review, decision=decision, decided_by=by, decided_at=now)
    add_events(conn, review_events(payment, ended, now))
    return True
