"""Money: integer minor units and an ISO 4217 currency, never a float."""

from decimal import Decimal
from functools import cache

import iso4217
import msgspec

AMOUNT_MAX = 999_999_999_999  # minor units; twelve digits, as ISO 8583 field 4 holds them

DECIMALS_MAX = 4  # of any currency: CLF and UYW have so many

# Withdrawn since 2015, with their decimals (ISO 4217, list three): nobody pays in them any more, but what was paid
# is shown, given back and released.
WITHDRAWN = {"BYR": 0} | dict.fromkeys(("ANG", "BGN", "CUC", "HRK", "LTL", "MRO", "SLL", "STD", "VEF", "ZWL"), 2)


class UnknownCurrency(ValueError):
    """The code is not an ISO 4217 currency that has minor units."""


@cache
def exponent(currency: str) -> int:
    """Decimals of a currency, also of one withdrawn: EUR 2, JPY 0, BHD 3, CLF 4. Raises `UnknownCurrency`.

    ISO 4217 has none for what is no money: metals (XAU), units of account (XDR), XTS for tests and XXX.
    """
    listed = _listed(currency)
    decimals = WITHDRAWN.get(currency) if listed is None else listed
    if decimals is None:
        raise UnknownCurrency(currency)
    return decimals


def in_use(currency: str) -> bool:
    """Whether one can pay in it today: a currency or fund of ISO 4217's list one that has minor units."""
    return _listed(currency) is not None


@cache
def _listed(currency: str) -> int | None:
    try:
        decimals = iso4217.Currency(currency).exponent
    except ValueError:
        return None
    return None if decimals is None else int(decimals)


@cache
def unit(currency: str) -> int:
    """One whole unit in minor units: EUR 100, JPY 1. Raises `UnknownCurrency`."""
    return int(10 ** exponent(currency))


class Money(msgspec.Struct, frozen=True):
    """`amount` in minor units (cents for EUR) of `currency` (ISO 4217, upper case)."""

    amount: int
    currency: str

    def decimal(self, places: int = DECIMALS_MAX) -> str:
        """The amount as processors write it: `"12.34"`, `"1234"` for JPY, `"1.234"` for BHD, `"1.2345"` for CLF.

        With at most `places` decimals, where no other than zeros are left out by that.
        """
        decimals = exponent(self.currency)
        left_out = max(0, decimals - places)
        if self.amount % 10**left_out:
            left_out = 0
        return f"{Decimal(self.amount).scaleb(-decimals):.{decimals - left_out}f}"


def from_decimal(text: str, currency: str) -> Money:
    """Money from a processor's decimal text. Raises `ValueError` where it has more decimals than the currency."""
    minor = Decimal(text).scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        raise ValueError(f"{text} has more decimals than {currency} allows")
    return Money(int(minor), currency)
