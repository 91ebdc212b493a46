"""What a person types to find a payment, and what it is taken for; what an address asks for."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboards.look import Look, read
from dashboards.payment_filters import kept, opened, period, read_filters
from dashboards.payment_search import understood, without_number

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "taken", "value"),
    [
        ("", "nothing", ""),
        (" PAY_01m84rpn0xna843ahfzqkn5ps8 ", "payment", "pay_01m84rpn0xna843ahfzqkn5ps8"),
        ("ref_01m84", "refund", "ref_01m84"),
        ("acc_01m84", "customer", "acc_01m84"),
        ("Ada@Example.com", "email", "Ada@Example.com"),
        ("4242", "last4", "4242"),
        ("···· 4242", "last4", "4242"),
        ("**** 4242", "last4", "4242"),
        ("42.00", "bare_amount", "42.00"),
        ("order 17", "reference", "order 17"),
        ("42", "reference", "42"),
        ("2026-11-27", "reference", "2026-11-27"),
        ("INV 2026", "reference", "INV 2026"),
        ("'; DROP TABLE payments --", "reference", "'; DROP TABLE payments --"),
    ],
)
def test_what_is_typed_is_taken_for_something(text: str, taken: str, value: str) -> None:
    found = understood(text)
    assert (found.taken, found.value) == (taken, value)


@pytest.mark.parametrize(
    ("text", "minor", "currency"),
    [
        ("42.00 EUR", 4200, "EUR"),
        ("eur 42", 4200, "EUR"),
        ("1,234.50 GBP", 123450, "GBP"),
        ("1.234,50 EUR", 123450, "EUR"),
        ("1 234,5 EUR", 123450, "EUR"),
        ("1,234 JPY", 1234, "JPY"),
        ("1'234.50CHF", 123450, "CHF"),
        ("0.125 BHD", 125, "BHD"),
        ("1,234,567 USD", 123456700, "USD"),
    ],
)
def test_an_amount_is_read_as_people_write_it(text: str, minor: int, currency: str) -> None:
    found = understood(text)
    assert (found.taken, found.minor, found.currency) == ("amount", minor, currency)


def test_no_amount_is_made_up() -> None:
    for text in ("42.001 EUR", "0 EUR", "EUR 42 USD", "42 XXX", "9999999999999 EUR", "1.2.3 EUR"):
        assert understood(text).taken == "reference", text
    assert understood("42.00", currency="EUR").minor == 4200


def test_what_can_be_meant_otherwise_is() -> None:
    assert understood("4242").others == ("reference",)
    assert understood("4242", "reference").value == "4242"
    assert understood("acc_1", "merchant").taken == "merchant"
    assert understood("42.00 EUR", "reference").value == "42.00 EUR"
    assert understood("order 17", "payment").taken == "reference", "nobody means a reference as an id"


def test_of_a_cards_number_its_end_is_left() -> None:
    assert without_number("4111 1111 1111 1111") == "1111"
    assert without_number("order 4111") == "order 4111"


def test_an_address_is_read_and_what_cannot_be_meant_is_passed_over() -> None:
    query = {"status": "failed", "state": "x", "processor": "visa", "currency": "eur", "risk": "flag", "q": "4242"}
    assert read_filters(query, is_staff=True).asked() == {
        "status": "failed",
        "processor": "visa",
        "currency": "EUR",
        "risk": "flag",
        "last4": "4242",
    }
    both = read_filters({"currency": "USD", "amount": "1.00", "q": "42.00 EUR"}, is_staff=True)
    assert both.asked() == {"currency": "EUR", "amount": 4200}, "the search says more than the filters"
    assert read_filters({"amount": "1.00"}, is_staff=True).lacks_currency()
    assert not read_filters({"amount": "1.00 EUR"}, is_staff=True).lacks_currency()


def test_a_search_looks_in_all_time_unless_a_period_is_said() -> None:
    hour = {"period": "1h"}
    assert period(read_filters({}, is_staff=True), Look(), {}, NOW) == (NOW - timedelta(days=1), None)
    assert period(read_filters({"q": "4242"}, is_staff=True), Look(), {}, NOW) == (None, None)
    assert period(read_filters({"q": "4242"}, is_staff=True), read(hour), hour, NOW) == (
        NOW - timedelta(hours=1),
        None,
    )
    at = read({"at": "2026-11-27T10:00"})
    assert period(read_filters({}, is_staff=True), at, {}, NOW) == (at.at - timedelta(days=1), at.at)  # type: ignore[operator]


def test_a_view_keeps_filters_and_never_a_place() -> None:
    view = kept({"q": "a&b", "status": "failed", "cursor": "~x", "payment": "pay_1", "at": "2026", "tz": "UTC"})
    assert opened(view) == {"q": "a&b", "status": "failed", "tz": "UTC"}
    assert opened("status=failed&payment=pay_1&cursor=x&evil=1") == {"status": "failed"}
