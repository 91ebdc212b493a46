"""Numbers and dates as they are written where a reader is at home."""

from datetime import UTC, datetime

import pytest

from dashboards import axis, formats, locales, page
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


def test_the_numbers_of_a_chart_are_the_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(axis, "reader", lambda: locale_of("de"))
    sold = [{"stack": "all", "data": [(0, 900.0), (1, 40.0)]}, {"stack": "all", "data": [(0, 2_400.0)]}]
    values, numbers = axis.value_axes(sold, " EUR")
    assert numbers["data"] == ["0", "1.000", "2.000", "3.000", "4.000 EUR"]
    assert (values["min"], values["max"], values["interval"]) == (0, 4_000, 1_000)
    small, named = axis.value_axes([{"data": [(0, -0.2), (1, 0.31)]}], "%")
    assert named["data"] == ["-0,2", "0,0", "0,2", "0,4\u00a0%"]
    assert len(named["data"]) - 1 == round((small["max"] - small["min"]) / small["interval"])
    assert axis.value_axes([], "")[1]["data"] == ["0", "1"]
    assert axis.value_axes([{"data": [(0, 3.0)]}], "%", 2, top=100)[1]["data"] == ["0", "50", "100\u00a0%"]
    near_all = axis.value_axes([{"data": [(0, 97.0)]}], "%", 2, 90, 100)
    assert near_all[1]["data"] == ["90", "95", "100\u00a0%"], "a share near 100 % is not a flat line"
