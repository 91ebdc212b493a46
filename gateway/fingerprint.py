"""What makes two requests the same: a keyed hash of method, path and body, without the CVC."""

import hashlib
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="sorted")


def material(method: str, path: str, document: Any) -> bytes:
    """What is hashed. Blanks and the order of names in the body make no difference; `cvc` stays out."""
    return b"\0".join((method.encode(), path.encode(), _encoder.encode(_without_cvc(document))))


def fingerprint(key: bytes, made_of: bytes) -> bytes:
    """32 bytes. Keyed, so that a copy of the books does not let anybody try out bodies."""
    return hashlib.blake2b(made_of, key=key, digest_size=32).digest()


def _without_cvc(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _without_cvc(value) for name, value in document.items() if name != "cvc"}
    if isinstance(document, list):
        return [_without_cvc(value) for value in document]
    return document
