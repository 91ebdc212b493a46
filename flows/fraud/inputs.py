"""What the features are computed from: one payment to score, what became of it, one label to learn."""

from datetime import datetime
from functools import lru_cache
from typing import Protocol, assert_never
from zlib import crc32

import msgspec

from flows.fraud.route import NOWHERE, Route
from schemas.fraud import Label, LabelValue
from schemas.money import AMOUNT_MAX, UnknownCurrency, unit
from schemas.payments import Payment
from schemas.states import DeclineCode
from schemas.times import AHEAD_MAX, as_utc

DAY = 86_400.0  # seconds

SMALL = 10  # euro, about: what a stolen card is tried with

# Declines that say nothing of the card: by our own gate, or as its issuer was away or the request wrong.
NOT_OF_THE_CARD: frozenset[DeclineCode] = frozenset(
    {"blocked", "issuer_unavailable", "duplicate", "invalid_amount"}
)

# How many of a currency are about one euro, to the nearest power of ten, where that is not one.
ABOUT_ONE_EURO: dict[str, float] = {
    **dict.fromkeys(("CLF", "UYW"), 0.01),
    **dict.fromkeys(("CNY", "CZK", "DKK", "EGP", "HKD", "MXN", "NOK", "RON", "SEK", "THB", "UAH", "ZAR"), 10),
    **dict.fromkeys(("HUF", "INR", "ISK", "JPY", "KES", "PHP", "RSD", "RUB", "TWD", "TRY"), 100),
    **dict.fromkeys(("ARS", "CLP", "COP", "KRW", "NGN", "XAF", "XOF"), 1_000),
    **dict.fromkeys(("IDR", "IRR", "LBP", "VND"), 10_000),
}

Features = dict[str, float]


class ByAmount(Protocol):
    """What a stage leaves of the features that depend on the amount: numbers, and no reference to a history."""

    def features(self, payment: "PaymentInput", features: Features) -> Features:
        """Those of a `payment` of another amount; `features` has what earlier stages say of it."""


class PaymentInput(msgspec.Struct, gc=False):
    """The fields of one payment that features may depend on.

    `amount` is in minor units of `currency`; `unit` is how many of these are about one euro (100 of EUR, 100 of
    JPY). `eur_cents` is what it is worth in euro cents; null where there is no rate. `at` is when the payment
    happened, in seconds since 1970 UTC. `country` and the keyed hashes `device_hash`, `address_id`, `network_id`
    (of its /24) and `domain_id` (of the payer's e-mail domain) are null where they are not known, `bin_id` where
    no card pays. `event_id`: of the event it came in; empty where it is of no stream. `by_amount`: what the stages
    leave to tell the features of another amount by, in their order. The marks stand for the ids in `Seen`; 0 for
    an empty one.
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
    customer_id: str = ""
    address_id: str | None = None
    bin_id: str | None = None
    event_id: str = ""
    network_id: str | None = None
    domain_id: str | None = None
    eur_cents: int | None = None
    by_amount: list[ByAmount] = []
    card_mark: int = 0
    customer_mark: int = 0
    merchant_mark: int = 0

    def __post_init__(self) -> None:
        """Make the marks of its ids: up to six keys count these."""
        self.card_mark, self.merchant_mark = mark_of(self.instrument_id), mark_of(self.merchant_id)
        self.customer_mark = mark_of(self.customer_id)

    @property
    def small(self) -> bool:
        """Whether the amount is less than about `SMALL` euro."""
        return self.amount < SMALL * self.unit


def mark_of(id: str) -> int:
    """32 bits that stand for an id; 0 for none."""
    return crc32(id.encode())


class OutcomeInput(msgspec.Struct, gc=False):
    """What became of a payment: it was `paid` (authorized at least), or its issuer declined it.

    `amount` is in minor units of `currency`; `at` is when the payment happened, in seconds since 1970 UTC; what is
    not told here is as in `PaymentInput`. `decline_code`: why it was declined. The stage of the instrument adds
    `new_card` (was the card new then) and `amount_z` (how unusual its amount was). `position`: its place among all
    that the flow takes in; `route`: its way through the steps; `dropped`: it is a repeat, nothing learns from it.
    """

    payment_id: str
    instrument_id: str
    merchant_id: str
    customer_id: str
    address_id: str | None
    bin_id: str | None
    amount: int
    currency: str
    paid: bool
    at: float
    event_id: str = ""
    new_card: bool = False
    amount_z: float = 0.0
    device_hash: str | None = None
    network_id: str | None = None
    domain_id: str | None = None
    eur_cents: int | None = None
    decline_code: DeclineCode | None = None
    position: int = 0
    route: Route = NOWHERE
    dropped: bool = False


class LabelInput(msgspec.Struct, gc=False):
    """One label. `features` and `score` are those of the payment's verdict; null where there was none.

    `label_id` identifies a repeat; the ids are as in `PaymentInput`, `position`, `route` and `dropped` as in
    `OutcomeInput`. `at` is when the payment happened, `told_at` when the label was told, in seconds since 1970;
    `source`: by whom.
    """

    label_id: str
    instrument_id: str
    merchant_id: str
    currency: str
    fraud: bool
    at: float
    features: Features | None = None
    score: float | None = None
    event_id: str = ""
    customer_id: str = ""
    address_id: str | None = None
    bin_id: str | None = None
    device_hash: str | None = None
    network_id: str | None = None
    domain_id: str | None = None
    position: int = 0
    source: str = ""
    told_at: float = 0.0
    route: Route = NOWHERE
    dropped: bool = False


def payment_input(event_id: str, payment: Payment) -> PaymentInput:
    """The input of the payment in the event `event_id`.

    Raises `ValueError` for an amount that would distort the means.
    """
    if not 0 <= payment.amount <= AMOUNT_MAX:
        raise ValueError("amount out of range")
    return PaymentInput(
        payment.id,
        payment.stream_key,
        payment.merchant,
        payment.amount,
        payment.currency,
        about_one_euro(payment.currency),
        epoch_seconds(payment.occurred_at),
        payment.country,
        payment.device_hash,
        payment.customer,
        payment.ip_hash,
        payment.method.bin,
        event_id,
        payment.ip_network_hash,
        payment.email_domain_hash,
        payment.amount_eur_cents,
    )


def outcome_input(event_id: str, payment: Payment, paid: bool) -> OutcomeInput:
    """The input of what became of the payment in the event `event_id`. Raises `ValueError` as `payment_input`."""
    if not 0 <= payment.amount <= AMOUNT_MAX:
        raise ValueError("amount out of range")
    return OutcomeInput(
        payment.id,
        payment.stream_key,
        payment.merchant,
        payment.customer,
        payment.ip_hash,
        payment.method.bin,
        payment.amount,
        payment.currency,
        paid,
        epoch_seconds(payment.occurred_at),
        event_id,
        device_hash=payment.device_hash,
        network_id=payment.ip_network_hash,
        domain_id=payment.email_domain_hash,
        eur_cents=payment.amount_eur_cents,
        decline_code=payment.decline_code,
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
        event_id,
        label.customer or "",
        label.ip_hash,
        label.bin,
        label.device_hash,
        label.ip_network_hash,
        label.email_domain_hash,
        source=label.source,
        told_at=epoch_seconds(label.recorded_at),
    )


def epoch_seconds(moment: datetime) -> float:
    """Seconds since 1970 UTC; a moment without a zone is in UTC.

    Earlier moments count as 1970, where all time windows have ended long ago.
    """
    return max(0.0, as_utc(moment).timestamp())


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


@lru_cache(maxsize=256)
def about_one_euro(currency: str) -> int:
    """Minor units that are about one euro, to the nearest power of ten; 1 for an unknown currency."""
    try:
        return round(unit(currency) * ABOUT_ONE_EURO.get(currency, 1))
    except UnknownCurrency:
        return 1
