"""Prefixed ids that sort by birth, also where the wall clock was set back, and cannot be guessed.

48 bits are milliseconds of the steady clock, 80 are random.
"""

import re
import secrets
from datetime import datetime
from string import ascii_lowercase, digits

from schemas.times import from_micros, steady_micros

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]  # ten bits at once: half the time
PAIR_BITS = 10
DIGITS = str.maketrans(ALPHABET, (digits + ascii_lowercase)[: len(ALPHABET)])  # as `int` reads them
LENGTH = 26  # characters of five bits
BITS = 5 * LENGTH
MILLISECONDS_MAX = 2**48 - 1
RANDOM_BITS = 80
TIMED = re.compile(rf"[a-z]+_([0-6][{ALPHABET}]{{9}})[{ALPHABET}]{{16}}")  # until the year 9774, then random bits
HEX_LETTERS = bytes.maketrans(b"0123456789abcdef", b"abcdefghjkmnprst")


def new_id(prefix: str) -> str:
    """An id such as `pay_01k9…`: the prefix, an underscore and 26 characters.

    Letters stand in every id we make, so none can pass for a card number.
    """
    return _written(prefix, steady_micros() // 1000 << RANDOM_BITS | secrets.randbits(RANDOM_BITS))


def earliest_id(prefix: str, micros: int) -> str:
    """What no id is below that is made at `micros` or later (microseconds of the steady clock)."""
    return _written(prefix, min(max(micros // 1000, 0), MILLISECONDS_MAX) << RANDOM_BITS)


def born_at(id: str) -> datetime | None:
    """When an id was made, to the day: the steady clock is near to UTC. None where it is none of `new_id`."""
    found = TIMED.fullmatch(id)
    if found is None:
        return None
    return from_micros(int(found[1].translate(DIGITS), len(ALPHABET)) * 1000)


def letters(data: bytes) -> str:
    """`data` in letters, two a byte: no part of it can read as a card number, not even by chance."""
    return data.hex().encode().translate(HEX_LETTERS).decode()


def _written(prefix: str, number: int) -> str:
    pairs = [PAIRS[number >> shift & 1023] for shift in range(BITS - PAIR_BITS, -1, -PAIR_BITS)]
    return f"{prefix}_{''.join(pairs)}"
