"""Texts in requests: what class each is of, and the check of free ones for what may be stored nowhere.

A card number that a client puts into a description or a key of its metadata would be stored and shown (PCI DSS
3.5.1), a card's security code may be kept by nobody, in any form (PCI DSS 3.3.1.2).
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from html import unescape
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote

import msgspec
from msgspec import inspect

from gateway.refusals import FieldError
from schemas.cards import find_numbers, legible

# `free`: any words, checked here. `code`: only what a check of its own lets through, and no card number is. Kept
# nowhere is what is `unstored` (compared, looked up or hashed); a `card_number` goes to the vault alone. Each text
# of a body is of a class, a `Literal`, or bounded by a pattern (`tests/gateway/web/test_texts.py`).
TextClass = Literal["free", "code", "unstored", "card_number"]
TEXT_CLASSES: tuple[TextClass, ...] = get_args(TextClass)


def of_class(name: TextClass) -> dict[str, TextClass]:
    """What marks a type of text: the `extra` of its `Meta`."""
    return {"text": name}


FREE = of_class("free")

FreeText = Annotated[str, msgspec.Meta(max_length=500, extra=FREE)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500, extra=FREE)]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=128, extra=FREE)]
SourceText = Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra=FREE)]
UrlText = Annotated[str, msgspec.Meta(max_length=2048, extra=FREE)]
ContactText = Annotated[str, msgspec.Meta(extra=FREE)]  # its form and length are for `identity/contacts.py`
CodeText = Annotated[str, msgspec.Meta(extra=of_class("code"))]
Unstored = Annotated[str, msgspec.Meta(max_length=512, extra=of_class("unstored"))]
UnstoredToken = Annotated[str, msgspec.Meta(max_length=4096, extra=of_class("unstored"))]  # also a signed one

NUMBER_FOUND = "A card number stands in it; tokenize the card and send its id."
CODE_FOUND = "A card's security code stands in it; it goes with a payment as `cvc` and is kept nowhere."

# Three or four digits after what brands call the code: CVC, CVV, CVN, CSC, CID. Of the last two, which are other
# things as well ("cid" is a campaign), only the whole name of an entry counts.
CODE_NAME = r"cv[cvn]2?|(?:card[\W_]*)?security[\W_]*code|card[\W_]*verification[\W_]*(?:code|value|number)"
CODE_DIGITS = r"(?<!\d)\d(?:[\W_]?\d){2,3}(?![\W_]?\d)"
CODE_IN_TEXT = re.compile(rf"(?:{CODE_NAME})(?:[\W_]|is|code|number|no|nr){{0,12}}{CODE_DIGITS}", re.IGNORECASE)
CODE_ALONE = re.compile(r"(?:card)?(?:cid|csc)2?")

Finder = Callable[[Any, str], Iterator[FieldError]]  # (value, its path) → what may not stand there


def text_errors(value: Any) -> list[FieldError]:
    """An error for each free text of a decoded struct that may not be stored; nothing of it is quoted."""
    return list(_finder_of(type(value))(value, "$"))  # type: ignore[arg-type]  # typeshed calls a type unhashable


def why_refused(text: str) -> str | None:
    """Why a text may not be stored: for a card number, or a card's security code; None where it may.

    It is read as it is, and as a URL and a page of HTML have it.
    """
    for written in dict.fromkeys((text, unescape(unquote(text)))):
        if find_numbers(written):
            return NUMBER_FOUND
        if CODE_IN_TEXT.search(legible(written)):
            return CODE_FOUND
    return None


def _is_code(name: str, value: str) -> bool:
    """Whether an entry by its name is a security code, and its value may be one."""
    plain = re.sub(r"[\W_]", "", legible(name)).casefold()
    named = CODE_ALONE.fullmatch(plain) or re.search(CODE_NAME, plain)
    return named is not None and 3 <= sum(sign.isdigit() for sign in value) <= 4


@cache
def _finder_of(kind: type) -> Finder:
    return _finder(inspect.type_info(kind)) or _nothing


def _finder(kind: inspect.Type) -> Finder | None:
    """What looks through values of a type; None where no free text can be in them."""
    match kind:
        case inspect.Metadata():
            return _in_text if (kind.extra or {}).get("text") == "free" else _finder(kind.type)
        case inspect.UnionType():
            return _in_union([finder for finder in map(_finder, kind.types) if finder])
        case inspect.StructType():
            fields = {field.name: _finder(field.type) for field in kind.fields}
            return _in_struct(kind.cls, {name: finder for name, finder in fields.items() if finder})
        case inspect.DictType():
            return _in_dict(_finder(kind.key_type) or _nothing, _finder(kind.value_type) or _nothing)
        case inspect.CollectionType() | inspect.VarTupleType():
            return _in_items(_finder(kind.item_type))
        case _:
            return None


def _nothing(_value: Any, _path: str) -> Iterator[FieldError]:
    return iter(())


def _in_text(value: Any, path: str) -> Iterator[FieldError]:
    if isinstance(value, str) and (message := why_refused(value)):
        yield FieldError(path, message)


def _in_union(finders: list[Finder]) -> Finder | None:
    def find(value: Any, path: str) -> Iterator[FieldError]:
        for finder in finders:
            yield from finder(value, path)

    return find if finders else None


def _in_struct(kind: type[Any], finders: dict[str, Finder]) -> Finder | None:
    def find(value: Any, path: str) -> Iterator[FieldError]:
        if isinstance(value, kind):
            for name, finder in finders.items():
                yield from finder(getattr(value, name), f"{path}.{name}")

    return find if finders else None


def _in_items(inside: Finder | None) -> Finder | None:
    def find(value: Any, path: str) -> Iterator[FieldError]:
        for number, item in enumerate(value if isinstance(value, list | tuple | set | frozenset) else ()):
            yield from inside(item, f"{path}[{number}]") if inside else ()

    return find if inside else None


def _in_dict(in_name: Finder, in_entry: Finder) -> Finder:
    """An entry is named by its number: its name is a client's, and may be what is refused."""

    def find(value: Any, path: str) -> Iterator[FieldError]:
        for number, (name, entry) in enumerate(value.items() if isinstance(value, dict) else ()):
            where = f"{path}[{number}]"
            if isinstance(name, str) and isinstance(entry, str) and _is_code(name, entry):
                yield FieldError(where, CODE_FOUND)
            else:
                yield from in_name(name, where)
                yield from in_entry(entry, where)

    return find
