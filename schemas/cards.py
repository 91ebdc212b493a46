"""Card numbers as text: brand, Luhn's check digit, and finding one where it must not be."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Literal

Brand = Literal["visa", "mastercard"]

# 13 digits or more, of any script, with at most two blanks or dashes between two of them.
DIGIT_RUN = re.compile(r"(?<!\d)\d(?:[\s\u2010-\u2015-]{0,2}\d){12,}")
GROUP = re.compile(r"\d+")
LAST_ZONE = timezone(timedelta(hours=-12))
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


def is_over(exp_year: int, exp_month: int, moment: datetime) -> bool:
    """Whether the month that a card expires in is over at `moment`, wherever on earth its holder is.

    A card is valid to the end of its last month (ISO/IEC 7813), which ends last in UTC−12: twelve hours into the
    next month of UTC. So none is refused that its issuer, whose calendar nobody told us, may still take.
    """
    last = moment.astimezone(LAST_ZONE)
    return (exp_year, exp_month) < (last.year, last.month)


def find_numbers(text: str) -> list[str]:
    """The stretches of `text` that read as a card number: a known brand, a valid check digit.

    Groups of digits count as a whole, and any may begin or end one: an expiry or a CVC beside it hides nothing.
    """
    return [number for run in DIGIT_RUN.findall(text) for number in _numbers_in(run)]


def mask_numbers(text: str) -> str:
    """`text` with each card number cut to its first six and last four digits (PCI DSS 3.4.1)."""
    for number in find_numbers(text):
        digits = _digits(number)
        text = text.replace(number, f"{digits[:6]}…{digits[-4:]}")
    return text


def _numbers_in(run: str) -> Iterator[str]:
    """The longest first where several begin at one digit."""
    digits, starts, ends = "", {}, {}  # place in `digits` -> place in `run`
    for group in GROUP.finditer(run):
        starts[len(digits)] = group.start()
        digits += _digits(group[0])
        ends[len(digits)] = group.end()
    for first, start in starts.items():
        for length in (19, 16, 13):
            end = ends.get(first + length)
            if end and _is_number(digits[first : first + length]):
                yield run[start:end]


def _digits(text: str) -> str:
    return "".join(str(int(char)) for char in text if char.isdecimal())


def _is_number(digits: str) -> bool:
    return brand_of(digits) is not None and luhn_valid(digits)
