"""Events of `reviews.v1`: payments that wait for a person, and what was decided."""

from datetime import datetime
from typing import Literal

import msgspec

ReviewOutcome = Literal["approve", "reject"]
ReviewKind = Literal["held", "late"]  # held before it was taken, or taken before its block came


class PaymentReview(msgspec.Struct, frozen=True):
    """A review of a payment, which is of `amount` minor units of `currency`; times UTC.

    `reasons`: why it was held. `decision` to `decided_at` are null until it is decided; `decided_by` is an account
    of staff, null where the time limit or a late block decided. What a person wrote about it stands on no topic.
    """

    id: str
    payment: str
    kind: ReviewKind
    merchant: str
    amount: int
    currency: str
    reasons: list[str]
    opened_at: datetime
    decision: ReviewOutcome | None
    decided_by: str | None
    decided_at: datetime | None


class ReviewEvent(msgspec.Struct, frozen=True):
    """`review.*`: a review was opened, decided by a person, or ended by its time limit or a late block.

    `sequence` counts the review's events from 1 without gaps.
    """

    sequence: int
    recorded_at: datetime
    review: PaymentReview
