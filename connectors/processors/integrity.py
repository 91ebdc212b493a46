"""An answer counts only if it is about what was asked: the same ids, the same money."""

from decimal import Decimal
from typing import Annotated

import msgspec

from schemas.money import Money

# A processor's own id, as later calls name it; no vendor's is longer than 26 characters.
TheirId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Mismatch(Exception):
    """The answer is about something else than what was asked."""


def same(field: str, told: str | None, asked: str) -> None:
    """Raises `Mismatch` unless the processor told the very text we asked for."""
    if told != asked:
        raise Mismatch(f"{field} is {told!r} instead of {asked!r}")


def same_money(told: str | Decimal | None, currency: str | None, asked: Money) -> None:
    """Raises `Mismatch` unless `told` (currency units; 10.0 is 10.00) and `currency` are what was asked."""
    if told is None or currency != asked.currency or Decimal(told) != Decimal(asked.decimal()):
        raise Mismatch(f"amount is {told} {currency} instead of {asked.decimal()} {asked.currency}")
