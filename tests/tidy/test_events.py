"""No event type has a field for what must never stand on a topic."""

import types
import typing
from collections.abc import Iterator

import msgspec
import pytest

from schemas.events import EVENT_TYPES

# PCI DSS 3.2 to 3.5.
CARD_DATA = {"card_number", "cvc", "cvc2", "cvv", "cvv2", "exp_month", "exp_year", "expiry", "number", "pan"}
# Personal data never stands on a topic. The `address` of a notification is masked.
PERSONAL = {"description", "email", "ip", "ip_address", "metadata", "name", "password", "phone"}


def fields_of(kind: object, path: str = "") -> Iterator[str]:
    """The paths of all fields that a type can hold, at any depth."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        for field in msgspec.structs.fields(kind):
            yield f"{path}.{field.encode_name}"
            yield from fields_of(hints[field.name], f"{path}.{field.encode_name}")
    else:
        for part in typing.get_args(kind):
            yield from fields_of(part, path)


def forbidden(kind: object) -> list[str]:
    return [path for path in fields_of(kind) if path.rpartition(".")[2] in CARD_DATA | PERSONAL]


@pytest.mark.parametrize("type", EVENT_TYPES)
def test_no_event_holds_card_or_personal_data(type: str) -> None:
    assert forbidden(EVENT_TYPES[type]) == []


class Card(msgspec.Struct):
    cvc: str


class Planted(msgspec.Struct):
    cards: dict[str, list[Card | None]]
    note: str | None = None


def test_a_planted_field_is_found_at_any_depth() -> None:
    assert forbidden(Planted) == [".cards.cvc"]
    assert isinstance(str | None, types.UnionType)  # the kind of union our structs are written with
