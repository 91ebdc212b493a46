"""Names for cards: random tokens, and the keyed hashes that say "the same" without saying which."""

import hmac
import secrets

TOKEN_BYTES = 16  # 128 bits
LETTERS = bytes.maketrans(b"0123456789abcdef", b"abcdefghjkmnprst")


def new_token() -> str:
    """`card_` and 128 random bits."""
    return "card_" + _letters(secrets.token_bytes(TOKEN_BYTES))


def fingerprint(key: bytes, number: str) -> str:
    """`fp_` and 128 bits of an HMAC over the whole number, the same for every owner (PCI DSS 3.5.1.1)."""
    return "fp_" + _letters(digest(key, number.encode())[:TOKEN_BYTES])


def digest(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(key, data, "sha256")


def _letters(data: bytes) -> str:
    # Letters alone: no stretch of a name for a card can ever read as a card number, by luck either.
    return data.hex().encode().translate(LETTERS).decode()
