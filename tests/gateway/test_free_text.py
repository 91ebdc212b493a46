"""Free text: a card number in any of it is found, wherever a type says that text is free."""

from typing import Annotated

import msgspec
import pytest

from gateway.free_text import FreeText, Reason, ShortText, number_errors

NUMBER = "4111 1111 1111 1111"


class Inner(msgspec.Struct):
    id: ShortText | None = None
    number: str = ""


class Other(msgspec.Struct, tag="other"):
    note: FreeText


class Tagged(msgspec.Struct, tag="tagged"):
    note: FreeText


class Body(msgspec.Struct):
    text: FreeText | None = None
    metadata: Annotated[dict[ShortText, FreeText], msgspec.Meta(max_length=20)] | None = None
    counts: dict[str, int] = {}
    inner: Inner | None = None
    either: Tagged | Other | None = None
    notes: list[FreeText] = []
    tags: dict[str, list[FreeText]] = {}


class Closed(msgspec.Struct):
    number: str
    amount: int = 0


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (Body(), []),
        (Body(text="order 4111"), []),
        (Body(text=f"card {NUMBER}"), ["$.text"]),
        (Body(metadata={"a": "b", NUMBER: "c"}), ["$.metadata[1]"]),
        (Body(metadata={"a": NUMBER}), ["$.metadata[0]"]),
        (Body(metadata={"4111 1111": "1111 1111"}), ["$.metadata[0]"]),
        (Body(counts={NUMBER: 1}), []),
        (Body(inner=Inner(NUMBER, NUMBER)), ["$.inner.id"]),
        (Body(either=Other(NUMBER)), ["$.either.note"]),
        (Body(text=NUMBER, either=Tagged(NUMBER)), ["$.text", "$.either.note"]),
        (Body(notes=["a", NUMBER]), ["$.notes[1]"]),
        (Body(tags={"a": ["b", NUMBER]}), ["$.tags[0][1]"]),
        (Closed(NUMBER), []),
    ],
)
def test_each_free_text_with_a_number_is_named_and_nothing_is_quoted(
    body: msgspec.Struct, paths: list[str]
) -> None:
    errors = number_errors(body)
    assert [error.path for error in errors] == paths
    assert NUMBER not in str(errors)


def test_a_free_text_keeps_its_bounds() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'""', type=Reason)


@pytest.mark.parametrize("between", [".", "_", "/", " - ", ", ", "\u200b", "\u00b7", " \u2060 "])
def test_whatever_stands_between_its_groups_a_number_is_found(between: str) -> None:
    text = f"1234 {between.join(NUMBER.split())}, thanks"
    assert [error.path for error in number_errors(Body(text=text))] == ["$.text"]


@pytest.mark.parametrize(
    "text", ["4.111111111111111", "4111.1111.1111.1112", "2026.1111.41/1111", "41.11111111, 1.11111"]
)
def test_numbers_with_decimals_and_other_groups_are_no_card_numbers(text: str) -> None:
    assert number_errors(Body(text=text)) == []
