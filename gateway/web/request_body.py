"""Request bodies: bytes to a type, strictly, and what was wrong with them in words that echo nothing."""

import json
import re
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from gateway.free_text import text_errors
from gateway.problems import Problem
from gateway.refusals import FieldError, InvalidFields

DEPTH_MAX = 16
NUL = "A NUL character stands in it."
FIELD_NAME = re.compile(r"[a-z_]{1,40}")
# " - at `$.a.b[0]`", or " - at `key` in `$.a`" for the name of an entry. Only what can be a path of ours is one:
# the text before it may quote what was sent.
PATH = r"\$(?:\.[a-z_]+|\[(?:\d{1,4}|\.\.\.)\])*"
FOUND_AT = re.compile(rf"(?P<message>.*?)(?: - at (?:`key` in )?`(?P<path>{PATH})`)?", re.DOTALL)
MISSING = re.compile(r"Object missing required field `(.+)`")
WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
UNKNOWN = re.compile(r"Object contains unknown field `(.+)`", re.DOTALL)


def parse(raw: bytes) -> Any:
    """The JSON document in `raw` (RFC 8259, UTF-8): no NaN, no name twice in one object, 16 levels at most.

    Raises the problem `invalid_json`, and `InvalidFields` for a NUL in a text: PostgreSQL stores none.
    """
    try:
        document = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u0000" in raw:
            _check_nul(document, "$")
        if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX:
            _check_depth(document, DEPTH_MAX)
    except (ValueError, RecursionError):
        raise Problem("invalid_json") from None
    return document


class BodyDecoder:
    """Decodes bodies of one type, and refuses those with a card number or security code in a free text."""

    def __init__(self, kind: type[Any]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, raw: bytes) -> Any:
        """`raw` as the type. Raises `InvalidFields` and the problem `invalid_json`."""
        try:
            decoded = self._decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise InvalidFields(field_error(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Problem("invalid_json") from None
        if errors := text_errors(decoded):
            raise InvalidFields(*errors)
        return decoded

    def takes_nothing(self) -> bool:
        """Whether an empty object is a body."""
        try:
            return self._decoder.decode(b"{}") is not None
        except msgspec.ValidationError:
            return False


def convert(given: dict[str, str], kind: type[Any]) -> Any:
    """Query parameters as `kind`: a number in plain digits, a time as in RFC 3339. Raises `InvalidFields`."""
    _check_nul(given, "$")
    numbers = _numbers(kind) & given.keys()  # type: ignore[arg-type]  # typeshed calls a type unhashable
    if odd := [name for name in sorted(numbers) if not WHOLE.fullmatch(given[name])]:
        raise InvalidFields(*[FieldError(f"$.{name}", "Not a whole number in digits.") for name in odd])
    try:
        return msgspec.convert(given | {name: int(given[name]) for name in numbers}, kind)
    except msgspec.ValidationError as error:
        raise InvalidFields(field_error(str(error))) from None


@cache
def _numbers(kind: type[Any]) -> set[str]:
    """The fields of a struct that hold whole numbers, or nothing."""
    shape = inspect.type_info(kind)
    assert isinstance(shape, inspect.StructType)
    return {field.name for field in shape.fields if _is_number(field.type)}


def _is_number(kind: inspect.Type) -> bool:
    match kind:
        case inspect.UnionType():
            return any(map(_is_number, kind.types))
        case inspect.Metadata():
            return _is_number(kind.type)
        case _:
            return isinstance(kind, inspect.IntType)


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
    return FieldError(path, message.replace(r"\\Z'", "$'"))  # as the OpenAPI document has a pattern


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return document


def _check_nul(value: Any, path: str) -> None:
    match value:
        case str() if "\0" in value:
            raise InvalidFields(FieldError(path, NUL))
        case dict():
            for name, inside in value.items():
                _check_nul(name, path)
                _check_nul(inside, f"{path}.{name}" if FIELD_NAME.fullmatch(name) else path)
        case list():
            for number, inside in enumerate(value):
                _check_nul(inside, f"{path}[{number}]")


def _no_constant(_text: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def _check_depth(document: Any, left: int) -> None:
    if not isinstance(document, dict | list):
        return
    if left == 0:
        raise ValueError("too deep")
    for child in document.values() if isinstance(document, dict) else document:
        _check_depth(child, left - 1)
