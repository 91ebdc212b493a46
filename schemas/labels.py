"""Events of `labels.v1`: what we learned later about a payment."""

from datetime import datetime
from typing import Literal

import msgspec

LabelValue = Literal["fraud", "good"]


class Label(msgspec.Struct, frozen=True):
    """`label.recorded`: a person, a dispute or a review says what a payment was.

    `features` and `score` are those of its verdict; null where the stand-in judged and no verdict came
    late: such a label is counted, not learned. `occurred_at` is the payment's, `recorded_at` the label's.
    """

    payment: str
    instrument: str
    merchant: str
    label: LabelValue
    source: str
    amount: int
    currency: str
    features: dict[str, float] | None
    score: float | None
    model: str | None
    occurred_at: datetime
    recorded_at: datetime
