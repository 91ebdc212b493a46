"""What walks through the flow: the facts of a payment to judge, and the lesson of a label to learn."""

from datetime import datetime, timedelta

import msgspec

from schemas.fraud import Label
from schemas.money import AMOUNT_MAX
from schemas.payments import Payment

DAY = 86_400.0  # seconds
AHEAD_MAX = timedelta(minutes=5)

Features = dict[str, float]


class Facts(msgspec.Struct, gc=False):
    """What the features may look at of one payment.

    `at`: when it happened, seconds since 1970 UTC. `amount` in minor units of `currency`. `unit` is how many
    minor units make one of the currency (100 for EUR). `country` and `device` are null where nobody told.
    """

    payment: str
    instrument: str
    merchant: str
    amount: int
    currency: str
    unit: int
    at: float
    country: str | None = None
    device: str | None = None


class Lesson(msgspec.Struct, gc=False):
    """What one label teaches. `features` and `score` as the verdict had them; null where there was none.

    `label` is the id of its event, so that a repeat is recognised; `at`: when the payment happened.
    """

    label: str
    instrument: str
    merchant: str
    currency: str
    fraud: bool
    at: float
    features: Features | None = None
    score: float | None = None


def facts_of(payment: Payment, unit: int) -> Facts:
    """The facts of a payment of a topic. Raises `ValueError` for an amount that would spoil the means."""
    if not 0 <= payment.amount <= AMOUNT_MAX:
        raise ValueError("an amount out of range")
    return Facts(
        payment.id,
        payment.stream_key,
        payment.merchant,
        payment.amount,
        payment.currency,
        unit,
        seconds(payment.occurred_at),
        payment.country,
        payment.device_hash,
    )


def lesson_of(event: str, label: Label) -> Lesson:
    """The lesson of the label in event `event`."""
    return Lesson(
        event,
        label.instrument,
        label.merchant,
        label.currency,
        label.label == "fraud",
        seconds(label.occurred_at),
        label.features,
        label.score,
    )


def seconds(moment: datetime) -> float:
    """Seconds since 1970 UTC; what claims to be older counts as of 1970, where every window has long ended."""
    return max(0.0, moment.timestamp())


def ahead(occurred_at: datetime, recorded_at: datetime) -> bool:
    """Whether a payment says it happened too long after we stored it: such a time would move its key's windows."""
    return occurred_at - recorded_at > AHEAD_MAX
