"""Money: minor units, exponents, and processors' decimal texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import AMOUNT_MAX, Money, UnknownCurrency, exponent, from_decimal


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
        (Money(AMOUNT_MAX, "EUR"), "9999999999.99"),
    ],
)
def test_decimal_text(money: Money, text: str) -> None:
    assert money.decimal() == text


@pytest.mark.parametrize(("text", "currency"), [("1.5", "JPY"), ("0.001", "EUR"), ("ten", "EUR"), ("NaN", "EUR")])
def test_a_text_that_is_no_amount_of_the_currency_is_refused(text: str, currency: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        from_decimal(text, currency)


@pytest.mark.parametrize("code", ["XXX", "eur", "EURO", "", "XAU"])
def test_what_has_no_minor_units_is_no_currency(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        exponent(code)
