"""Money: integer minor units and an ISO 4217 currency, never a float."""

from decimal import Decimal
from functools import cache

import iso4217
import msgspec

AMOUNT_MAX = 999_999_999_999  # minor units; twelve digits, as ISO 8583 field 4 holds them


class UnknownCurrency(ValueError):
    """The code is not an ISO 4217 currency that has minor units."""


@cache
def exponent(currency: str) -> int:
    """Decimals of a currency: EUR 2, JPY 0, BHD 3. Raises `UnknownCurrency`."""
    try:
        decimals = iso4217.Currency(currency).exponent
    except ValueError:
        raise UnknownCurrency(currency) from None
    if decimals is None:
        raise UnknownCurrency(currency)
    return int(decimals)


@cache
def unit(currency: str) -> int:
    """One whole unit in minor units: EUR 100, JPY 1. Raises `UnknownCurrency`."""
    return int(10 ** exponent(currency))


class Money(msgspec.Struct, frozen=True):
    """`amount` in minor units (cents for EUR) of `currency` (ISO 4217, upper case)."""

    amount: int
    currency: str

    def decimal(self) -> str:
        """The amount as processors write it: `"12.34"`, `"1234"` for JPY, `"1.234"` for BHD."""
        return f"{Decimal(self.amount).scaleb(-exponent(self.currency)):f}"


def from_decimal(text: str, currency: str) -> Money:
    """Money from a processor's decimal text. Raises `ValueError` where it has more decimals than the currency."""
    minor = Decimal(text).scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        raise ValueError(f"{text} has more decimals than {currency} allows")
    return Money(int(minor), currency)
