"""Controls: those a stack starts with, and those that cannot be meant."""

from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec
import pytest

from schemas.controls import DEFAULTS, SCORE, impossible_field, replaces
from schemas.fraud import ListEntry, Rule
from schemas.lists import FraudListing
from schemas.rules import Snooze, as_fraud_rule
from schemas.times import EPOCH

RULE = Rule("mine", "count_1m", 6, "flag", "mine", True, EPOCH)
ENTRY = ListEntry("le_1", "block", "instrument", "fp_1", "stolen", None, EPOCH)
LISTING = FraudListing(f"lst_{'0' * 26}", 1, "block", "country", "DE", "acc_1", None, EPOCH)


def test_a_stack_without_labels_can_block() -> None:
    assert [rule.id for rule in DEFAULTS if rule.outcome == "block" and SCORE not in rule.expression]
    assert len({rule.id for rule in DEFAULTS}) == len(DEFAULTS)
    assert not [rule for rule in DEFAULTS if impossible_field(rule)]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("id", {"id": ""}),
        ("id", {"id": "x" * 1000}),
        ("id", {"id": "rule\0"}),
        ("feature", {"feature": ""}),
        ("feature", {"feature": "currency"}),
        ("feature", {"feature": "count_1m; DROP"}),
        ("threshold", {"threshold": float("nan")}),
        ("threshold", {"threshold": float("inf")}),
        ("threshold", {"threshold": -1e300}),
        ("threshold", {"feature": SCORE, "threshold": 0}),
        ("threshold", {"feature": SCORE, "threshold": 90}),
        ("reason", {"reason": "x" * 10_000}),
    ],
)
def test_a_rule_with_an_impossible_value_is_not_obeyed(field: str, change: dict[str, Any]) -> None:
    assert impossible_field(RULE) is None
    assert impossible_field(msgspec.structs.replace(RULE, **change)) == field


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("id", {"id": ""}),
        ("version", {"version": 0}),
        ("version", {"version": 2**31}),
        ("outcome", {"outcome": "allow"}),
        ("mode", {"removed": True}),
        ("reason", {"reason": "x" * 501}),
        ("snoozed", {"snoozed": [Snooze("acc_1", EPOCH)] * 101}),
        ("expression", {"expression": "count_1m"}),
        ("expression", {"expression": "count_1m >= 'x'"}),
        ("expression", {"expression": "no_such_name >= 1"}),
        ("expression", {"expression": "count_1m >= 1e999"}),
        ("expression", {"expression": "(" * 1000 + "count_1m >= 1" + ")" * 900}),
    ],
)
def test_a_fraud_rule_that_cannot_be_meant_is_not_obeyed(field: str, change: dict[str, Any]) -> None:
    assert impossible_field(DEFAULTS[0]) is None
    assert impossible_field(msgspec.structs.replace(DEFAULTS[0], **change)) == field


def test_a_rule_of_the_former_type_counts_as_the_condition_it_means() -> None:
    meant = as_fraud_rule(msgspec.structs.replace(RULE, threshold=-2.5, hold="unsent"), 7)
    assert (meant.expression, meant.version, meant.mode, meant.hold) == ("count_1m >= -2.5", 7, "live", "unsent")
    assert as_fraud_rule(msgspec.structs.replace(RULE, enabled=False)).mode == "off"
    assert impossible_field(meant) is None


def test_of_two_versions_of_a_rule_the_higher_one_counts_whatever_comes_last() -> None:
    second = msgspec.structs.replace(DEFAULTS[0], version=2, recorded_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert replaces(second, DEFAULTS[0])
    assert not replaces(msgspec.structs.replace(second, version=1, mode="off"), second)


@pytest.mark.parametrize("zone", [UTC, None])
def test_what_is_told_last_counts_whatever_a_clock_said(zone: tzinfo | None) -> None:
    ahead = msgspec.structs.replace(ENTRY, recorded_at=datetime(2999, 1, 1, tzinfo=zone))
    lifted = msgspec.structs.replace(ENTRY, list="allow", recorded_at=datetime(2026, 1, 1, tzinfo=zone))
    assert impossible_field(ahead) is None
    assert replaces(lifted, ahead)
    assert replaces(ahead, lifted)


def test_a_rule_that_a_new_stack_starts_with_replaces_nothing_that_was_set() -> None:
    mine = msgspec.structs.replace(DEFAULTS[0], mode="off", recorded_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert replaces(mine, DEFAULTS[0])
    assert not replaces(DEFAULTS[0], mine)
    assert replaces(DEFAULTS[0], msgspec.structs.replace(DEFAULTS[0], mode="off")), "the next release's"


@pytest.mark.parametrize("value", ["", "x" * 1000, "fp_\0"])
def test_a_list_entry_with_an_impossible_value_is_not_obeyed(value: str) -> None:
    assert impossible_field(ENTRY) is None
    assert impossible_field(msgspec.structs.replace(ENTRY, value=value)) == "value"


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("id", {"id": "rule_velocity"}),  # a tombstone of a listing is known by its key
        ("id", {"id": "lst_" + "x" * 27}),
        ("version", {"version": 0}),
        ("version", {"version": 2**31}),
        ("value", {"value": ""}),
        ("value", {"value": "DE\0"}),
        ("value", {"value": "x" * 1000}),
        ("owner", {"owner": ""}),
    ],
)
def test_a_listing_with_an_impossible_value_is_not_obeyed(field: str, change: dict[str, Any]) -> None:
    assert impossible_field(LISTING) is None
    assert impossible_field(msgspec.structs.replace(LISTING, **change)) == field
