"""Prefixed ids that sort by time of birth and cannot be guessed (48 bits of milliseconds, 80 random)."""

import secrets
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
LENGTH = 26


def new_id(prefix: str) -> str:
    """An id such as `pay_01k9…`: the prefix, an underscore and 26 characters.

    Letters stand in every id we make, so none can pass for a card number.
    """
    number = int(time.time() * 1000) << 80 | secrets.randbits(80)
    digits = [ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5)]
    return f"{prefix}_{''.join(digits)}"
