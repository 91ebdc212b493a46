"""Kafka's records without Bytewax: the event in one, or its dead letter."""

import base64
import re

import msgspec

from schemas.cards import find_numbers
from schemas.events import (
    HEADERS,
    DeadLetter,
    Event,
    Headers,
    Tombstone,
    Unreadable,
    decode,
    derived_id,
    encode,
    new_event,
)
from schemas.times import from_micros, now
from schemas.topics import DEAD_LETTER, WITH_TOMBSTONES

# A card number of its own; digits inside an id, a hash or a fraction are not one.
LONE_NUMBER = re.compile(rb"\d(?<![\w.]\d)(?:[ -]?\d){12,18}(?!\w)")
DIGITS_AS_ZERO = bytes(48 if 48 <= byte < 58 else byte for byte in range(256))  # 48: ASCII 0
SHORTEST = b"0" * 13
TEXT_MAX = 256  # characters of a key or header that are kept

Place = tuple[str, int]  # topic, partition


class Record(msgspec.Struct, frozen=True):
    """One Kafka record as read. `timestamp_ms` is Kafka's own, milliseconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: Headers
    value: bytes | None
    timestamp_ms: int


class Out(msgspec.Struct, frozen=True):
    """One Kafka record to write."""

    topic: str
    key: bytes
    headers: Headers
    value: bytes


def out(topic: str, key: str, event: Event) -> Out:
    """The Kafka record of an event."""
    headers, value = encode(event)
    return Out(topic, key.encode(), headers, value)


def read(record: Record, source: str) -> Event | Out:
    """The event in a record, or the dead letter that `source` has to send instead.

    A record becomes a dead letter if it is unreadable, or holds a card number in clear, which must not go on. One
    without a value is a `Tombstone` on a compacted topic, and a dead letter elsewhere.
    """
    if record.value is None:
        return _tombstone(record, source) or dead_letter(record, "no value", source)
    if card_number_in(record.value):
        return dead_letter(record, "card number in clear", source)
    try:
        return decode(record.headers, record.value)
    except Unreadable as error:
        return dead_letter(record, str(error), source)


def _tombstone(record: Record, source: str) -> Event | None:
    """The tombstone in a record, whatever headers it has; None where it takes nothing away."""
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        return None
    if not key or record.topic not in WITH_TOMBSTONES:
        return None
    moment = from_micros(record.timestamp_ms * 1000)
    event_id = derived_id(f"{record.topic}/{record.partition}/{record.offset}", "tombstone")
    return Event(event_id, "tombstone", source, key, moment, Tombstone(record.topic, key, moment))


def event_id_of(headers: Headers) -> str:
    """The id of the event in a record, also of one that is unreadable; empty where it has none."""
    value = next((value for name, value in headers if name == "ce_id"), b"")
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def card_number_in(value: bytes) -> bool:
    """Whether `value` holds a card number. Takes 1 µs where no 13 digits are in a row."""
    if SHORTEST not in value.translate(DIGITS_AS_ZERO, b" -"):
        return False
    return any(find_numbers(number.decode()) for number in LONE_NUMBER.findall(value))


def dead_letter(record: Record, reason: str, source: str) -> Out:
    """The dead letter of `record`. Its id is derived from the position alone, so that a repeat is recognised."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    moment = now()
    value = _value_to_keep(record.value)
    key, headers = (None, None) if value is None else (_text_to_keep(record.key), _headers_to_keep(record.headers))
    letter = DeadLetter(record.topic, record.partition, record.offset, reason, value, moment, key, headers)
    id = derived_id(place, "dead_letter")
    return out(DEAD_LETTER.name, record.topic, new_event("dead_letter", source, place, letter, moment, id))


def _headers_to_keep(headers: Headers) -> dict[str, str]:
    """Those that an event has, as far as they are text without a card number."""
    texts = {name: _text_to_keep(value) for name, value in headers if name in HEADERS}
    return {name: text for name, text in texts.items() if text is not None}


def _text_to_keep(given: str | bytes | None) -> str | None:
    try:
        text = given.decode() if isinstance(given, bytes) else given
    except UnicodeDecodeError:
        return None
    return None if text is None or len(text) > TEXT_MAX or find_numbers(text) else text


def _value_to_keep(value: bytes | None) -> str | None:
    """The value in base64; None where it holds a card number, which no dead letter may repeat."""
    if value is None or find_numbers(value.decode(errors="replace")):
        return None
    return base64.b64encode(value).decode()
