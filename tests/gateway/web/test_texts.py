"""Every text of every body is of a known class, and what may be stored holds no number or code of a card."""

import inspect as sources
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from gateway.free_text import TEXT_CLASSES, FreeText
from gateway.payments.create import NewPayment
from gateway.refusals import FieldError, InvalidFields
from gateway.web.openapi import EXAMPLES, declared
from gateway.web.request_body import BodyDecoder
from tests.gateway.conftest import Gateway

NUMBERS = ("4111111111111111", "4111.1111.1111.1111", "\uff14111 1111 1111 1111", "41\u200b11111111111111")
CODES = ("cvc: 123", "CVV2 is 1234")

Path = tuple[str | int, ...]


def texts(kind: inspect.Type, path: Path = (), text_class: str = "") -> Iterator[tuple[Path, str]]:
    """Each text in a type: its path, with the first entry for all of a list or dict, and its class."""
    match kind:
        case inspect.Metadata():
            yield from texts(kind.type, path, (kind.extra or {}).get("text", text_class))
        case inspect.StrType():
            yield path, "pattern" if kind.pattern is not None and not text_class else text_class
        case inspect.StructType():
            assert kind.forbid_unknown_fields, f"{kind.cls.__name__} takes members that nobody knows"
            for field in kind.fields:
                yield from texts(field.type, (*path, field.encode_name))
        case inspect.UnionType():
            for each in kind.types:
                yield from texts(each, path, text_class)
        case inspect.DictType():
            yield from texts(kind.key_type, (*path, "*"))
            yield from texts(kind.value_type, (*path, "name"))
        case inspect.CollectionType():
            yield from texts(kind.item_type, (*path, 0))
        case inspect.AnyType() | inspect.RawType() | inspect.CustomType():
            yield path, "anything"


def planted(example: Any, path: Path, text: str) -> Any:
    """`example` with `text` at a path: of a dict as the name ("*") or the value of its one entry."""
    if not path:
        return text
    first, *rest = path
    match first:
        case 0:
            return [planted(None, tuple(rest), text)]
        case "*":
            return {text: "a"}
        case _:
            inside = example if isinstance(example, dict) else {}
            return inside | {first: planted(inside.get(first), tuple(rest), text)}


def bodies(gateway: Gateway) -> set[type[Any]]:
    return {rules.body for _, _, rules, _ in declared(gateway.app) if rules.body}


async def test_every_text_of_every_body_is_of_a_known_class(gateway: Gateway) -> None:
    found = {
        f"{body.__name__}: {path}": text_class
        for body in bodies(gateway)
        for path, text_class in texts(inspect.type_info(body))
    }
    assert {
        path: text_class for path, text_class in found.items() if text_class not in (*TEXT_CLASSES, "pattern")
    } == {}
    assert {"free", "code", "unstored", "card_number", "pattern"} == set(found.values())


async def test_no_free_text_of_any_body_holds_a_card_number_or_a_security_code(gateway: Gateway) -> None:
    places = [
        (body, path)
        for body in bodies(gateway)
        for path, text_class in texts(inspect.type_info(body))
        if text_class == "free"
    ]
    assert len(places) > 15
    for body, path in places:
        for text in (*NUMBERS, *CODES):
            document = planted(EXAMPLES[body.__name__], path, text)
            with pytest.raises(InvalidFields) as refused:
                BodyDecoder(body).decode(msgspec.json.encode(document))
            (error,) = refused.value.errors or ()
            assert error.path.startswith(f"$.{path[0]}"), (body, path)
            assert text not in str(error)


class Unclassed(msgspec.Struct, forbid_unknown_fields=True):
    note: FreeText
    plain: str = ""


class Open(msgspec.Struct):
    note: FreeText


def test_a_text_without_a_class_and_a_struct_that_takes_anything_are_found() -> None:
    assert dict(texts(inspect.type_info(Unclassed))) == {("note",): "free", ("plain",): ""}
    with pytest.raises(AssertionError):
        list(texts(inspect.type_info(Open)))


@pytest.mark.parametrize("cvc", ["12", "1234", "100\n", "１００", "", " 100", "1e2"])
def test_a_cvc_has_three_digits(cvc: str) -> None:
    document = planted(EXAMPLES["NewPayment"], ("payment_method", "cvc"), cvc)
    with pytest.raises(InvalidFields) as refused:
        BodyDecoder(NewPayment).decode(msgspec.json.encode(document))
    (error,) = refused.value.errors or ()
    assert error == FieldError("$.payment_method.cvc", "Expected `str` matching regex '^[0-9]{3}$'")


@pytest.mark.parametrize(
    ("name", "value"), [("currency", "EUR\n"), ("currency", "EURO"), ("occurred_at", 253402300800)]
)
def test_a_field_of_a_payment_ends_where_its_form_does(name: str, value: Any) -> None:
    with pytest.raises(InvalidFields) as refused:
        BodyDecoder(NewPayment).decode(msgspec.json.encode(EXAMPLES["NewPayment"] | {name: value}))
    assert [error.path for error in refused.value.errors or ()] == [f"$.{name}"]


async def test_a_get_that_changes_something_does_not_for_who_only_looks(gateway: Gateway) -> None:
    """HEAD is a GET to Quart: a handler that writes, or begins what goes on, asks `only_looks` first."""
    changing = set()
    for rule, method, _, view in declared(gateway.app):
        source = sources.getsource(view)
        reads_on = rule.rule == "/v1/dead-letters"  # in a thread, whoever leaves
        if method == "GET" and not reads_on and re.search(r"\.(write|shielded|go_on)\(", source):
            changing.add(rule.rule)
            assert "if not call.only_looks" in source, rule.rule
    assert changing == {"/v1/return/<payment>/<nonce>", "/v1/me/export"}
