"""Request bodies: bytes to a type, strictly, and what was wrong with them in words that echo nothing."""

import json
import re
from typing import Any

import msgspec

from gateway.errors import FieldError, InvalidJson, InvalidRequest

DEPTH_MAX = 16
FIELD_NAME = re.compile(r"[a-z_]{1,40}")
# " - at `$.a.b[0]`", or " - at `key` in `$.a`" for the name of an entry. Only what can be a path of ours is one:
# the text before it may quote what was sent.
PATH = r"\$(?:\.[a-z_]+|\[(?:\d{1,4}|\.\.\.)\])*"
FOUND_AT = re.compile(rf"(?P<message>.*?)(?: - at (?:`key` in )?`(?P<path>{PATH})`)?", re.DOTALL)
MISSING = re.compile(r"Object missing required field `(.+)`")
UNKNOWN = re.compile(r"Object contains unknown field `(.+)`", re.DOTALL)


def parse(raw: bytes) -> Any:
    """The JSON document in `raw` (RFC 8259, UTF-8): no NaN, no name twice in one object, 16 levels at most.

    Raises `InvalidJson`.
    """
    try:
        document = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX:
            _check_depth(document, DEPTH_MAX)
    except (ValueError, RecursionError):
        raise InvalidJson from None
    return document


def decode(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """`raw` as the decoder's type. Raises `InvalidJson`, `InvalidRequest`."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest(field_error(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidJson from None


def convert(given: dict[str, str], kind: type[Any]) -> Any:
    """Query parameters as `kind`. Raises `InvalidRequest`."""
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(field_error(str(error))) from None


def field_error(text: str) -> FieldError:
    """msgspec's message as path and words. What a client sent is taken out: it may be a card number."""
    found = FOUND_AT.fullmatch(text)
    message, path = (found["message"], found["path"] or "$") if found else ("is wrong", "$")
    if missing := MISSING.fullmatch(message):
        return FieldError(f"{path}.{missing[1]}", "Required, but missing.")
    if unknown := UNKNOWN.fullmatch(message):
        known = FIELD_NAME.fullmatch(unknown[1])
        return FieldError(f"{path}.{unknown[1]}" if known else path, "Unknown field.")
    if message.startswith("Invalid"):  # "Invalid enum value '…'": quotes what was sent
        message = "Not one of the values it may have."
    return FieldError(path, message)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return document


def _no_constant(_text: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def _check_depth(document: Any, left: int) -> None:
    if not isinstance(document, dict | list):
        return
    if left == 0:
        raise ValueError("too deep")
    for child in document.values() if isinstance(document, dict) else document:
        _check_depth(child, left - 1)
