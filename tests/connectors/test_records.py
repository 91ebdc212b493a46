"""What is readable in a record, and what goes no further."""

from datetime import timedelta

import pytest

from connectors.records import Out, Record, card_number_in, dead_letter, out, read
from schemas.events import DeadLetter, Event, Headers, Tombstone, decode, new_event
from schemas.fraud import Label
from schemas.times import EPOCH, now
from schemas.topics import TOPICS, WITH_TOMBSTONES


def record(value: bytes | None, headers: list[tuple[str, bytes]] | None = None) -> Record:
    return Record("labels.v1", 2, 7, b"key", headers or [], value, 0)


def label() -> Event:
    data = Label("pay_1", "fp_1", "acc_1", "good", "test", 100, "EUR", None, 0.4111111111111111, "m", now(), now())
    return new_event("label.recorded", "/test", "pay_1", data, now())


def test_an_event_comes_out_as_it_went_in() -> None:
    sent = label()
    written = out("labels.v1", "fp_1", sent)
    assert written.key == b"fp_1"
    assert read(record(written.value, written.headers), "/test") == sent


@pytest.mark.parametrize(
    "value",
    [
        b'{"a": "4111111111111111"}',
        b'{"a": "4111 1111 1111 1111"}',
        b'{"a": "5555-5555-5555-4444"}',
        b'{"a": 4111111111111111}',
        b"4111111111111111",
        b'{"a": "paid with 4222222222222 today"}',
        b"\xff\xfe 4111111111111111 \xff",
    ],
)
def test_a_card_number_is_found(value: bytes) -> None:
    assert card_number_in(value)
    answer = read(record(value), "/test")
    assert isinstance(answer, Out)
    letter = decode(answer.headers, answer.value).data
    assert isinstance(letter, DeadLetter)
    assert letter.value is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'{"score": 0.4111111111111111}',
        b'{"hash": "a4111111111111111"}',
        b'{"hash": "4111111111111111a"}',
        b'{"id": "fp_4111111111111111"}',
        b'{"a": "4111111111111112"}',
        b'{"a": "1234567890123"}',
        b'{"at": "2026-11-23T12:00:00.123456Z", "n": 123456789012}',
        b'{"a": "4111111111111111111111"}',
    ],
)
def test_other_digits_are_no_card_number(value: bytes) -> None:
    assert not card_number_in(value)


def test_a_dead_letter_says_where_and_why_and_is_the_same_from_everyone() -> None:
    first = dead_letter(record(b"?"), "malformed", "/flows/fraud")
    second = dead_letter(record(b"?"), "malformed", "/flows/analytics")
    assert first.topic == "dead_letter.v1"
    assert first.key == b"labels.v1"
    event = decode(first.headers, first.value)
    assert event.id == decode(second.headers, second.value).id
    assert event.subject == "labels.v1/2/7"
    assert isinstance(event.data, DeadLetter)
    assert (event.data.reason, event.data.value) == ("malformed", "Pw==")


SET = [("ce_type", b"control.rule"), ("ce_id", b"evt_1")]


@pytest.mark.parametrize("headers", [[], SET])
@pytest.mark.parametrize("topic", sorted(WITH_TOMBSTONES))
def test_without_a_value_a_compacted_record_takes_away_what_its_key_names(topic: str, headers: Headers) -> None:
    found = read(Record(topic, 2, 7, b"rule_1", headers, None, 1_000), "/test")
    assert isinstance(found, Event)
    assert found.data == Tombstone(topic, "rule_1", EPOCH + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        *[(topic.name, b"key") for topic in TOPICS if topic.name not in WITH_TOMBSTONES],
        ("controls.v1", None),
        ("controls.v1", b""),
        ("controls.v1", b"\xff"),
    ],
)
def test_without_a_value_any_other_record_is_a_dead_letter_that_says_so(topic: str, key: bytes | None) -> None:
    found = read(Record(topic, 2, 7, key, [], None, 0), "/test")
    assert isinstance(found, Out)
    letter = decode(found.headers, found.value).data
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.value) == ("no value", None)


def test_a_dead_letter_keeps_key_and_attributes_of_its_record_but_no_card_number() -> None:
    sent = label()
    written = out("labels.v1", "fp_1", sent)
    headers: Headers = [*written.headers, ("authorization", b"secret"), ("ce_subject", b"of 4111 1111 1111 1111")]
    letter = decode(*_parts(dead_letter(record(b"?", headers), "malformed", "/test"))).data
    assert isinstance(letter, DeadLetter)
    assert letter.key == "key"
    assert letter.headers == {name: value.decode() for name, value in written.headers if name != "ce_subject"}  # type: ignore[union-attr]
    hidden = decode(*_parts(dead_letter(record(b"4111111111111111", headers), "malformed", "/test"))).data
    assert isinstance(hidden, DeadLetter)
    assert (hidden.value, hidden.key, hidden.headers) == (None, None, None)


def _parts(written: Out) -> tuple[Headers, bytes]:
    return written.headers, written.value
