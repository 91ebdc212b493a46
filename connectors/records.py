"""Kafka's records without Bytewax: one consumer for many partitions, and the event or dead letter in a record."""

import base64
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka import answering, consumer, partitions
from schemas.cards import find_numbers
from schemas.events import DeadLetter, Event, Headers, Unreadable, decode, derived_id, encode, new_event
from schemas.times import now
from schemas.topics import DEAD_LETTER

DRAIN_MAX = 500  # records per poll: bounds how long a worker's other steps wait
WAIT_S = 0.1  # how long an idle worker waits in the consumer for the first record
BEAT_S = 1.0
BEAT_AGAIN_S = 0.2
ASK_S = 10.0

# Errors that librdkafka recovers from by itself.
PASSING = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}

# A card number of its own; digits inside an id, a hash or a fraction are not one.
LONE_NUMBER = re.compile(rb"\d(?<![\w.]\d)(?:[ -]?\d){12,18}(?!\w)")
DIGITS_AS_ZERO = bytes(48 if 48 <= byte < 58 else byte for byte in range(256))  # 48: ASCII 0
SHORTEST = b"0" * 13

Place = tuple[str, int]  # topic, partition
Offsets = Mapping[Place, int]  # the next offset to read

log = structlog.get_logger()


class OffsetGone(Exception):
    """The offset to resume at is not in the log, or not any more: records would be skipped silently."""


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


class RecordReader:
    """One consumer for many partitions: `add` them, then `poll`.

    `positions` holds the next offset of each partition, `ends` the offset where it ended when it was added.
    `on_lag` is called about once a second with the number of unread records of each (a flow's heartbeat).
    `may_expire`: topics on which an expired offset means the earliest one; on others it raises `OffsetGone`.
    """

    def __init__(
        self,
        bootstrap: str,
        on_lag: Callable[[dict[Place, int]], None] | None = None,
        may_expire: Collection[str] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        statistics: dict[str, Any] = (
            {"stats_cb": self._on_statistics, "statistics.interval.ms": 1000} if on_lag else {}
        )
        self._consumer = consumer(bootstrap, error_cb=_log_error, **statistics, **(config or {}))
        self._answering = True
        self._on_lag = on_lag
        self._may_expire = may_expire
        self._next_beat = 0.0
        self._added: list[TopicPartition] = []
        self.positions: dict[Place, int] = {}
        self.ends: dict[Place, int] = {}

    def add(self, place: Place, offset: int | None = None) -> None:
        """Read `place` from `offset`, or from its earliest record. Raises `OffsetGone`, `KafkaException`."""
        low, high = self._bounds(place)
        first = low if offset is None else offset
        if first < low and place[0] in self._may_expire:
            log.warning("offset.expired", topic=place[0], partition=place[1], offset=first, earliest=low)
            first = low
        if not low <= first <= high:
            raise OffsetGone(f"{place[0]}/{place[1]}: {first} is outside of {low}..{high}")
        self.positions[place], self.ends[place] = first, high
        # Assigned by the next poll: a broker answers a connection's requests in order, so the request for the next
        # partition's bounds would wait behind a fetch of this one, which waits half a second for records.
        self._added.append(TopicPartition(*place, first))

    def poll(self, wait_s: float = WAIT_S, gather_s: float = 0) -> list[Record]:
        """The available records; waits up to `wait_s` for the first, then `gather_s` for more.

        Raises `OffsetGone`, `RuntimeError`.
        """
        if self._added:
            self._consumer.incremental_assign(self._added)
            self._added = []
        self._beat()
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(DRAIN_MAX - 1, gather_s)]
        records = [_record(message) for message in messages if not _passing(message)]
        self.positions.update({(r.topic, r.partition): r.offset + 1 for r in records})
        return records

    def at_end(self) -> bool:
        """Whether all records up to `ends` have been read."""
        return all(self.positions[place] >= end for place, end in self.ends.items())

    def lag(self) -> dict[Place, int] | None:
        """Unread records per partition, by the last fetches; None where those are out of date.

        The broker is not asked: under load that delayed the flow by half a second.
        """
        if not self._answering:
            return None
        lag: dict[Place, int] = {}
        for place, position in self.positions.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if end < 0:
                return None  # nothing was fetched from it yet
            lag[place] = max(0, end - position)
        return lag

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _bounds(self, place: Place) -> tuple[int, int]:
        until = time.monotonic() + ASK_S
        while True:
            try:
                bounds: tuple[int, int] = self._consumer.get_watermark_offsets(
                    TopicPartition(*place), timeout=ASK_S
                )
                return bounds
            except KafkaException:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)  # a topic that was just created has no leader yet

    def _on_statistics(self, statistics: str) -> None:
        self._answering = answering(statistics)

    def _beat(self) -> None:
        if self._on_lag is None or time.monotonic() < self._next_beat:
            return
        lag = self.lag()
        if lag is not None:
            self._on_lag(lag)
        self._next_beat = time.monotonic() + (BEAT_S if lag is not None else BEAT_AGAIN_S)


def places(bootstrap: str, topics: Iterable[str]) -> list[Place]:
    """All partitions of `topics`. Raises `KafkaException` where the broker or a topic is unavailable."""
    client = consumer(bootstrap)
    try:
        return [(topic, number) for topic in topics for number in partitions(client, topic, ASK_S)]
    finally:
        client.close()


def out(topic: str, key: str, event: Event) -> Out:
    """The Kafka record of an event."""
    headers, value = encode(event)
    return Out(topic, key.encode(), headers, value)


def read(record: Record, source: str) -> Event | Out:
    """The event in a record, or the dead letter that `source` has to send instead.

    A record becomes a dead letter if it is unreadable, or holds a card number in clear, which must not go on.
    """
    if card_number_in(record.value or b""):
        return dead_letter(record, "card number in clear", source)
    try:
        return decode(record.headers, record.value)
    except Unreadable as error:
        return dead_letter(record, str(error), source)


def card_number_in(value: bytes) -> bool:
    """Whether `value` holds a card number. Takes 1 µs where no 13 digits are in a row."""
    if SHORTEST not in value.translate(DIGITS_AS_ZERO, b" -"):
        return False
    return any(find_numbers(number.decode()) for number in LONE_NUMBER.findall(value))


def dead_letter(record: Record, reason: str, source: str) -> Out:
    """The dead letter of `record`. Its id is derived from the position alone, so that a repeat is recognised."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    moment = now()
    letter = DeadLetter(
        record.topic, record.partition, record.offset, reason, _value_to_keep(record.value), moment
    )
    id = derived_id(place, "dead_letter")
    return out(DEAD_LETTER.name, record.topic, new_event("dead_letter", source, place, letter, moment, id))


def _value_to_keep(value: bytes | None) -> str | None:
    """The value in base64; None where it holds a card number, which no dead letter may repeat."""
    if value is None or find_numbers(value.decode(errors="replace")):
        return None
    return base64.b64encode(value).decode()


def _record(message: Message) -> Record:
    # The stubs allow None where only an error has it, and headers in a shape that only a producer takes.
    fields: tuple[Any, ...] = (
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.headers() or [],
        message.value(),
        message.timestamp()[1],
    )
    return Record(*fields)


def _passing(message: Message) -> bool:
    """Whether `message` is an error that passes by itself. Raises for any other error."""
    error = message.error()
    if error is None or error.code() in PASSING:
        return error is not None
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise OffsetGone(f"{message.topic()}/{message.partition()}: {error.str()}")
    raise RuntimeError(f"cannot read {message.topic()}/{message.partition()}: {error.str()}")


def _log_error(error: KafkaError) -> None:
    log.warning("kafka.unavailable", error=error.str())
