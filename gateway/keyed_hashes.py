"""Keyed hashes: what is kept of an address, a device, a token or a code, to know it again and not to tell it.

All are made by the gateway's key, and each begins with what it is for: that of another purpose is never the same.
"""

import hashlib
from secrets import token_bytes

from connectors.keyfiles import read_or_make
from schemas.settings import Settings

KEY_FILE = "gateway.key"
KEY_BYTES = 32
HASH_BYTES = 32
PERSONAL_BYTES = 16  # 128 bits: equal values stay equal


def open_key(settings: Settings) -> bytes:
    """The gateway's key; the local profile makes one. Raises `SecretMissing`."""
    return read_or_make(settings, KEY_FILE, lambda: token_bytes(KEY_BYTES))


def keyed_hash(key: bytes, *parts: str | bytes, size: int = HASH_BYTES) -> bytes:
    """A hash of `size` bytes that nobody makes or tries out without `key`. The first part is what it is for.

    No part but the last may hold a NUL, which parts them.
    """
    told = [part if isinstance(part, bytes) else part.encode(errors="surrogatepass") for part in parts]
    return hashlib.blake2b(b"\0".join(told), key=key, digest_size=size).digest()


def personal_hash(key: bytes, kind: str, value: str) -> str:
    """What stands on topics for an address (`ip`), its network (`network`) or a device (`device`)."""
    return keyed_hash(key, kind, value, size=PERSONAL_BYTES).hex()
