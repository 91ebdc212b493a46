"""Events on the wire: whatever stands in a record, it is an event or `Unreadable`, and nothing leaks from it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import EVENT_TYPES, Unreadable, decode, derived_id, encode, new_event, payment_type, trace_id
from schemas.samples import AT, CAPTURED
from schemas.states import STATES

HEADERS, VALUE = encode(new_event("payment.captured", "/test", "pay_1", CAPTURED, AT))
PAN = "4111111111111111"


def without(name: str) -> list[tuple[str, bytes]]:
    return [(key, content) for key, content in HEADERS if key != name]


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_time"])
def test_a_record_without_a_required_header_is_unreadable(name: str) -> None:
    with pytest.raises(Unreadable, match="missing header"):
        decode(without(name), VALUE)


@pytest.mark.parametrize(
    ("name", "content"),
    [("ce_type", b"payment.vanished"), ("ce_time", b"yesterday"), ("ce_id", b"\xff\xfe")],
)
def test_a_record_with_a_wrong_header_is_unreadable(name: str, content: bytes) -> None:
    with pytest.raises(Unreadable):
        decode([*without(name), (name, content)], VALUE)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"7",
        b"{}",
        b'{"sequence": "1"}',
        b"\xff",
        b"[" * 100_000,
        VALUE[:-5],
        VALUE.replace(b"1250", b"12.5"),
    ],
)
def test_a_value_that_is_no_such_event_is_unreadable(value: bytes | None) -> None:
    with pytest.raises(Unreadable):
        decode(HEADERS, value)


@given(
    st.lists(st.tuples(st.text(max_size=20), st.none() | st.binary(max_size=40))),
    st.none() | st.binary(max_size=200),
)
def test_anything_at_all_is_unreadable_and_raises_nothing_else(
    headers: list[tuple[str, bytes]], value: bytes | None
) -> None:
    with pytest.raises(Unreadable):
        decode(headers, value)


def test_the_error_quotes_nothing_of_the_record() -> None:
    with pytest.raises(Unreadable) as caught:
        decode(HEADERS, msgspec.json.encode({"sequence": PAN}))
    assert PAN not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_field_we_do_not_know_is_ignored() -> None:
    newer = msgspec.json.decode(VALUE) | {"added_in_1_7": True}
    assert decode(HEADERS, msgspec.json.encode(newer)).data == CAPTURED


def test_a_derived_id_is_the_same_on_every_repeat_and_differs_by_cause_and_kind() -> None:
    assert derived_id("evt_1", "risk") == derived_id("evt_1", "risk")
    assert len({derived_id(cause, kind) for cause in ("evt_1", "evt_2") for kind in ("risk", "mail")}) == 4


def test_every_state_but_processing_has_its_event() -> None:
    reached_by_name = {payment_type(state) for state in STATES} - {"payment.processing"}
    assert reached_by_name <= EVENT_TYPES.keys()


def test_a_trace_is_the_32_digits_of_a_well_formed_traceparent() -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    assert trace_id(f"00-{trace}-{span}-01") == trace
    malformed = [f"00-{trace}-{span}", f"00-{trace.upper()}-{span}-01", f"00-{'0' * 32}-{span}-01", PAN, "", None]
    assert [trace_id(traceparent) for traceparent in malformed] == [None] * len(malformed)
