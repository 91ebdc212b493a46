"""Bodies: what is JSON, and that no message repeats what was sent."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.problems import Problem
from gateway.refusals import InvalidFields
from gateway.web.errors import problem_of
from gateway.web.request_body import DEPTH_MAX, BodyDecoder, convert, field_error, parse

SECRET = "4111 1111 1111 1111"

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))  # NUL is refused
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda child: st.lists(child, max_size=3) | st.dictionaries(texts, child, max_size=3),
    max_leaves=8,
)


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["a", "b"]


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    amount: Annotated[int, msgspec.Meta(ge=1, le=100)]
    text: Annotated[str, msgspec.Meta(max_length=5, pattern=r"^[a-z]*\Z")] = ""
    inner: Inner | None = None
    metadata: dict[str, Annotated[str, msgspec.Meta(max_length=3)]] = {}
    kinds: dict[Literal["x"], int] = {}


decoder = BodyDecoder(Outer)


@given(documents)
def test_json_is_read_as_what_it_is(document: Any) -> None:
    assert parse(json.dumps(document).encode()) == document


@given(st.binary(max_size=60))
def test_bytes_are_json_or_invalid_json_and_nothing_else(raw: bytes) -> None:
    try:
        parse(raw)
        decoder.decode(raw)
    except (Problem, InvalidFields):
        pass


def test_the_depth_is_counted_by_nesting_and_not_by_brackets() -> None:
    assert parse(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    assert parse(b"[" + b"{}," * 500 + b'"[[[[[[[[[[[[[[[[[[[["]')
    with pytest.raises(Problem, match="invalid_json"):
        parse(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1))


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"amount": SECRET}, "$.amount"),
        ({"amount": 1.5}, "$.amount"),
        ({"amount": True}, "$.amount"),
        ({"amount": 0}, "$.amount"),
        ({"amount": 2**63}, "$.amount"),
        ({"amount": 1, "text": SECRET}, "$.text"),
        ({"amount": 1, "text": "A"}, "$.text"),
        ({"amount": 1, SECRET: 1}, "$"),
        ({"amount": 1, "extra": SECRET}, "$.extra"),
        ({"amount": 1, "inner": {"kind": SECRET}}, "$.inner.kind"),
        ({"amount": 1, "inner": {"kind": "a", "more": 1}}, "$.inner.more"),
        ({"amount": 1, "inner": {}}, "$.inner.kind"),
        ({"amount": 1, "metadata": {SECRET: SECRET}}, "$.metadata[...]"),
        ({"amount": 1, "kinds": {SECRET: 1}}, "$.kinds"),
        ({"amount": 1, "inner": {"kind": f" - at `${SECRET}"}}, "$.inner.kind"),
        ({"amount": 1, "inner": {"kind": f" - at `key` in `$.{SECRET}`"}}, "$.inner.kind"),
        ({"amount": 1, f" - at `${SECRET}": 1}, "$"),
        ([SECRET], "$"),
        ({}, "$.amount"),
    ],
)
def test_the_path_is_named_and_the_value_is_not(document: Any, path: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        decoder.decode(msgspec.json.encode(document))
    (error,) = refused.value.errors or ()
    assert error.path == path
    assert error.message
    assert "4111" not in problem_of(refused.value).body().decode()


@given(st.text(min_size=6, alphabet=st.characters(exclude_categories=("Cs",))).map(lambda text: f"9{text}9"))
def test_no_text_that_was_sent_comes_back(text: str) -> None:
    for document in ({"amount": text}, {text: 1, "amount": 1}, {"amount": 1, "inner": {"kind": text}}):
        with pytest.raises(InvalidFields) as refused:
            decoder.decode(msgspec.json.encode(document))
        (error,) = refused.value.errors or ()
        assert text not in error.path + error.message


def test_a_message_we_do_not_know_keeps_its_path() -> None:
    assert field_error("Something else - at `$.a.b`").path == "$.a.b"


class Numbered(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=-5, le=2**63 - 1)] = 20
    reference: str | None = None
    amount: Annotated[int, msgspec.Meta(ge=1, extra={"a": "b"})] | None = None
    before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


ENDS = [
    *(
        "253402300799",
        "253402300800",
        "-62135596800",
        "-62135596801",
        "1e400",
        "nan",
        "-inf",
        "1700000000",
        "null",
    ),
    *(
        "9999-12-31T23:59:60Z",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-01",
        "2026-01-01T00:00:00",
    ),
    *("", "9" * 5_000, "2026-01-01T00:00:00+99:00"),
]


@pytest.mark.parametrize("name", ["limit", "amount", "before"])
@pytest.mark.parametrize("end", ENDS)
def test_a_time_or_number_that_cannot_be_is_refused(name: str, end: str) -> None:
    if name == "limit" and end in ("253402300799", "253402300800", "1700000000"):
        assert convert({name: end}, Numbered).limit == int(end)
        return
    if name == "amount" and end.isdecimal() and len(end) < 20:
        assert convert({name: end}, Numbered).amount == int(end)
        return
    with pytest.raises(InvalidFields) as refused:
        convert({name: end}, Numbered)
    assert [error.path for error in refused.value.errors or ()] == [f"$.{name}"]


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59"])
def test_a_time_at_the_end_of_all_years_is_one(end: str) -> None:
    assert convert({"before": end}, Numbered).before == datetime.fromisoformat(end)


@pytest.mark.parametrize("odd", ["1e2", "1E1", "100.0", "5.00", "100e-1", "-0", "+5", "05", " 5", "1_0", "0x10"])
def test_a_number_in_a_query_is_written_in_digits(odd: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        convert({"limit": odd}, Numbered)
    assert [error.path for error in refused.value.errors] == ["$.limit"]
    assert convert({"limit": "100", "reference": odd}, Numbered) == Numbered(100, odd)  # a text may be anything
