"""Dead letters as they stand on Kafka: listed, the newest first, and the records they tell of sent again.

Nothing is kept of them anywhere else. A page costs as much however many there are: it reads the last records below
where the page before came to. Calls block: whoever has an event loop makes them in a thread.
"""

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from connectors.kafka import consumer, is_listening, partitions, producer
from connectors.kafka_login import Bootstrap
from connectors.record_reader import record_of
from connectors.records import Out, Record, read
from schemas.cards import mask_numbers
from schemas.events import DeadLetter, Unreadable, decode
from schemas.topic_rights import owner
from schemas.topics import DEAD_LETTER, TOPICS, WITH_TOMBSTONES

SOURCE = "/dead-letters"
WITHIN_S = 10.0  # that Kafka may take for a call
SENT_WITHIN_S = 10.0
POLL_S = 0.2
LETTER_ID = re.compile(r"dl_(\d{1,6})_(\d{1,18})")
REPLAYABLE = frozenset(topic.name for topic in TOPICS) - {DEAD_LETTER.name}
# By itself librdkafka fetches 64 MB of each partition ahead, and a fetch at an end waits for half a second.
FETCHED_AHEAD: dict[str, Any] = {"queued.max.messages.kbytes": 4_096, "fetch.wait.max.ms": 20}
UNREADABLE = "unreadable dead letter"

# `sent`: again. `unreadable`: still. `superseded`: its topic keeps the last word on a key, and has a later one.
# `gone`: neither its record is there any more, nor what the letter has of it. `not_ours`: its topic is another
# service's, whose password this process does not have.
ReplayOutcome = Literal["sent", "unreadable", "superseded", "gone", "not_ours"]
Bounds = Mapping[int, int]  # by partition of `dead_letter.v1`: the offset that a page ends before


class KafkaAway(Exception):
    """Kafka does not answer, or not in time."""


class FoundLetter(msgspec.Struct, frozen=True):
    """A dead letter. `topic`, `partition`, `offset`: of the record that nobody could read.

    `id` is the letter's own place. `event_id` is the same of all who set one record aside, `source` is who did.
    `data`: None where the letter itself is unreadable, and in lists: it holds the whole record. `timestamp_ms`:
    Kafka's time of it.
    """

    id: str
    event_id: str
    source: str
    topic: str
    partition: int
    offset: int
    reason: str
    timestamp_ms: int
    data: DeadLetter | None = None


class Replayed(msgspec.Struct, frozen=True):
    """What became of a replay; `reason`: why the record is still unreadable, or whose its topic is."""

    outcome: ReplayOutcome
    reason: str = ""


class DeadLetters:
    """A connection to Kafka for one thread; used with `with`. Its methods raise `KafkaAway`.

    `as_owner`: by which a topic is written in the name of the service whose word it is; None: by nothing here.
    """

    def __init__(self, bootstrap: Bootstrap, as_owner: Callable[[str], Bootstrap | None]) -> None:
        self._as_owner = as_owner
        if not is_listening(bootstrap):
            raise KafkaAway
        self._consumer = consumer(bootstrap, **FETCHED_AHEAD)
        self._producers: dict[Bootstrap, Producer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()
        if isinstance(error, KafkaException):
            raise KafkaAway from error

    def page(self, before: Bounds, most: int) -> tuple[list[FoundLetter], Bounds]:
        """Up to `most` letters below the bounds ({}: the newest), the newest first, and the bounds of the next.

        No bounds: there is no next.
        """
        starts, ends, lows = self._windows(before, most)
        windows: dict[int, list[FoundLetter]] = {number: [] for number in ends}
        for message in self._between(DEAD_LETTER.name, starts, ends):
            letter = _listed(message)
            windows[letter_place(letter.id)[0]].append(letter)
        found: list[FoundLetter] = []
        while len(found) < most and (newest := _newest(windows, starts, lows)) is not None:
            found.append(windows[newest].pop())
        bounds = {n: letter_place(w[-1].id)[1] + 1 if w else starts[n] for n, w in windows.items()}
        return found, bounds if any(bounds[n] > lows[n] for n in bounds) else {}

    def every(self) -> Iterator[FoundLetter]:
        """All letters there are, each partition in order."""
        starts, ends = self._bounds(DEAD_LETTER.name)
        for message in self._between(DEAD_LETTER.name, starts, ends):
            yield _listed(message)

    def letter(self, letter_id: str) -> FoundLetter | None:
        """The letter of this id; None where there is none, or none any more."""
        if LETTER_ID.fullmatch(letter_id) is None:
            return None
        message = self._message_at(DEAD_LETTER.name, *letter_place(letter_id))
        return None if message is None else _letter(message)

    def replay(self, letter: FoundLetter) -> Replayed:
        """Send the record of a letter to its topic again, as it was, where today's schemas read it.

        Its `ce_id` is the same: whoever knows it drops it. Nobody's record is believed to be what the letter says:
        topics of others, and what is not the record that was set aside, are left alone.
        """
        whole = letter if letter.data else self.letter(letter.id)
        if whole is None:
            return Replayed("gone")
        if whole.data is None or whole.topic not in REPLAYABLE:
            return Replayed("unreadable", whole.reason)
        record = self._record_of(whole.data)
        if record is None and self._was_compacted(whole.data):
            return Replayed("superseded")
        record = record or _kept(whole.data, whole.timestamp_ms)
        if record is None or not self._has_place(record):
            return Replayed("gone")
        answer = read(record, SOURCE)
        if isinstance(answer, Out):
            return Replayed("unreadable", _reason(answer))
        if record.topic in WITH_TOMBSTONES and self._is_superseded(record):
            return Replayed("superseded")
        bootstrap = self._as_owner(record.topic)
        if bootstrap is None:
            return Replayed("not_ours", f"only {owner(record.topic)} writes it, whose password is not here")
        self._send(record, bootstrap)
        return Replayed("sent")

    def _windows(self, before: Bounds, most: int) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
        lows, ends = self._bounds(DEAD_LETTER.name)
        ends = {number: max(lows[number], min(end, before.get(number, end))) for number, end in ends.items()}
        starts = {number: max(lows[number], end - most) for number, end in ends.items()}
        return starts, ends, lows

    def _bounds(self, topic: str) -> tuple[dict[int, int], dict[int, int]]:
        """The first offsets of a topic's partitions, and where they end."""
        lows, ends = {}, {}
        for number in partitions(self._consumer, topic, WITHIN_S):
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=WITHIN_S)
            lows[number], ends[number] = low, high
        return lows, ends

    def _between(self, topic: str, starts: Bounds, ends: Bounds) -> Iterator[Message]:
        """The records from some offsets on and before others. Raises `KafkaAway` when none comes for long."""
        left = {number: end for number, end in ends.items() if starts[number] < end}
        self._consumer.assign([TopicPartition(topic, number, starts[number]) for number in left])
        give_up = time.monotonic() + WITHIN_S
        while left:
            message = self._consumer.poll(POLL_S)
            if message is None or not _is_record(message):
                if time.monotonic() > give_up:
                    raise KafkaAway
                continue
            give_up = time.monotonic() + WITHIN_S
            number, offset = _place(message)
            if offset < left.get(number, 0):
                yield message
            if offset + 1 >= left.get(number, 0):
                left.pop(number, None)
        self._consumer.unassign()

    def _message_at(self, topic: str, number: int, offset: int) -> Message | None:
        if number not in partitions(self._consumer, topic, WITHIN_S):
            return None
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=WITHIN_S)
        if not low <= offset < high:
            return None
        for message in self._between(topic, {number: offset}, {number: high}):
            return message if _place(message)[1] == offset else None  # else it was compacted away
        return None

    def _record_of(self, letter: DeadLetter) -> Record | None:
        """The record at a letter's place; None where another one stands there, as after a log that lost some."""
        message = self._message_at(letter.topic, letter.partition, letter.offset)
        if message is None:
            return None
        record = record_of(message)
        kept = _bytes_of(letter)
        return None if kept is not None and kept != record.value else record

    def _has_place(self, record: Record) -> bool:
        """Whether its topic has its partition: a letter of somebody else's may name any number."""
        return record.partition in partitions(self._consumer, record.topic, WITHIN_S)

    def _was_compacted(self, letter: DeadLetter) -> bool:
        """Whether a letter's place is in a topic that keeps the last word on each key, and its record is not.

        A later word took it away; if that was a tombstone, Kafka may have taken that away too.
        """
        if letter.topic not in WITH_TOMBSTONES:
            return False
        return letter.offset < self._bounds(letter.topic)[1].get(letter.partition, 0)

    def _is_superseded(self, record: Record) -> bool:
        """Whether its topic, which keeps the last word on each key, has a later one."""
        _, ends = self._bounds(record.topic)
        start, end = {record.partition: record.offset + 1}, {record.partition: ends[record.partition]}
        return any(message.key() == record.key for message in self._between(record.topic, start, end))

    def _send(self, record: Record, bootstrap: Bootstrap) -> None:
        errors: list[KafkaError] = []
        sender = self._producers[bootstrap] = self._producers.get(bootstrap) or producer(bootstrap)

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                errors.append(error)

        headers: Any = [*record.headers]
        sender.produce(
            record.topic, record.value, record.key, record.partition, headers=headers, on_delivery=delivered
        )
        if sender.flush(SENT_WITHIN_S) or errors:
            raise KafkaAway


def letter_place(letter_id: str) -> tuple[int, int]:
    """Partition and offset of a letter on `dead_letter.v1`. Raises `ValueError`."""
    found = LETTER_ID.fullmatch(letter_id)
    if found is None:
        raise ValueError(letter_id)
    return int(found[1]), int(found[2])


def _newest(windows: Mapping[int, list[FoundLetter]], starts: Bounds, lows: Bounds) -> int | None:
    """The partition whose last letter is the newest; None at the end of one that goes on below its window."""
    if any(not window and starts[number] > lows[number] for number, window in windows.items()):
        return None
    last = {number: window[-1].timestamp_ms for number, window in windows.items() if window}
    return max(last, key=lambda number: last[number]) if last else None


def _listed(message: Message) -> FoundLetter:
    return msgspec.structs.replace(_letter(message), data=None)


def _letter(message: Message) -> FoundLetter:
    record = record_of(message)
    letter_id = f"dl_{record.partition}_{record.offset}"
    try:
        event = decode(record.headers, record.value)
    except Unreadable:
        event = None
    if event is None or not isinstance(event.data, DeadLetter):
        place = (record.topic, record.partition, record.offset)
        return FoundLetter(letter_id, "", "", *place, UNREADABLE, record.timestamp_ms)
    data = event.data
    return FoundLetter(
        letter_id,
        shown(event.id),
        shown(event.source),
        shown(data.topic),
        data.partition,
        data.offset,
        shown(data.reason),
        record.timestamp_ms,
        data,
    )


def shown(text: str) -> str:
    """A text that anybody may have written, as it may be shown: on one line, without card numbers."""
    return mask_numbers("".join(sign if sign.isprintable() else "�" for sign in text[:200]))


def _reason(out: Out) -> str:
    data = decode(out.headers, out.value).data
    assert isinstance(data, DeadLetter), "what `read` answers instead of an event"
    return shown(data.reason)


def _kept(letter: DeadLetter, timestamp_ms: int) -> Record | None:
    """The record as its letter has kept it."""
    value = _bytes_of(letter)
    if value is None or letter.headers is None or letter.key is None:
        return None
    headers: Any = [(name, text.encode()) for name, text in letter.headers.items()]
    key = letter.key.encode()
    return Record(letter.topic, letter.partition, letter.offset, key, headers, value, timestamp_ms)


def _bytes_of(letter: DeadLetter) -> bytes | None:
    try:
        return None if letter.value is None else base64.b64decode(letter.value)
    except ValueError:  # a letter of somebody else's
        return None


def _is_record(message: Message) -> bool:
    """Whether a message is none of librdkafka's errors, which pass by themselves or take until we give up."""
    return message.error() is None


def _place(message: Message) -> tuple[int, int]:
    number, offset = message.partition(), message.offset()
    assert number is not None
    assert offset is not None, "a record that was read has its place"
    return number, offset
