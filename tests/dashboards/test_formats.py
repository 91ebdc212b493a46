"""The formats of figures and of texts from outside."""

from datetime import UTC, datetime

import pytest

from dashboards import formats


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (123456789, "EUR", "1,234,567.89"),
        (5, "EUR", "0.05"),
        (-150, "EUR", "-1.50"),
        (-5, "EUR", "-0.05"),
        (1234567, "JPY", "1,234,567"),
        (1234, "BHD", "1.234"),
        (12345, "CLF", "1.2345"),
        (1955, "BGN", "19.55"),
        (0, "USD", "0.00"),
        (1234, "???", "1,234 minor units"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(minor: int, currency: str, shown: str) -> None:
    assert formats.amount(minor, currency) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "–"),
        (0, 7, "0.0%"),
        (1, 3, "33.3%"),
        (3, 3, "100%"),
        (99_999, 100_000, "99.9%"),
        (999, 1000, "99.9%"),
    ],
)
def test_a_share_is_whole_only_when_nothing_is_missing(part: int, whole: int, shown: str) -> None:
    assert formats.percent(part, whole) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-5, "now"), (0.9, "now"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h")]
)
def test_ages(seconds: float, shown: str) -> None:
    assert formats.age(seconds) == shown


@pytest.mark.parametrize(
    ("ms", "shown"), [(None, "–"), (4.21, "4.2 ms"), (38.4, "38 ms"), (250, "250 ms"), (1300, "1.3 s")]
)
def test_milliseconds(ms: float | None, shown: str) -> None:
    assert formats.millis(ms) == shown


@pytest.mark.parametrize(("rate", "shown"), [(0, "0.0"), (0.44, "0.4"), (37.4, "37"), (1234.5, "1,234")])
def test_rates(rate: float, shown: str) -> None:
    assert formats.rate(rate) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Merle's Shop", "Merle's Shop"),
        ("abc\u202egnp.exe", "abc gnp.exe"),
        ("pay\u200b\u200dpal\x00", "pay pal"),
        ("two\nlines\tof it", "two lines of it"),
        ("x" * 1_000_000, "x" * 59 + "…"),
    ],
)
def test_a_strangers_words_stay_on_their_line(text: str, shown: str) -> None:
    assert formats.plain(text) == shown


def test_a_moment_says_that_it_is_utc() -> None:
    assert formats.moment(datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)) == "2026-11-23 12:00:05 UTC"
