"""An answer counts only if it is about what was asked: the same ids, the same money."""

from decimal import Decimal

from schemas.money import Money


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
