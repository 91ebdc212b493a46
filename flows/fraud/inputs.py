"""What the features are computed from: one payment to score, one label to learn."""

from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from schemas.fraud import Label, LabelValue
from schemas.money import AMOUNT_MAX, UnknownCurrency, unit
from schemas.payments import Payment

DAY = 86_400.0  # seconds
AHEAD_MAX = timedelta(minutes=5)

Features = dict[str, float]


class PaymentInput(msgspec.Struct, gc=False):
    """The fields of one payment that features may depend on.

    `amount` is in minor units of `currency`; `unit` is the number of minor units in one of the currency (100 for
    EUR). `at` is when the payment happened, in seconds since 1970 UTC. `country` and `device_hash` are null where
    they are not known.
    """

    payment_id: str
    instrument_id: str
    merchant_id: str
    amount: int
    currency: str
    unit: int
    at: float
    country: str | None = None
    device_hash: str | None = None


class LabelInput(msgspec.Struct, gc=False):
    """One label. `features` and `score` are those of the payment's verdict; null where there was none.

    `label_id` is the id of the label's event: it identifies a repeat. `at` is when the payment happened, in
    seconds since 1970 UTC.
    """

    label_id: str
    instrument_id: str
    merchant_id: str
    currency: str
    fraud: bool
    at: float
    features: Features | None = None
    score: float | None = None


def payment_input(payment: Payment) -> PaymentInput:
    """The input of a payment of `payments.v1`. Raises `ValueError` for an amount that would distort the means."""
    if not 0 <= payment.amount <= AMOUNT_MAX:
        raise ValueError("amount out of range")
    return PaymentInput(
        payment.id,
        payment.stream_key,
        payment.merchant,
        payment.amount,
        payment.currency,
        _unit(payment.currency),
        epoch_seconds(payment.occurred_at),
        payment.country,
        payment.device_hash,
    )


def label_input(event_id: str, label: Label) -> LabelInput:
    """The input of the label in the event `event_id`."""
    return LabelInput(
        event_id,
        label.instrument,
        label.merchant,
        label.currency,
        _is_fraud(label.label),
        epoch_seconds(label.occurred_at),
        label.features,
        label.score,
    )


def epoch_seconds(moment: datetime) -> float:
    """Seconds since 1970 UTC. Earlier moments count as 1970, where all time windows have ended long ago."""
    return max(0.0, moment.timestamp())


def is_ahead(occurred_at: datetime, recorded_at: datetime) -> bool:
    """Whether a payment claims to have happened more than `AHEAD_MAX` after it was stored.

    Such a time would move the windows of its instrument into the future. Raises `TypeError` where only one of the
    two has a time zone.
    """
    return occurred_at - recorded_at > AHEAD_MAX


def _is_fraud(value: LabelValue) -> bool:
    match value:
        case "fraud":
            return True
        case "good":
            return False
        case _:
            assert_never(value)


def _unit(currency: str) -> int:
    """Minor units in one of the currency; 1 for an unknown currency, which is scored all the same."""
    try:
        return unit(currency)
    except UnknownCurrency:
        return 1
