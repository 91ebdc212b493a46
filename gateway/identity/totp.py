"""Codes of an authenticator app (TOTP, RFC 6238), and their secret as the books keep it: sealed.

The key that seals is made of the gateway's own, which stands in no copy of the books: nobody makes codes of that.
"""

import hmac
import os
from base64 import b32encode
from urllib.parse import quote, urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.keyed_hashes import keyed_hash

STEP_US = 30 * 1_000_000  # RFC 6238 §5.2 recommends 30 s
WINDOW = 1  # steps before and after: phones are a little off, and people slow (RFC 6238 §5.2)
DIGITS = 6
SECRET_BYTES = 20  # RFC 4226 §4, R6
ISSUER = "Sluice"
NONCE_BYTES = 12


def new_secret() -> bytes:
    """A random secret."""
    return os.urandom(SECRET_BYTES)


def code_at(secret: bytes, step: int) -> str:
    """The code of a time step: HOTP of its number (RFC 4226 §5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(secret: bytes, code: str, now_us: int, used_step: int) -> int | None:
    """The time step near `now_us` (wall clock: a phone has no other) that a code is of; None where it is of none.

    Nothing up to `used_step` counts: no code is taken twice (RFC 6238 §5.2), nor one that somebody held back.
    """
    near = now_us // STEP_US
    given = code.encode(errors="surrogatepass")
    found = [step for step in range(near - WINDOW, near + WINDOW + 1) if _is_code(given, secret, step)]
    return next((step for step in found if step > used_step), None)


def _is_code(given: bytes, secret: bytes, step: int) -> bool:
    return hmac.compare_digest(code_at(secret, step).encode(), given)


def readable(secret: bytes) -> str:
    """The secret as people type it into an app: Base32, without padding."""
    return b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, email: str) -> str:
    """What an app reads from a QR code (Google Authenticator's Key Uri Format); old apps are told the defaults."""
    label = f"{ISSUER}:{quote(email)}"
    asked = {"secret": readable(secret), "issuer": ISSUER, "algorithm": "SHA1", "digits": DIGITS}
    return f"otpauth://totp/{label}?{urlencode(asked | {'period': STEP_US // 1_000_000})}"


def seal(key: bytes, account_id: str, secret: bytes) -> bytes:
    """The secret as the books keep it, bound to its account; `key` is the gateway's."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, secret, account_id.encode())


def unseal(key: bytes, account_id: str, sealed: bytes) -> bytes | None:
    """The secret; None where it was sealed by another key or for another account, or was altered."""
    try:
        return _cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], account_id.encode())
    except (InvalidTag, ValueError):  # ValueError: shorter than a nonce and a tag
        return None


def _cipher(key: bytes) -> AESGCM:
    return AESGCM(keyed_hash(key, "second factor"))
