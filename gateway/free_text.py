"""Free text in requests: types whose values may hold no card number, and the check of decoded values for one.

A number that a client puts into a description or a key of its metadata would be stored and shown (PCI DSS 3.5.1).
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import inspect

from gateway.refusals import FieldError
from schemas.cards import find_numbers

FREE = {"free_text": True}  # marks a type for `number_errors`

FreeText = Annotated[str, msgspec.Meta(max_length=500, extra=FREE)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500, extra=FREE)]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=128, extra=FREE)]
SourceText = Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra=FREE)]
UrlText = Annotated[str, msgspec.Meta(max_length=2048, extra=FREE)]

FOUND = "A card number stands in it; tokenize the card and send its id."

# What nobody sees, and four groups of four with what people write between them: "4111.1111.1111.1111". Here alone:
# with a dot between any two digits, a log's numbers with decimals would be card numbers.
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
GROUPED = re.compile(r"(?<!\d)(?=(\d{4})(?:\W|_){1,3}(\d{4})(?:\W|_){1,3}(\d{4})(?:\W|_){1,3}(\d{4})(?!\d))")

Finder = Callable[[Any, str], Iterator[str]]  # (value, its path) → the paths at which a number stands


def number_errors(value: Any) -> list[FieldError]:
    """An error for each free text of a decoded struct in which a card number stands; no number is quoted."""
    find = _finder_of(type(value))  # type: ignore[arg-type]  # typeshed calls a type unhashable
    return [FieldError(path, FOUND) for path in find(value, "$")]


@cache
def _finder_of(kind: type) -> Finder:
    return _finder(inspect.type_info(kind)) or _nothing


def _finder(kind: inspect.Type) -> Finder | None:
    """What looks through values of a type; None where no free text can be in them."""
    match kind:
        case inspect.Metadata():
            return _in_text if (kind.extra or {}).get("free_text") else _finder(kind.type)
        case inspect.UnionType():
            return _in_union([finder for finder in map(_finder, kind.types) if finder])
        case inspect.StructType():
            fields = {field.name: _finder(field.type) for field in kind.fields}
            return _in_struct(kind.cls, {name: finder for name, finder in fields.items() if finder})
        case inspect.DictType():
            inside = _finder(kind.key_type) or _finder(kind.value_type)
            return _in_dict(inside) if inside else None
        case inspect.CollectionType() | inspect.VarTupleType():
            return _in_items(_finder(kind.item_type))
        case _:
            return None


def _holds_number(text: str) -> bool:
    seen = INVISIBLE.sub("", text)
    return bool(find_numbers(seen)) or any(find_numbers("".join(groups)) for groups in GROUPED.findall(seen))


def _nothing(_value: Any, _path: str) -> Iterator[str]:
    return iter(())


def _in_text(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str) and _holds_number(value):
        yield path


def _in_union(finders: list[Finder]) -> Finder | None:
    def find(value: Any, path: str) -> Iterator[str]:
        for finder in finders:
            yield from finder(value, path)

    return find if finders else None


def _in_struct(kind: type[Any], finders: dict[str, Finder]) -> Finder | None:
    def find(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, kind):
            for name, finder in finders.items():
                yield from finder(getattr(value, name), f"{path}.{name}")

    return find if finders else None


def _in_items(inside: Finder | None) -> Finder | None:
    def find(value: Any, path: str) -> Iterator[str]:
        for number, item in enumerate(value if isinstance(value, list | tuple | set | frozenset) else ()):
            yield from inside(item, f"{path}[{number}]") if inside else ()

    return find if inside else None


def _in_dict(inside: Finder) -> Finder:
    """Names and values together: half a number in each is a number to whoever reads both."""

    def find(value: Any, path: str) -> Iterator[str]:
        for number, (name, entry) in enumerate(value.items() if isinstance(value, dict) else ()):
            if _holds_number(f"{name}\n{entry if isinstance(entry, str) else ''}"):
                yield f"{path}[{number}]"
            elif not isinstance(entry, str):
                yield from inside(entry, f"{path}[{number}]")

    return find
