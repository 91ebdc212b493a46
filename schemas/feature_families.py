"""The features that a history may have, by family; `features.py` says which keys have which."""

from typing import NamedTuple


class Signal(NamedTuple):
    """What a number is called after its key, and what it tells; see `Feature`."""

    name: str
    unit: str
    window: str
    low: float | None
    high: float | None
    meaning: str


SEEN_MAX = 32  # counterparts that are told apart: a rule asks whether there were many, not how many thousands
Z_MAX = 40.0

FIELDS = (
    Signal("amount", "minor units", "", 0, None, "What is asked, in minor units of its currency (cents of EUR)."),
    Signal("amount_eur", "EUR", "", 0, None, "What is asked, in euro by the rate of the day it happened."),
    Signal("hour", "h", "", 0, 23, "Hour of the day it happened, UTC."),
    Signal("weekday", "", "", 1, 7, "Day of the week it happened, UTC: 1 is Monday, 7 is Sunday."),
)
TEXTS = {
    "currency": "ISO 4217.",
    "brand": "What is printed on the card; none for PayPal.",
    "bin": "The first digits of the card: its bank and product; none for PayPal.",
    "country": "Of the payer's IP address, ISO 3166-1 alpha-2.",
    "method": "card or paypal.",
    "merchant": "The account that sells.",
    "customer": "The account that pays.",
}

# What each key has of its own.
INSTRUMENT = (
    Signal("count_1m", "payments", "1m", 1, 65, "Payments, this one included."),
    Signal("count_10m", "payments", "10m", 1, 65, "Payments, this one included."),
    Signal("count_1h", "payments", "1h", 1, 65, "Payments, this one included."),
    Signal("new_card", "", "1d", 0, 1, "1 until a day after its first payment, then 0."),
    Signal("count_day", "payments", "fading 1d", 0, None, "Payments before this one."),
    Signal("day_to_mean", "ratio", "fading 1d", 0, None, "Its mean amount of late by that of all; 1: none paid."),
    Signal("count_week", "payments", "fading 7d", 0, None, "Payments before this one."),
    Signal("unusual", "spreads", "fading 7d", 0, None, "How far amounts paid of late lay above its usual one."),
    Signal("count_month", "payments", "fading 30d", 0, None, "Payments before this one."),
    Signal("amount_to_month", "ratio", "fading 30d", 0, None, "Amount by its mean amount of late; 1: none paid."),
    Signal("history", "payments", "all", 0, None, "Payments before this one."),
    Signal("gap", "s", "all", -1, None, "Since its last payment; -1 where this is the first."),
    Signal("amount_to_mean", "ratio", "all", 0, None, "Amount by its mean amount; 1 where nothing was paid."),
    Signal("amount_to_largest", "ratio", "all", 0, None, "Amount by the largest it paid; 1: none paid."),
    Signal("amount_jump", "ratio", "all", 0, None, "As amount_to_largest, from its tenth payment on; 0 before."),
    Signal("amount_z", "spreads", "24 payments", -10, None, "Amount above its median; 0 with fewer than four."),
    Signal("new_device", "", "all", 0, 2, "0: unknown or its first; 1: one it had before; 2: another one."),
    Signal("new_country", "", "all", 0, 2, "0: unknown or its first; 1: one it had before; 2: another one."),
    Signal("new_currency", "", "all", 0, 1, "1 where it has paid, and never in this currency; else 0."),
    Signal("hours_share", "share", "all", 0, 1, "Its payments in these three hours of workdays, or of weekends."),
    Signal("speed", "km/h", "all", 0, None, "From the country of its payment before to this one's, at least."),
)
CUSTOMER = (
    Signal("tests", "cards", "fading 2d", 0, 64, "New cards tried for small amounts, or in vain."),
    Signal("age", "days", "all", 0, None, "Since the account's first payment."),
)
ADDRESS = (Signal("pressure", "trials", "fading 6h", 0, None, "Signs of cards being tested from there."),)
BIN = (Signal("pressure", "trials", "fading 6h", 0, None, "Signs of cards with it being tested."),)
MERCHANT = (
    Signal("tests", "cards", "10m", 0, 64, "First payments of cards, tiny for this merchant."),
    Signal("failures", "cards", "fading 6h", 0, None, "New cards that failed there, less those that paid."),
    Signal("unusual", "ratio", "fading 7d", 0, None, "Unusual amounts of its cards, by its payments."),
    Signal("history", "payments", "all", 0, None, "Payments before this one."),
    Signal("amount", "ratio", "31 payments", 0, None, "Amount by the median paid there; 1 where nothing was."),
)

# What the labels say that have come: of a card and a merchant; `RISKS` of every key.
LABELS = (
    Signal("frauds", "labels", "all", 0, None, "Payments known as fraud."),
    Signal("labels", "labels", "all", 0, None, "Payments known as fraud or good."),
    Signal("last_label", "", "all", 0, 2, "Of its newest labelled payment: 0 none, 1 good, 2 fraud."),
    Signal("streak", "labels", "all", 0, None, "How many in a row were like the last one."),
    Signal("streak_age", "days", "all", -1, None, "Since the first payment of that row; -1 where there is none."),
    Signal("fraud_age", "days", "all", -1, None, "Since its newest payment known as fraud; -1: there is none."),
    Signal("good_age", "days", "all", -1, None, "Since its newest payment known as good; -1 where there is none."),
    Signal("risk", "share", "fading 10d", 0, 1, "Frauds among its labelled payments, with one imagined good one."),
)
RISKS = tuple(
    Signal(f"risk_{window}", "share", f"fading {window}", 0, 1, "Frauds among its payments that have a label.")
    for window in ("7d", "30d", "90d")
)
PACE = (
    Signal("history", "payments", "all", 0, None, "Payments before this one."),
    Signal("count_1h", "payments", "fading 1h", 0, None, "Payments before this one."),
    Signal("count_1d", "payments", "fading 1d", 0, None, "Payments before this one."),
    Signal("count_7d", "payments", "fading 7d", 0, None, "Payments before this one."),
)
FIRSTS = (
    Signal("age", "days", "all", 0, None, "Since its first payment; none at that one."),
    Signal("gap", "s", "all", 0, None, "Since its last payment; none at the first."),
)
PAID = (
    Signal("eur_7d", "EUR", "fading 7d", 0, None, "Paid before this one, where there is a rate."),
    Signal("amount_z", "spreads", "32 payments", -Z_MAX, Z_MAX, "How unusual the amount; none before the fourth."),
)
FAILED = (
    Signal("failed_1d", "payments", "fading 1d", 0, None, "Declined by their issuers, for whatever of the card."),
    Signal("failed_details_1d", "payments", "fading 1d", 0, None, "Declined, as details of the card were wrong."),
    Signal("failed_funds_1d", "payments", "fading 1d", 0, None, "Declined for the money or a limit."),
    Signal("failed_stolen_1d", "payments", "fading 1d", 0, None, "Declined as lost, stolen or suspicious."),
)


def seen(counterpart: str) -> Signal:
    """How many distinct counterparts a key had."""
    meaning = f"Distinct {counterpart} of its last {SEEN_MAX}, this payment's included."
    return Signal(f"{counterpart}_7d", counterpart, "7d", 1, SEEN_MAX, meaning)
