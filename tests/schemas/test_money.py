"""Money: minor units, exponents, and processors' decimal texts."""

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import (
    AMOUNT_MAX,
    DECIMALS_MAX,
    WITHDRAWN,
    Money,
    UnknownCurrency,
    exponent,
    from_decimal,
    in_use,
)

# ISO 4217's list one of 2026-01-01, written down once more: what has no two decimals.
LIST = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
NO_DECIMALS = set(LIST.split())
THREE = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
FOUR = {"CLF", "UYW"}
FUNDS = {"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW"}
NO_MONEY = {"XAU", "XAG", "XPD", "XPT", "XBA", "XBB", "XBC", "XBD", "XDR", "XSU", "XUA", "XTS", "XXX"}


@given(st.integers(0, AMOUNT_MAX), st.sampled_from(["EUR", "JPY", "BHD", "CLF"]))
def test_decimal_text_and_back(amount: int, currency: str) -> None:
    money = Money(amount, currency)
    assert from_decimal(money.decimal(), currency) == money


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1234, "EUR"), "12.34"),
        (Money(5, "EUR"), "0.05"),
        (Money(1234, "JPY"), "1234"),
        (Money(1234, "BHD"), "1.234"),
        (Money(0, "EUR"), "0.00"),
        (Money(1, "CLF"), "0.0001"),
        (Money(-12345, "UYW"), "-1.2345"),
        (Money(AMOUNT_MAX, "CLF"), "99999999.9999"),
        (Money(AMOUNT_MAX, "EUR"), "9999999999.99"),
    ],
)
def test_decimal_text(money: Money, text: str) -> None:
    assert money.decimal() == text


@pytest.mark.parametrize(("text", "currency"), [("1.5", "JPY"), ("0.001", "EUR"), ("ten", "EUR"), ("NaN", "EUR")])
def test_a_text_that_is_no_amount_of_the_currency_is_refused(text: str, currency: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        from_decimal(text, currency)


@pytest.mark.parametrize("code", ["eur", "EURO", "", "€", "978", "BTC", "DEM", *sorted(NO_MONEY)])
def test_what_has_no_minor_units_is_no_currency(code: str) -> None:
    assert not in_use(code)
    with pytest.raises(UnknownCurrency):
        exponent(code)


def test_every_currency_has_the_decimals_of_iso_4217() -> None:
    listed = {currency.code for currency in iso4217.Currency}
    assert listed >= FUNDS | NO_DECIMALS | THREE | FOUR
    for code in listed - NO_MONEY:
        expected = 0 if code in NO_DECIMALS else 3 if code in THREE else 4 if code in FOUR else 2
        assert (exponent(code), in_use(code)) == (expected, True), code
    assert max(exponent(code) for code in listed - NO_MONEY) == DECIMALS_MAX


def test_what_was_paid_in_a_currency_since_withdrawn_is_shown_and_given_back_but_nobody_pays_in_it() -> None:
    assert {code for code in WITHDRAWN if in_use(code)} == set()
    assert Money(1955, "BGN").decimal() == "19.55"
    assert Money(1955, "BYR").decimal() == "1955"


def test_decimals_are_left_out_where_a_processor_takes_none_and_none_is_lost() -> None:
    assert (Money(123400, "HUF").decimal(0), Money(123450, "HUF").decimal(0)) == ("1234", "1234.50")
    assert (Money(12340, "CLF").decimal(3), Money(12345, "CLF").decimal(3)) == ("1.234", "1.2345")
    assert Money(500, "JPY").decimal(3) == "500"
