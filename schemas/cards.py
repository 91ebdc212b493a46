"""Card numbers as text: brand, Luhn's check digit, and finding one where it must not be."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Literal

Brand = Literal["visa", "mastercard"]

LAST_ZONE = timezone(timedelta(hours=-12))
LENGTHS: dict[Brand, tuple[int, ...]] = {"visa": (13, 16, 19), "mastercard": (16,)}

# What is looked for in texts: prefixes and lengths (ISO/IEC 7812-1) of the brands that founded PCI SSC. Not the 14
# digits of Diners Club: the numbers of French companies (SIRET) have Luhn's check digit and its prefixes too.
ANY_BRAND = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}"  # Discover
    r"|(?:352[89]|35[3-8]\d)\d{12}"  # JCB
)
# Visa gave out numbers of 13 digits until the 1990s. Those that an article (EAN-13) or a phone of Germany or
# Austria may have are taken for these.
PHONES_OF_13 = ("43", "49")

DIGITS_MIN, DIGITS_MAX = 13, 19
RUN = re.compile(r"(?<!\d)\d(?:[\W_]{0,3}\d){12,}")  # digits with at most three other signs between two of them
GROUP = re.compile(r"\d+")
GROUP_MIN = 4  # of a number in several groups; shorter ones are amounts, days, and how phone numbers begin
THOUSANDS = 3  # digits
LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d{13})")  # of fields of a fixed width
UUID = re.compile(  # RFC 9562 §4, with a letter in it, with dashes or without
    r"(?<![0-9a-z])(?=[0-9-]{0,35}[a-f])[0-9a-f]{8}(-?)[0-9a-f]{4}\1[1-8][0-9a-f]{3}\1[89ab][0-9a-f]{3}\1[0-9a-f]{12}(?![0-9a-z])",
    re.IGNORECASE,
)
IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Z0-9])")
# What nobody sees: formats and marks, as soft hyphens, zero-width blanks and strokes, and the fillers of Hangul.
UNSEEN_KINDS = ("Cf", "Mn", "Me")
FILLERS = "\u115f\u1160\u3164\uffa0"

Span = tuple[int, int]  # where a number begins in a text, and where it has ended


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
    """The stretches of `text` that read as a card number: a known brand, its length, a valid check digit.

    However it is written: in the digits of any script, with what nobody sees between them, in groups. A group
    counts as a whole, and any may begin or end a number: an expiry or a CVC beside it hides nothing.
    """
    return [text[start:end] for start, end in _numbers_in(text)]


def mask_numbers(text: str) -> str:
    """`text` with each card number cut to its first six and last four digits (PCI DSS 3.4.1)."""
    for start, end in reversed(list(_numbers_in(text))):
        digits = re.sub(r"\D", "", legible(text[start:end]))
        text = f"{text[:start]}{digits[:6]}…{digits[-4:]}{text[end:]}"
    return text


def legible(text: str) -> str:
    """`text` as a reader sees it: without what nobody sees, and in ASCII digits."""
    return _legible(text)[0]


def hides_number(digits: str) -> bool:
    """Whether a card number of 15 digits or more stands anywhere in `digits`, a hexadecimal id: with no bounds."""
    if not re.search(r"\d{15}", digits):
        return False
    pieces = (digits[start : start + length] for start in range(len(digits)) for length in (15, 16, 19))
    return any(piece.isdecimal() and _is_number(piece) for piece in pieces)


def _numbers_in(text: str) -> Iterator[Span]:
    """Where the numbers stand, from left to right; the longest where several begin at one digit."""
    seen, places = _legible(text)
    if not RUN.search(seen):
        return
    seen = LEADING_ZEROS.sub(_blotted, IBAN.sub(_blotted_account, UUID.sub(_blotted, seen)))
    for run in RUN.finditer(seen):
        groups = list(GROUP.finditer(seen, run.start(), run.end()))
        first = 0
        while first < len(groups):
            length = _length_of_number(groups[first : first + DIGITS_MAX])
            if not length and first == 0 and _is_spelled_out(seen, groups):
                length = len(groups)
            if length:
                yield places[groups[first].start()], places[groups[first + length - 1].end() - 1] + 1
            first += length or 1


def _legible(text: str) -> tuple[str, Sequence[int]]:
    """`text` as a reader sees it, and the place in `text` of each of its signs."""
    if text.isascii():
        return text, range(len(text))
    signs, places = list[str](), list[int]()
    for place, sign in enumerate(text):
        if unicodedata.category(sign) not in UNSEEN_KINDS and sign not in FILLERS:
            plain = unicodedata.normalize("NFKC", sign)
            signs += [str(unicodedata.decimal(part, part)) for part in plain]
            places += [place] * len(plain)
    return "".join(signs), places


def _blotted(found: re.Match[str]) -> str:
    return "x" * len(found[0])


def _blotted_account(found: re.Match[str]) -> str:
    """A bank account whose check digits are right (ISO 13616, ISO/IEC 7064 mod 97-10); else the text as it is."""
    plain = found[0].replace(" ", "")
    number = int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4]))
    return _blotted(found) if number % 97 == 1 else found[0]


def _length_of_number(groups: list[re.Match[str]]) -> int:
    """How many of the groups, from the first one on, are a number, however they are parted; 0 where none is."""
    digits, longest = "", 0
    for count, group in enumerate(groups, 1):
        digits += group[0]
        if len(digits) >= DIGITS_MIN and _is_number(digits):
            longest = count
        if len(digits) >= DIGITS_MAX or len(group[0]) < GROUP_MIN:
            break
    return longest


def _is_spelled_out(seen: str, groups: list[re.Match[str]]) -> bool:
    """Whether all groups of a run are one number in short groups of one length that are parted alike.

    The last one may be shorter; where they are thousands, as a spreadsheet parts an amount, the first one.
    """
    parted_by = {seen[one.end() : next.start()] for one, next in pairwise(groups)}
    first, *sizes = (len(group[0]) for group in groups)
    if len(parted_by) != 1:
        return False
    in_thousands = first <= THOUSANDS and set(sizes) == {THOUSANDS} and len(parted_by.pop()) == 1
    alike = {first, *sizes[:-1]} == {first} and sizes[-1] <= first
    return (in_thousands or alike) and _is_number("".join(group[0] for group in groups))


def _is_number(digits: str) -> bool:
    return bool(ANY_BRAND.fullmatch(digits)) and luhn_valid(digits) and not _is_something_else(digits)


def _is_something_else(digits: str) -> bool:
    """Of 13 digits: an article by its check digit (GS1), or a phone."""
    if len(digits) != DIGITS_MIN:
        return False
    weighed = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return weighed % 10 == 0 or digits.startswith(PHONES_OF_13)
