"""What is sent everywhere, the disguises in which it could stand somewhere, and what recognizes it."""

import base64
import hashlib
import re
from collections.abc import Callable, Collection, Iterable
from random import Random
from urllib.parse import quote

import msgspec

from schemas.cards import check_digit

Suspect = Callable[[bytes], str | None]  # what is wrong with a piece, None where nothing is

SEPARATORS = (" ", "-", ".", "_", "/", "\u00a0", "\u200b", "\u00ad", "   ", "%20", "+", "\\u0020")
# Prefix and length of each kind of number that we take: test BINs, and the shortest and longest of Visa's.
KINDS = (("411111", 16), ("555555", 16), ("222300", 16), ("411111", 13), ("411111", 19))
# The disguises that are looked for in memory, of which there is much.
LIKELY = (
    *("text", "utf-16", "hex of text", "every digit percent-encoded", "base64 at 0", "base64 at 1", "base64 at 2"),
    *(f"grouped by {separator!r}" for separator in (" ", "-")),
)
NAMED_CODE = (
    rb"""(?:(?:cvc|cvv)2?|cvn|csc)\W{0,8}%(code)b(?![0-9])|"""
    rb"""code["'\\]*\s{0,4}[:=>,]\s{0,4}[b"'\\]{0,4}%(code)b(?![0-9])"""
)
BEFORE, AFTER = 40, 12  # how much around a code says whether it is one


class Canaries(msgspec.Struct, frozen=True, kw_only=True):
    """`numbers`: card numbers, one of each kind. `codes`: their CVCs. `persons`: whoever pays with them.

    `secrets`: what nobody keeps: a password. `words`: free text, which stays in the books.
    """

    numbers: tuple[str, ...]
    codes: tuple[str, ...]
    email: str
    phone: str
    name: str
    ip: str
    password: str
    words: str

    def persons(self) -> tuple[str, ...]:
        """What tells who somebody is."""
        return (self.email, self.phone, self.name, self.ip)


def canaries(seed: int) -> Canaries:
    """Those of a seed."""
    random = Random(f"canaries {seed}")
    mark = f"{random.randrange(10**8):08d}"
    return Canaries(
        numbers=tuple(number(prefix, length, random) for prefix, length in KINDS),
        codes=("739", "917"),
        email=f"mallory.canary{mark}@example.com",
        phone=f"+4915{random.randrange(10**9):09d}",
        name=f"Mallory Canaryname{mark}",
        ip=f"127.{random.randrange(100, 250)}.{random.randrange(100, 250)}.{random.randrange(100, 250)}",
        password=f"canarypassword{mark}",
        words=f"canarywords{mark}",
    )


def number(prefix: str, length: int, random: Random) -> str:
    """A card number that nobody else uses: those of magic and of tests have zeros or ones there."""
    middle = "".join(random.choice("23456789") for _ in range(length - len(prefix) - 1))
    return prefix + middle + check_digit(prefix + middle)


def disguises(number: str) -> dict[str, bytes]:
    """The forms in which a card number could stand in a file; by the name of each."""
    groups = [number[at : at + 4] for at in range(0, len(number), 4)]
    value, packed = int(number), number if len(number) % 2 == 0 else number + "f"
    forms = _encodings(number) | {
        "packed digits": bytes.fromhex(packed),
        "big endian": value.to_bytes(8, "big").lstrip(b"\0"),
        "little endian": value.to_bytes(8, "little").rstrip(b"\0"),
        "hex of value": f"{value:x}".encode(),
        "reversed": number[::-1].encode(),
        "every digit percent-encoded": "".join(f"%{ord(digit):02x}" for digit in number).encode(),
        "fullwidth digits": number.translate({ord(d): ord(d) + 0xFEE0 for d in "0123456789"}).encode(),
        "sha256": hashlib.sha256(number.encode()).digest(),
        "sha256 in hex": hashlib.sha256(number.encode()).hexdigest().encode(),
        "sha1 in hex": hashlib.sha1(number.encode()).hexdigest().encode(),
        "md5 in hex": hashlib.md5(number.encode()).hexdigest().encode(),
    }
    if len(number) > 13:  # seven digits stand in many a time
        forms["without its bin"] = number[6:].encode()
    return forms | {f"grouped by {separator!r}": separator.join(groups).encode() for separator in SEPARATORS}


def text_forms(text: str) -> dict[str, bytes]:
    """The forms in which any other text could stand somewhere, but for its case; by the name of each."""
    return _encodings(text) | {"percent-encoded": quote(text, safe="").encode()}


def _encodings(text: str) -> dict[str, bytes]:
    plain = text.encode()
    forms = {
        "text": plain,
        "utf-16": text.encode("utf-16-le"),
        "utf-32": text.encode("utf-32-le"),
        "hex of text": plain.hex().encode(),
    }
    for offset in range(3):  # base64 of a longer text that holds it: the characters that are made of it alone
        coded = base64.b64encode(b"\0" * offset + plain)
        forms[f"base64 at {offset}"] = coded[-(-offset * 8 // 6) : (offset + len(plain)) * 8 // 6]
    return forms


def card_data(numbers: Collection[str], codes: Collection[str], only: Collection[str] = ()) -> Suspect:
    """Recognizes a card number in any disguise, and a CVC as the value of something that is named like one.

    As mere digits a CVC stands in many a time. `only`: the disguises that are looked for, where there is much to
    look through.
    """
    forms = [
        (name, form) for number in numbers for name, form in disguises(number).items() if not only or name in only
    ]

    def suspect(content: bytes) -> str | None:
        found = next((name for name, form in forms if form in content), None)
        return f"a number as {found}" if found else _code_in(content, codes)

    return suspect


def _code_in(content: bytes, codes: Iterable[str]) -> str | None:
    for code in codes:
        named = re.compile(NAMED_CODE % {b"code": code.encode()}, re.IGNORECASE)
        at = content.find(code.encode())
        while at >= 0:
            if named.search(content[max(at - BEFORE, 0) : at + AFTER]):
                return "a code"
            at = content.find(code.encode(), at + 1)
    return None


def texts(wanted: Collection[str]) -> Suspect:
    """Recognizes any of these texts, in upper or lower case, and in several encodings."""
    forms = [(name, form) for text in wanted for name, form in text_forms(text).items()]

    def suspect(content: bytes) -> str | None:
        lower = content.lower()
        for name, form in forms:
            if form in content or form.lower() in lower:
                return f"a text as {name}"
        return None

    return suspect
