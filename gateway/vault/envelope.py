"""AES-256-GCM envelopes: a data key for each card, wrapped by a versioned key-encryption key (KEK).

Two layers, two contexts (associated data): the sealed card is bound to its token and owner, its wrapped data key
to token, owner and KEK version. A row, or half of one, that was moved elsewhere does not open. Rotation wraps the
data key anew and leaves the card alone. A data key encrypts once, so its nonce can never repeat.
"""

import os
from typing import Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"\x01"
NONCE_BYTES = 12
KEY_BYTES = 32


class NotOpened(Exception):
    """The envelope belongs to another card, owner or key, or was altered."""


class Kek(NamedTuple):
    """One version of the key-encryption key."""

    version: int
    cipher: AESGCM


class Envelope(NamedTuple):
    """A card as the file holds it: `kek` is the version that wrapped the data key."""

    kek: int
    wrapped: bytes
    sealed: bytes


def seal(kek: Kek, card: str, owner: str, secret: bytes) -> Envelope:
    """`secret` under a new data key."""
    data_key = os.urandom(KEY_BYTES)
    wrapped = _encrypt(kek.cipher, data_key, _context("key", card, owner, kek.version))
    sealed = _encrypt(AESGCM(data_key), secret, _context("card", card, owner))
    return Envelope(kek.version, wrapped, sealed)


def unseal(kek: Kek, card: str, owner: str, envelope: Envelope) -> bytes:
    """The secret. Raises `NotOpened`."""
    data_key = _decrypt(kek.cipher, envelope.wrapped, _context("key", card, owner, kek.version))
    return _decrypt(AESGCM(data_key), envelope.sealed, _context("card", card, owner))


def rewrap(old: Kek, new: Kek, card: str, owner: str, wrapped: bytes) -> bytes:
    """The data key of `wrapped`, wrapped by `new`. Raises `NotOpened`."""
    data_key = _decrypt(old.cipher, wrapped, _context("key", card, owner, old.version))
    return _encrypt(new.cipher, data_key, _context("key", card, owner, new.version))


def _context(layer: Literal["key", "card"], *runtime: str | int) -> bytes:
    # MessagePack keeps ("ab", "c") and ("a", "bc") apart, which joining the texts would not.
    return FORMAT + msgspec.msgpack.encode((layer, runtime))


def _encrypt(cipher: AESGCM, secret: bytes, context: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return FORMAT + nonce + cipher.encrypt(nonce, secret, context)


def _decrypt(cipher: AESGCM, blob: bytes, context: bytes) -> bytes:
    if blob[:1] != FORMAT:
        raise NotOpened("unknown format")
    try:
        return cipher.decrypt(blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :], context)
    except (InvalidTag, ValueError):  # ValueError: too short to be one
        raise NotOpened("not what was sealed") from None
