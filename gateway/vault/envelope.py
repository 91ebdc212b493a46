"""AES-256-GCM envelopes: a data key for each card, wrapped by a versioned key-encryption key (KEK).

The associated data binds the sealed card to its token and owner, and the wrapped data key to token, owner and
KEK version: a row, or half of one, that was moved elsewhere does not open. Rotation rewraps the data key and
leaves the sealed card alone. A data key encrypts once, so its nonce can never repeat.
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
    """A card as the file holds it: `key_version` is that of the KEK that wrapped the data key."""

    key_version: int
    wrapped: bytes
    sealed: bytes


def seal(kek: Kek, card_id: str, owner_id: str, secret: bytes) -> Envelope:
    """`secret` under a new data key."""
    data_key = os.urandom(KEY_BYTES)
    wrapped = _encrypt(kek.cipher, data_key, _context("key", card_id, owner_id, kek.version))
    sealed = _encrypt(AESGCM(data_key), secret, _context("card", card_id, owner_id))
    return Envelope(kek.version, wrapped, sealed)


def unseal(kek: Kek, card_id: str, owner_id: str, envelope: Envelope) -> bytes:
    """The secret. Raises `NotOpened`."""
    data_key = _decrypt(kek.cipher, envelope.wrapped, _context("key", card_id, owner_id, kek.version))
    return _decrypt(AESGCM(data_key), envelope.sealed, _context("card", card_id, owner_id))


def rewrap(old: Kek, new: Kek, card_id: str, owner_id: str, wrapped: bytes) -> bytes:
    """The data key in `wrapped`, wrapped by `new`. Raises `NotOpened`."""
    data_key = _decrypt(old.cipher, wrapped, _context("key", card_id, owner_id, old.version))
    return _encrypt(new.cipher, data_key, _context("key", card_id, owner_id, new.version))


def wrap_person(kek: Kek, person_id: str, key: bytes) -> bytes:
    """A person's key, wrapped; `kek` is one of `keys.person_cipher`."""
    return _encrypt(kek.cipher, key, _context("person", person_id, kek.version))


def unwrap_person(kek: Kek, person_id: str, wrapped: bytes) -> bytes:
    """A person's key. Raises `NotOpened`."""
    return _decrypt(kek.cipher, wrapped, _context("person", person_id, kek.version))


def _context(layer: Literal["key", "card", "person"], *parts: str | int) -> bytes:
    # MessagePack keeps ("ab", "c") and ("a", "bc") apart; joined texts would be equal.
    return FORMAT + msgspec.msgpack.encode((layer, parts))


def _encrypt(cipher: AESGCM, secret: bytes, context: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return FORMAT + nonce + cipher.encrypt(nonce, secret, context)


def _decrypt(cipher: AESGCM, blob: bytes, context: bytes) -> bytes:
    if blob[:1] != FORMAT:
        raise NotOpened("unknown format")
    try:
        return cipher.decrypt(blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :], context)
    except (InvalidTag, ValueError):  # ValueError: shorter than a nonce and a tag
        raise NotOpened("not what was sealed") from None
