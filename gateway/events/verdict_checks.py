"""Whether a verdict may be believed: a topic is written by whoever can reach it.

What is impossible is refused where it arrives; the rest is compared with the payment it names.
"""

from collections.abc import Iterable
from itertools import chain
from sys import getsizeof

import msgspec

from gateway.books.payments import PaymentRow
from schemas.fraud import Verdict
from schemas.times import AHEAD_MAX, as_utc, from_micros, now_micros, steady_micros, to_micros

REASONS_MAX = 50
FEATURES_MAX = 1_000
TEXT_MAX = 200  # characters of a reason, a feature's name, a version, an id
NAMES = ("payment", "instrument", "merchant", "model", "rules")
VERDICT_BYTES = 500  # of a verdict, beside its texts
ENTRY_BYTES = 50  # beside each text: its place, and the value of a feature


class JudgedPayment(msgspec.Struct, frozen=True):
    """What a verdict must say of its payment. `occurred_at`: microseconds UTC."""

    instrument: str
    merchant: str
    occurred_at: int


def judged_payment(payment: PaymentRow) -> JudgedPayment:
    """What a verdict on this payment must say of it."""
    return JudgedPayment(payment.stream_key, payment.merchant_id, payment.occurred_at)


def wrong_field(verdict: Verdict, about: JudgedPayment) -> str | None:
    """The first field in which a verdict does not fit its payment; None where all of it does."""
    if verdict.instrument != about.instrument:
        return "instrument"
    if verdict.merchant != about.merchant:
        return "merchant"
    return "occurred_at" if to_micros(as_utc(verdict.occurred_at)) != about.occurred_at else None


def impossible_field(verdict: Verdict) -> str | None:
    """The first field of a verdict that cannot be meant of any payment; None where all of it can be."""
    for name in NAMES:
        if not _are_texts([getattr(verdict, name)]):
            return name
    if verdict.source == "stand_in":  # that is the gateway itself
        return "source"
    if verdict.score is not None and not 0 <= verdict.score <= 1:
        return "score"
    latest = from_micros(max(now_micros(), steady_micros())) + AHEAD_MAX  # our own clock may have been set back
    if as_utc(verdict.recorded_at) > latest:
        return "recorded_at"
    if not _are_texts([verdict.listed or ""]):
        return "listed"
    if len(verdict.reasons) > REASONS_MAX or not _are_texts(verdict.reasons):
        return "reasons"
    if len(verdict.features) > FEATURES_MAX or not _are_texts(verdict.features):
        return "features"
    return None


def size_of(verdict: Verdict) -> int:
    """About what a verdict takes of the memory, in bytes."""
    names = (getattr(verdict, name) for name in NAMES)
    texts = sum(ENTRY_BYTES + getsizeof(text) for text in chain(names, verdict.reasons, verdict.features))
    return VERDICT_BYTES + texts


def _are_texts(texts: Iterable[str]) -> bool:
    return all(len(text) <= TEXT_MAX and "\0" not in text for text in texts)  # PostgreSQL takes no NUL
