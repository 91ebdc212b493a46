"""Free text: what may be stored nowhere is found, wherever a type says that text is free, and nothing else."""

from typing import Annotated

import msgspec
import pytest

from gateway.free_text import FreeText, Reason, ShortText, text_errors, why_refused

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
    errors = text_errors(body)
    assert [error.path for error in errors] == paths
    assert NUMBER not in str(errors)


def test_a_name_and_a_value_that_only_together_look_like_a_number_are_taken() -> None:
    assert text_errors(Body(metadata={"4111 1111": "1111 1111", "41111111": "11111111"})) == []


@pytest.mark.parametrize("between", ["%20", "%2D", "%E2%80%8B", "&nbsp;", "&#8203;", "+"])
def test_a_number_as_a_url_or_a_page_has_it_is_found(between: str) -> None:
    for written in (between.join(NUMBER.split()), "".join(f"%{ord(digit):x}" for digit in NUMBER)):
        assert why_refused(f"https://shop.example/thanks?paid={written}&order=1")
    assert why_refused("https://shop.example/?cvc%3D123")
    assert why_refused("https://shop.example/thanks%2041?order=1111&item=1111") is None


def test_a_free_text_keeps_its_bounds() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'""', type=Reason)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "cvc",
            "CVC2",
            "cvv",
            "Cvv2",
            "cid",
            "CID",
            "csc",
            "security_code",
            "Security-Code",
            "card security code",
        ),
        *("card_cvc", "cardCvc", "cvc_code", "cvn", "c.v.c", "c\u00advv", "\uff43\uff56\uff43", "card-cid"),
        *("card_verification_value", "cardVerificationCode"),
    ],
)
def test_a_security_code_is_refused_under_any_name_that_it_goes_by(name: str) -> None:
    for value in ("123", "1234", " 1 2 3 ", "cvc 123", "\u0661\u0662\u0663"):
        (error,) = text_errors(Body(metadata={"order": "7", name: value}))
        assert error.path == "$.metadata[1]"
        assert value.strip() not in error.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cvc_check", "pass"),
        ("cvc", ""),
        ("cvc_checked_at", "2026-11-27"),
        ("cid", "spring-sale"),
        ("campaign", "123"),
        ("incident", "1234"),
        ("placid", "123"),
        ("zip", "1234"),
    ],
)
def test_what_is_no_security_code_is_taken(name: str, value: str) -> None:
    assert text_errors(Body(metadata={name: value})) == []


@pytest.mark.parametrize(
    "text",
    [
        "CVC 123",
        "cvv2: 1234",
        "the security code is 123",
        "card=x cvc=123",
        '{"card": {"cvc": "123"}}',
        "cvc no. 1-2-3",
    ],
)
def test_a_security_code_in_a_sentence_is_refused(text: str) -> None:
    assert [error.path for error in text_errors(Body(text=text))] == ["$.text"]


@pytest.mark.parametrize(
    "text", ["CVC Capital Partners", "cvc 12", "cvc 2026-11-27", "https://shop.example/?cid=123", "cvc: 12345"]
)
def test_other_sentences_are_taken(text: str) -> None:
    assert why_refused(text) is None
