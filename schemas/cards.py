"""Card numbers as text: brand, Luhn's check digit, and finding one where it must not be."""

import re
from typing import Literal

Brand = Literal["visa", "mastercard"]

# 13 to 19 digits, single spaces or dashes between them (ISO/IEC 7812-1 gives the lengths).
DIGIT_RUN = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)", re.ASCII)
LENGTHS: dict[Brand, tuple[int, ...]] = {"visa": (13, 16, 19), "mastercard": (16,)}


def luhn_valid(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1 annex B."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(doubled) + sum(int(d) for d in digits[-1::-2])) % 10 == 0


def check_digit(payload: str) -> str:
    """The digit that makes `payload` + digit pass `luhn_valid`."""
    return next(d for d in "0123456789" if luhn_valid(payload + d))


def brand_of(number: str) -> Brand | None:
    """The brand of a number by its prefix and length; None where we know no brand."""
    brand: Brand | None = None
    if number.startswith("4"):
        brand = "visa"
    elif "51" <= number[:2] <= "55" or "2221" <= number[:4] <= "2720":
        brand = "mastercard"
    return brand if brand and len(number) in LENGTHS[brand] else None


def find_numbers(text: str) -> list[str]:
    """The stretches of `text` that read as a card number: a known brand, a valid check digit."""
    return [run for run in DIGIT_RUN.findall(text) if _is_number(re.sub("[ -]", "", run))]


def mask_numbers(text: str) -> str:
    """`text` with each card number cut to its first six and last four digits (PCI DSS 3.4.1)."""
    for run in find_numbers(text):
        digits = re.sub("[ -]", "", run)
        text = text.replace(run, f"{digits[:6]}…{digits[-4:]}")
    return text


def _is_number(digits: str) -> bool:
    return brand_of(digits) is not None and luhn_valid(digits)
