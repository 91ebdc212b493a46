"""Numbers and dates as they are written where a reader is at home."""

from datetime import UTC, datetime

import pytest

from dashboards import formats, locales, page
from dashboards.locales import locale_of

WHEN = datetime(2026, 11, 27, 14, 3, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tag", "amount", "share"),
    [
        ("en-GB", "-1,234,567.05", "97.3%"),
        ("en-US", "-1,234,567.05", "97.3%"),
        ("de-DE", "-1.234.567,05", "97,3\u00a0%"),
        ("de-AT", "-1\u00a0234\u00a0567,05", "97,3\u00a0%"),
        ("de-CH", "-1’234’567.05", "97.3%"),
        ("fr", "-1\u202f234\u202f567,05", "97,3\u202f%"),
        ("fr-CA", "-1\u00a0234\u00a0567,05", "97,3\u00a0%"),
        ("pt-BR", "-1.234.567,05", "97,3%"),
        ("hi-IN", "-12,34,567.05", "97.3%"),
        ("sr-Latn-RS", "-1.234.567,05", "97,3%"),
        ("tlh", "-1,234,567.05", "97.3%"),
        ("", "-1,234,567.05", "97.3%"),
    ],
)
def test_amounts_and_shares_have_the_marks_of_the_reader(
    monkeypatch: pytest.MonkeyPatch, tag: str, amount: str, share: str
) -> None:
    monkeypatch.setattr(formats, "reader", lambda: locale_of(tag))
    assert formats.amount(-123_456_705, "EUR") == amount
    assert formats.percent(973, 1000) == share


def test_the_month_stands_first_where_one_writes_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert formats.dated(WHEN, 2026) == "27 Nov 14:03:07"
    assert formats.dated(WHEN, 2027, seconds=False) == "27 Nov 2026 14:03"
    monkeypatch.setattr(formats, "reader", lambda: locale_of("en-US"))
    assert formats.dated(WHEN, 2026) == "Nov 27 14:03:07"
    assert page.time_axis()["day"] == "{d} {MMM}"
    monkeypatch.setattr(page, "reader", lambda: locale_of("en-US"))
    assert page.time_axis()["day"] == "{MMM} {d}"


def test_whatever_a_browser_says_is_a_locale() -> None:
    for tag in ("x", "-", "de-", "DE_de", "en-US-posix", "zh-Hant-TW", "🙂" * 99):
        assert locale_of(tag).number(1234.5, 1) in ("1,234.5", "1.234,5")


def test_outside_of_a_page_numbers_are_english() -> None:
    assert locales.reader() is locales.ENGLISH
