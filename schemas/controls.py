"""Fraud controls: the rules a stack starts with, and which controls can be obeyed.

They stand in the books of the gateway, which publishes them on `controls.v1`. The fraud flow obeys that topic
alone, and the gateway's stand-in the lists on it.
"""

import re
from math import isfinite
from typing import Literal, TypeGuard, assert_never

from schemas.events import Tombstone
from schemas.features import FEATURES
from schemas.fraud import ListEntry, Rule
from schemas.lists import LISTING_ID, FraudListing
from schemas.rules import FraudRule, default_rule, impossible_in
from schemas.times import EPOCH, as_utc

Control = Rule | FraudRule | ListEntry | FraudListing
ToldControl = Control | Tombstone  # a record without a value takes away the control that its key names
ToldListing = FraudListing | Tombstone  # of an entry
ControlKind = Literal["rule", "fraud_rule", "list_entry", "listing"]

SCORE = "score"  # as a rule's feature: the model's probability of fraud
ID_MAX = 100  # characters
TEXT_MAX = 500
THRESHOLD_MAX = 1e15
VERSION_MAX = 2**31 - 1  # as much as the books can hold
TEXT_NAMES = frozenset(name for name, feature in FEATURES.items() if feature.type == "text")
FEATURE = re.compile(r"[a-z][a-z0-9_]{0,63}")


# Card testing: nothing is sent to an issuer, who would tell which cards are alive. The counts fade, so 2.5 is met
# by the third new card of one customer, by the second where three such were around, and by a newcomer where there
# were 15 (address) or 30 (BIN, merchant) more than speaks against it. Of 1,000 cards of one BIN by ten accounts 14
# reach an issuer (`tests/flows/fraud/test_card_testing.py`; on a stack: `python -m benchmarks.card_testing`).
CARD_TESTING: tuple[FraudRule, ...] = (
    default_rule("cards_tested", "customer_tests >= 2.5", "review", "unsent"),
    default_rule("cards_tested_block", "customer_tests >= 5.5", "block"),
    default_rule("address_tested", "address_pressure >= 2.5", "review", "unsent"),
    default_rule("bin_tested", "bin_pressure >= 2.5", "review", "unsent"),
    default_rule("merchant_tested", "merchant_failures >= 30", "review", "unsent"),
)

# In the test weeks of the public benchmark (`sluice evaluate`) the score blocks 0.56 % of the payments, 97 % of
# these frauds, holds 0.14 % for a person and flags 0.08 %; the other rules meet none of them.
# They are of 1970: by that it is known that nobody set them.
DEFAULTS: tuple[FraudRule, ...] = (
    default_rule("velocity_1m", "count_1m >= 6", "flag"),
    default_rule("velocity_10m", "count_10m >= 60", "review"),
    default_rule("velocity_block", "count_1m >= 30", "block"),
    default_rule("amount_jump", "amount_jump >= 8", "flag"),
    default_rule("card_testing", "merchant_tests >= 10", "flag"),
    default_rule("score_flag", "score >= 0.2", "flag"),
    default_rule("score_review", "score >= 0.4", "review"),
    default_rule("score_block", "score >= 0.9", "block"),
    *CARD_TESTING,
)


def kind_of(control: Control) -> ControlKind:
    """What a control is; its event's type is `control.` and this."""
    match control:
        case Rule():
            return "rule"
        case FraudRule():
            return "fraud_rule"
        case ListEntry():
            return "list_entry"
        case FraudListing():
            return "listing"
        case _:
            assert_never(control)


def replaces(control: ToldControl, known: ToldControl | None) -> bool:
    """Whether a control that is told later, or its tombstone, replaces what is known under its id.

    The order of the topic decides, and no clock: what was set while one was ahead could never be changed before
    then. A rule that a new stack starts with replaces nothing that somebody set, or took away; of two versions of
    a rule, the higher one counts.
    """
    if isinstance(control, FraudRule) and isinstance(known, FraudRule) and control.version < known.version:
        return False
    return known is None or as_utc(control.recorded_at) != EPOCH or as_utc(known.recorded_at) == EPOCH


def id_of(control: ToldControl) -> str:
    """The id of a control, or of the one that a tombstone takes away."""
    return control.key if isinstance(control, Tombstone) else control.id


def is_of_list(control: ToldControl) -> TypeGuard[ToldListing]:
    """Whether a control is an entry of a list as this release writes them, or takes one away."""
    if isinstance(control, Tombstone):
        return LISTING_ID.fullmatch(control.key) is not None
    return isinstance(control, FraudListing)


def impossible_field(control: ToldControl) -> str | None:
    """The first field of a control that cannot be meant; None where all of it can be obeyed.

    Whatever its types allow arrives here: a topic is written by whoever can reach it.
    """
    if not _is_id(id_of(control)):
        return "id"
    match control:
        case Tombstone():
            return None
        case Rule() | FraudRule() | ListEntry() if len(control.reason) > TEXT_MAX:
            return "reason"
        case Rule():
            return _impossible_in_rule(control)
        case FraudRule():
            return impossible_in(control)
        case ListEntry():
            return None if _is_id(control.value) else "value"
        case FraudListing():
            return _impossible_in_listing(control)
        case _:
            assert_never(control)


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_MAX and "\0" not in text  # PostgreSQL takes none


def _impossible_in_rule(rule: Rule) -> str | None:
    if not FEATURE.fullmatch(rule.feature) or rule.feature in TEXT_NAMES:
        return "feature"
    if not isfinite(rule.threshold) or abs(rule.threshold) > THRESHOLD_MAX:
        return "threshold"
    if rule.feature == SCORE and not 0 < rule.threshold <= 1:  # else every payment would reach it, or none
        return "threshold"
    return None


def _impossible_in_listing(listing: FraudListing) -> str | None:
    if not LISTING_ID.fullmatch(listing.id):
        return "id"
    if not 0 < listing.version <= VERSION_MAX:
        return "version"
    if not _is_id(listing.owner):
        return "owner"
    return None if _is_id(listing.value) else "value"
