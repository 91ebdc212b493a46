"""The names that rules may use: fields of a payment, features that the fraud flow computes, and the score.

`FEATURES` is the one table of them: unit, key, window, range and meaning of each. The fraud flow puts the values
of the features on `risk.v1`; a feature whose key a payment does not name has no value.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from schemas.feature_families import (
    ADDRESS,
    BIN,
    CUSTOMER,
    FAILED,
    FIELDS,
    FIRSTS,
    INSTRUMENT,
    LABELS,
    MERCHANT,
    PACE,
    PAID,
    RISKS,
    TEXTS,
    Signal,
    seen,
)

FeatureType = Literal["number", "text"]
FeatureSource = Literal["payment", "feature", "score"]


class Feature(msgspec.Struct, frozen=True):
    """One name that rules may use.

    `key`: whose history it is of; `("payment",)` for what is of the payment itself. `window`: `1h` counts exactly,
    in `fading 7d` a payment of a week ago counts e times less than one of now, `all` is from the first payment on.
    `low` and `high`: the smallest and the largest value; null where there is none.
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


class KeyFeatures(NamedTuple):
    """The features of one key: their names begin with `prefix`; `seen`: of which it counts distinct ones."""

    key: tuple[str, ...]
    prefix: str
    numbers: tuple[Signal, ...]
    seen: tuple[str, ...] = ()


ACTIVITY = PACE + FIRSTS + FAILED + RISKS
PAIR = (PACE[0], *FIRSTS)

# By key, in the order in which the flow looks them up.
KEYS: tuple[KeyFeatures, ...] = (
    KeyFeatures(("instrument",), "", INSTRUMENT),
    KeyFeatures(("instrument",), "card_", LABELS + FAILED + RISKS, ("merchants",)),
    KeyFeatures(("customer",), "customer_", ACTIVITY + PAID + CUSTOMER, ("cards", "merchants")),
    KeyFeatures(("address",), "address_", ACTIVITY + ADDRESS, ("cards", "customers")),
    KeyFeatures(("bin",), "bin_", ACTIVITY + BIN, ("merchants",)),
    KeyFeatures(("device",), "device_", ACTIVITY + PAID, ("cards", "customers")),
    KeyFeatures(("network",), "network_", ACTIVITY, ("cards", "customers")),
    KeyFeatures(("email_domain",), "domain_", ACTIVITY, ("cards", "customers")),
    KeyFeatures(("customer", "merchant"), "customer_merchant_", PAIR),
    KeyFeatures(("instrument", "merchant"), "card_merchant_", PAIR),
    KeyFeatures(("customer", "device"), "customer_device_", PAIR),
    KeyFeatures(("merchant",), "merchant_", PACE + FAILED + RISKS + MERCHANT + LABELS),
)


def names_of(key: str, *families: tuple[Signal, ...]) -> tuple[str, ...]:
    """The names of the features of some families, in their order, for the key whose prefix is `key`."""
    return tuple(f"{key}_{number.name}" for family in families for number in family)


def _of_payment() -> Iterator[Feature]:
    for field in FIELDS:
        yield _feature(field, "", ("payment",), "payment")
    for name, meaning in TEXTS.items():
        yield Feature(name, "text", "", ("payment",), "", None, None, meaning, "payment")
    yield Feature("score", "number", "probability", ("payment",), "", 0, 1, "The model's, of fraud.", "score")


def _of_histories() -> Iterator[Feature]:
    for each in KEYS:
        for number in (*each.numbers, *map(seen, each.seen)):
            yield _feature(number, each.prefix, each.key, "feature")


def _feature(number: Signal, prefix: str, key: tuple[str, ...], source: FeatureSource) -> Feature:
    name, unit, window, low, high, meaning = number
    return Feature(prefix + name, "number", unit, key, window, low, high, meaning, source)


FEATURES: Mapping[str, Feature] = {feature.name: feature for feature in (*_of_payment(), *_of_histories())}

# The features as a row of numbers, and which they are: a row of another layout has them in other places.
NUMBERS: tuple[str, ...] = tuple(name for name, feature in FEATURES.items() if feature.source == "feature")
LAYOUT = hashlib.sha256(" ".join(NUMBERS).encode()).hexdigest()[:8]


def numbers_of(features: Mapping[str, float]) -> list[float | None]:
    """The features in the order of `NUMBERS`, None where one has no value."""
    return list(map(features.get, NUMBERS))
