"""What a person typed to find a payment, and what it is taken for: it is said, and can be meant otherwise."""

import re
from typing import Literal

import msgspec

from schemas.cards import find_numbers
from schemas.money import AMOUNT_MAX, UnknownCurrency, from_decimal

# `bare_amount`: one that lacks its currency, by which nothing can be found.
Taken = Literal[
    "nothing", "payment", "refund", "customer", "merchant", "email", "last4", "amount", "bare_amount", "reference"
]
WORDS: dict[Taken, str] = {
    "nothing": "",
    "payment": "a payment's id",
    "refund": "a refund's id: this is its payment",
    "customer": "a customer's id",
    "merchant": "a merchant's id",
    "email": "a customer's e-mail address",
    "last4": "the last four digits of a card",
    "amount": "an amount",
    "bare_amount": "an amount without its currency",
    "reference": "a reference",
}
OTHERWISE: dict[Taken, tuple[Taken, ...]] = {
    "customer": ("merchant", "reference"),
    "merchant": ("customer",),
    "last4": ("reference",),
    "amount": ("reference",),
    "bare_amount": ("reference",),
    "email": ("reference",),
}

CODE = r"(?P<{}>[A-Za-z]{{3}})?"
AMOUNT = re.compile(rf"{CODE.format('before')}\s*(?P<figure>\d[\d.,'\u00a0\u202f ]*)\s*{CODE.format('after')}")
PLAIN_AMOUNT = re.compile(r"\d{1,3}(?:[,']?\d{3})*[.,]\d{1,3}")  # 42.00, 1,234.50: nobody writes a reference so
LAST4 = re.compile(r"[*·•.xX\s-]*(\d{4})")
GROUPED = re.compile(r"\d+|\d{1,3}(?:[.,]\d{3})+")  # a whole number, its thousands parted or not
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class Understood(msgspec.Struct, frozen=True):
    """What a text is taken for; `value` as it is looked for.

    `minor` and `currency`: of an amount. `others`: what it could be taken for as well.
    """

    taken: Taken
    value: str
    minor: int = 0
    currency: str = ""
    others: tuple[Taken, ...] = ()


def understood(text: str, meant: str = "", currency: str = "") -> Understood:
    """What `text` is; `meant`: what a person said it is. `currency`: that of an amount without one."""
    plain = " ".join(text.split())
    first = _guess(plain, currency)
    others = OTHERWISE.get(first.taken, ())
    if meant in others:
        rest = tuple(each for each in (first.taken, *others) if each != meant)
        return Understood(meant, first.value if meant == "merchant" else plain, others=rest)
    return msgspec.structs.replace(first, others=others)


def without_number(text: str) -> str:
    """The text; of a card's number its last four digits alone, since no number is to stand in an address."""
    if not find_numbers(text):
        return text
    return re.sub(r"\D", "", text)[-4:]


def _guess(plain: str, currency: str) -> Understood:
    lower = plain.lower()
    starts: tuple[tuple[str, Taken], ...] = (("pay_", "payment"), ("ref_", "refund"), ("acc_", "customer"))
    for start, taken in starts:
        if lower.startswith(start):
            return Understood(taken, lower)
    if not plain:
        return Understood("nothing", "")
    if EMAIL.fullmatch(plain):
        return Understood("email", plain)
    if found := LAST4.fullmatch(plain):
        return Understood("last4", found[1])
    return _amount(plain, currency) or Understood("reference", plain)


def _amount(plain: str, currency: str) -> Understood | None:
    found = AMOUNT.fullmatch(plain)
    if not found or (found["before"] and found["after"]):
        return None
    code = (found["before"] or found["after"] or "").upper()
    if not code and not PLAIN_AMOUNT.fullmatch(plain):
        return None
    if not (code or currency):
        return Understood("bare_amount", plain)
    try:
        money = from_decimal(_decimal(found["figure"]), code or currency)
    except (UnknownCurrency, ValueError):
        return None
    if not 0 < money.amount <= AMOUNT_MAX:
        return None
    return Understood("amount", f"{found['figure'].strip()} {money.currency}", money.amount, money.currency)


def _decimal(figure: str) -> str:
    """`1,234.50`, `1.234,50` and `1 234.5` as a decimal text: a comma before three digits parts thousands.

    Raises `ValueError` where it is none of them.
    """
    plain = re.sub(r"[\s']", "", figure).rstrip(".,")
    whole, mark, fraction = plain.rpartition(max(".,", key=plain.rfind))
    if not mark or (len(fraction) == 3 and (mark == "," or plain.count(mark) > 1)):
        whole, fraction = plain, ""
    if not GROUPED.fullmatch(whole):
        raise ValueError(figure)
    return f"{re.sub('[.,]', '', whole)}.{fraction or 0}"
