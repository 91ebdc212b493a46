"""Channels, quiet hours, masked addresses."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from flows.notifications.preferences import address_of, channels_for, is_quiet, kind_of
from gateway.identity.profiles import NotificationKind, PersonalChannel
from schemas.notifications import QuietHours, Recipient, mask
from schemas.samples import SAMPLES


def test_what_payers_are_told_of_has_a_name_in_their_preferences() -> None:
    told = {type: kind for type, data in SAMPLES.items() if (kind := kind_of(data))}
    assert told == {"transaction_completed": "transaction_completed", "refund.succeeded": "refund"}
    assert set(told.values()) == set(get_args(NotificationKind))


def test_each_channel_that_one_may_prefer_has_an_address() -> None:
    ada = Recipient({}, "en", "UTC", email="ada@example.com", phone="+15005550006")
    assert [address_of(ada, channel) for channel in get_args(PersonalChannel)] == [ada.email, ada.phone]


@pytest.mark.parametrize(
    ("start", "end", "utc", "quiet"),
    [
        ("22:00", "07:00", "20:59", False),  # Berlin is UTC+1 in November
        ("22:00", "07:00", "21:00", True),
        ("22:00", "07:00", "23:30", True),
        ("22:00", "07:00", "05:59", True),
        ("22:00", "07:00", "06:00", False),
        ("12:00", "14:00", "11:00", True),
        ("12:00", "14:00", "13:00", False),
        ("00:00", "00:00", "12:00", False),
    ],
)
def test_quiet_hours_go_by_the_clock_on_the_wall(make: Any, start: str, end: str, utc: str, quiet: bool) -> None:
    recipient = make.recipient(time_zone="Europe/Berlin", quiet_hours=QuietHours(start, end))
    moment = datetime.fromisoformat(f"2026-11-23T{utc}:00").replace(tzinfo=UTC)
    assert is_quiet(recipient, moment) is quiet


def test_summer_time_counts(make: Any) -> None:
    recipient = make.recipient(time_zone="Europe/Berlin", quiet_hours=QuietHours("22:00", "07:00"))
    assert is_quiet(recipient, datetime(2026, 7, 1, 20, 30, tzinfo=UTC))
    assert not is_quiet(recipient, datetime(2026, 12, 1, 20, 30, tzinfo=UTC))


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "", "\x00"])
def test_an_unknown_time_zone_is_utc(make: Any, zone: str) -> None:
    recipient = make.recipient(time_zone=zone, quiet_hours=QuietHours("12:00", "13:00"))
    assert is_quiet(recipient, datetime(2026, 11, 23, 12, 30, tzinfo=UTC))


def test_without_quiet_hours_it_is_never_quiet(make: Any) -> None:
    assert not is_quiet(make.recipient(), datetime(2026, 11, 23, 3, tzinfo=UTC))


def test_a_channel_named_twice_is_used_once(make: Any) -> None:
    recipient = make.recipient(channels={"transaction_completed": ["sms", "email", "sms"]})
    assert channels_for(recipient, "transaction_completed") == ["sms", "email"]
    assert channels_for(recipient, "refund") == []


def test_each_channel_has_its_address(make: Any) -> None:
    recipient = make.recipient(phone=None)
    assert address_of(recipient, "email") == "ada@example.com"
    assert address_of(recipient, "sms") is None


@pytest.mark.parametrize(
    ("address", "masked"),
    [("customer@example.com", "c…@example.com"), ("+15005550006", "+1…06"), ("", ""), ("a@b@c.de", "a…@c.de")],
)
def test_a_masked_address_is_recognised_but_not_reached(address: str, masked: str) -> None:
    assert mask(address) == masked
