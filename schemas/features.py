"""The names that rules may use: fields of a payment, features that the fraud flow computes, and the score.

`FEATURES` is the one table of them: unit, key, window, range and meaning of each. The fraud flow puts the values
of the features on `risk.v1`; a feature whose key a payment does not name has no value.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

FeatureType = Literal["number", "text"]
FeatureSource = Literal["payment", "feature", "score"]


class Feature(msgspec.Struct, frozen=True):
    """One name that rules may use.

    `key`: whose history it is of; `("payment",)` for what is of the payment itself. `window`: `1h` counts exactly,
    `fading 7d` counts what is a week old e times less, `all` from the first payment on. `low` and `high`: the
    smallest and the largest value; null where there is none.
    """

    name: str
    type: FeatureType
    unit: str
    key: tuple[str, ...]
    window: str
    low: float | None
    high: float | None
    meaning: str
    source: FeatureSource


# Name, unit, lowest, highest, meaning.
Number = tuple[str, str, float | None, float | None, str]

TEXTS = {
    "currency": "ISO 4217.",
    "brand": "What is printed on the card; none for PayPal.",
    "bin": "The first digits of the card: its bank and product; none for PayPal.",
    "country": "Of the payer's IP address, ISO 3166-1 alpha-2.",
    "method": "card or paypal.",
    "merchant": "The account that sells.",
    "customer": "The account that pays.",
}
FIELDS: tuple[Number, ...] = (
    ("amount", "minor units", 0, None, "What is asked, in minor units of its currency (cents of EUR)."),
    ("amount_eur", "EUR", 0, None, "What is asked, in euro by the rate of the day it happened."),
    ("hour", "h", 0, 23, "Hour of the day it happened, UTC."),
    ("weekday", "", 1, 7, "Day of the week it happened, UTC: 1 is Monday, 7 is Sunday."),
)

# By window, what is known of a card, or a PayPal payer.
INSTRUMENT: dict[str, tuple[Number, ...]] = {
    "1m": (("count_1m", "payments", 1, 65, "Payments within a minute, this one included."),),
    "10m": (("count_10m", "payments", 1, 65, "Payments within ten minutes, this one included."),),
    "1h": (("count_1h", "payments", 1, 65, "Payments within an hour, this one included."),),
    "1d": (("new_card", "", 0, 1, "1 until a day after its first payment, then 0."),),
    "fading 1d": (
        ("count_day", "payments", 0, None, "Payments before this one."),
        ("day_to_mean", "ratio", 0, None, "Its mean amount of late by that of all; 1 where nothing was paid."),
    ),
    "fading 7d": (
        ("count_week", "payments", 0, None, "Payments before this one."),
        ("unusual", "spreads", 0, None, "How far amounts paid of late lay above its usual one."),
    ),
    "fading 30d": (
        ("count_month", "payments", 0, None, "Payments before this one."),
        ("amount_to_month", "ratio", 0, None, "Amount by its mean amount of late; 1 where nothing was paid."),
    ),
    "all": (
        ("history", "payments", 0, None, "Payments before this one."),
        ("gap", "s", -1, None, "Since its last payment; -1 where this is the first."),
        ("amount_to_mean", "ratio", 0, None, "Amount by its mean amount; 1 where nothing was paid."),
        ("amount_to_largest", "ratio", 0, None, "Amount by the largest it paid; 1 where nothing was paid."),
        ("amount_jump", "ratio", 0, None, "As amount_to_largest, from its tenth payment on; 0 before."),
        ("amount_z", "spreads", -10, None, "Amount above the median of its last 24; 0 with fewer than four."),
        ("new_device", "", 0, 2, "0: unknown or its first; 1: a device it had before; 2: another one."),
        ("new_country", "", 0, 2, "0: unknown or its first; 1: a country it had before; 2: another one."),
        ("new_currency", "", 0, 1, "1 where it has paid, and never in this currency; else 0."),
    ),
}
CUSTOMER: dict[str, tuple[Number, ...]] = {
    "fading 2d": (("customer_tests", "cards", 0, 64, "New cards tried for small amounts, or in vain."),),
    "all": (("customer_age", "days", 0, None, "Since the account's first payment."),),
}
ADDRESS: dict[str, tuple[Number, ...]] = {
    "fading 6h": (("address_pressure", "trials", 0, None, "Signs of cards being tested from there."),),
}
BIN: dict[str, tuple[Number, ...]] = {
    "fading 6h": (("bin_pressure", "trials", 0, None, "Signs of cards with it being tested."),),
}
MERCHANT: dict[str, tuple[Number, ...]] = {
    "10m": (("merchant_tests", "cards", 0, 64, "First payments of cards, tiny for this merchant."),),
    "fading 6h": (("merchant_failures", "cards", 0, None, "New cards that failed there, less those that paid."),),
    "fading 7d": (("merchant_unusual", "ratio", 0, None, "Unusual amounts of its cards, by its payments."),),
    "all": (
        ("merchant_history", "payments", 0, None, "Payments before this one."),
        ("merchant_amount", "ratio", 0, None, "Amount by the median of the last 31 paid there; 1 where none was."),
    ),
}
# Of a card, and of a merchant: what the labels say that have come.
LABELS: dict[str, tuple[Number, ...]] = {
    "fading 10d": (("risk", "share", 0, 1, "Frauds among its labelled payments, with one imagined good one."),),
    "all": (
        ("frauds", "labels", 0, None, "Payments known as fraud."),
        ("labels", "labels", 0, None, "Payments known as fraud or good."),
        ("last_label", "", 0, 2, "Of its newest labelled payment: 0 none, 1 good, 2 fraud."),
        ("streak", "labels", 0, None, "How many in a row were like the last one."),
        ("streak_age", "days", -1, None, "Since the first payment of that row; -1 where there is none."),
        ("fraud_age", "days", -1, None, "Since its newest payment known as fraud; -1 where there is none."),
        ("good_age", "days", -1, None, "Since its newest payment known as good; -1 where there is none."),
    ),
}


def _of_payment() -> Iterator[Feature]:
    payment = ("payment",)
    for name, unit, low, high, meaning in FIELDS:
        yield Feature(name, "number", unit, payment, "", low, high, meaning, "payment")
    for name, meaning in TEXTS.items():
        yield Feature(name, "text", "", payment, "", None, None, meaning, "payment")
    yield Feature("score", "number", "probability", payment, "", 0, 1, "The model's, of fraud.", "score")


def _of_history(key: str, windows: dict[str, tuple[Number, ...]], prefix: str = "") -> Iterator[Feature]:
    for window, numbers in windows.items():
        for name, unit, low, high, meaning in numbers:
            yield Feature(prefix + name, "number", unit, (key,), window, low, high, meaning, "feature")


def _all() -> Iterator[Feature]:
    yield from _of_payment()
    yield from _of_history("instrument", INSTRUMENT)
    yield from _of_history("instrument", LABELS, "card_")
    yield from _of_history("customer", CUSTOMER)
    yield from _of_history("address", ADDRESS)
    yield from _of_history("bin", BIN)
    yield from _of_history("merchant", MERCHANT)
    yield from _of_history("merchant", LABELS, "merchant_")


FEATURES: Mapping[str, Feature] = {feature.name: feature for feature in _all()}
