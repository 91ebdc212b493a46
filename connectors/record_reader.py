"""One consumer for many partitions, which notices when a log is not the one any more that it read.

A broker that lost power may come back without its last records, and fill their offsets with new ones. The reader
knows the record before its place by Kafka's time of it. Where another record stands there, or none, it goes back
in time: records come again, and whoever reads them knows repeats.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from connectors.flow_metrics import FLOW
from connectors.kafka import answering, consumer, partitions
from connectors.kafka_login import Bootstrap
from connectors.records import Place, Record

DRAIN_MAX = 500  # records per poll: bounds how long a worker's other steps wait
GATHER_MAX = 5_000  # of one that gathers: what they make is written at once, and costs a worker most by the batch
WAIT_S = 0.1  # how long an idle worker waits in the consumer for the first record
BEAT_S = 1.0
BEAT_AGAIN_S = 0.2
ASK_S = 10.0
SILENT_S = 30.0  # whoever reads to an end gives up on a broker from which nothing comes for so long
LATEST_MS = 253_402_300_799_999  # the year 9999 ends: producers write any time, and Python knows no later one
BACK_MS = 60_000  # before the last record that was read: clocks of producers differ

# Errors that librdkafka recovers from by itself.
PASSING = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}

log = structlog.get_logger()


class OffsetGone(Exception):
    """The offset to resume at has expired: records would be skipped silently."""


class Bookmark(NamedTuple):
    """The next offset to read, and Kafka's time (milliseconds since 1970 UTC) of the record before it."""

    offset: int
    read_ms: int | None = None


T = TypeVar("T")
Bookmarks = Mapping[Place, Bookmark]


class RecordReader:
    """One consumer for many partitions: `add` them, then `poll`.

    `bookmarks` says where each partition is read on, `ends` where it ended when it was added, or earlier where it
    lost records since. `on_lag` is called about once a second with the number of unread records of each (a flow's
    heartbeat). `may_expire`: topics on which an expired offset means the earliest one; on others it raises
    `OffsetGone`.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        on_lag: Callable[[dict[Place, int]], None] | None = None,
        may_expire: Collection[str] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        statistics: dict[str, Any] = (
            {"stats_cb": self._on_statistics, "statistics.interval.ms": 1000} if on_lag else {}
        )
        self._consumer = consumer(bootstrap, **statistics, **(config or {}))
        self._answering = True
        self._on_lag = on_lag
        self._may_expire = may_expire
        self._next_beat = 0.0
        self._added: list[TopicPartition] = []
        self._unchecked: set[Place] = set()  # whose next record must be the one before the bookmark
        self._moved: set[Place] = set()  # in this poll: what else was fetched of them lies elsewhere
        self._epochs: dict[Place, int | None] = {}  # of the last record read: another one means a restarted broker
        self.bookmarks: dict[Place, Bookmark] = {}
        self.ends: dict[Place, int] = {}

    def add(self, place: Place, start: Bookmark | None = None, since_ms: int | None = None) -> None:
        """Read `place` on from `start`, or from its earliest record. Raises `OffsetGone`, `KafkaException`.

        With `since_ms` (Kafka's time) from the first record of then or later, unless `start` is an earlier one.
        """
        low, high = self._bounds(place)
        self.ends[place] = high
        mark = start or Bookmark(low)
        if since_ms is not None:
            since = self._offset_at(place, since_ms, high)
            mark = start if start and start.offset <= since else Bookmark(since)
        # Assigned by the next poll: a broker answers a connection's requests in order, so the request for the next
        # partition's bounds would wait behind a fetch of this one, which waits half a second for records.
        self._added.append(self._entered(place, self._within(place, mark, low, high), low))

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
            self._lower_ends()
            return []
        self._moved.clear()
        messages = [first, *self._consumer.consume((GATHER_MAX if gather_s else DRAIN_MAX) - 1, gather_s)]
        records = [record for message in messages if (record := self._take(message)) is not None]
        if self._on_lag:
            FLOW.count(records)
        return records

    def at_end(self) -> bool:
        """Whether all records up to `ends` have been read."""
        return all(self.bookmarks[place].offset >= end for place, end in self.ends.items())

    def lag(self) -> dict[Place, int] | None:
        """Unread records per partition, by the last fetches; None where those are out of date.

        The broker is not asked: under load that delayed the flow by half a second.
        """
        if not self._answering:
            return None
        lag: dict[Place, int] = {}
        for place, mark in self.bookmarks.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if end < 0:
                return None  # nothing was fetched from it yet
            lag[place] = max(0, end - mark.offset)
        return lag

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _lower_ends(self) -> None:
        """Wait for no record that a log lost after its end was asked for: nobody may ever fill its place."""
        unread = [place for place, end in self.ends.items() if self.bookmarks[place].offset < end]
        for place in unread:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if 0 <= high <= self.bookmarks[place].offset:
                self.ends[place] = high

    def _take(self, message: Message) -> Record | None:
        """The record in a message; None where it holds none, or the reader has to move first."""
        place = _place(message)
        if place in self._moved:
            return None
        if (error := message.error()) is not None:
            self._meet(place, error)
            return None
        record, mark, epoch = record_of(message), self.bookmarks[place], message.leader_epoch()
        if place in self._unchecked:
            self._unchecked.discard(place)
            if record.offset < mark.offset:
                if record.timestamp_ms != mark.read_ms:
                    self._move(place, self._back_in_time(place, mark, *self._bounds(place)))
                return None
        elif self._epochs.get(place, epoch) != epoch:
            self._move(place, mark)
            return None
        self.bookmarks[place], self._epochs[place] = Bookmark(record.offset + 1, record.timestamp_ms), epoch
        return record

    def _meet(self, place: Place, error: KafkaError) -> None:
        """Pass over an error that passes by itself. Raises `OffsetGone`, or `RuntimeError` for any other error."""
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            low, high = self._bounds(place)
            self._move(place, self._within(place, self.bookmarks[place], low, high), low)
        elif error.code() not in PASSING:
            raise RuntimeError(f"cannot read {place[0]}/{place[1]}: {error.str()}")

    def _move(self, place: Place, mark: Bookmark, low: int = 0) -> None:
        """Read a partition on from elsewhere. The broker is not asked: it may just be going away again."""
        self._moved.add(place)
        # Not a seek: that fails while the partition is in an error.
        self._consumer.incremental_unassign([TopicPartition(*place)])
        self._added.append(self._entered(place, mark, low))

    def _entered(self, place: Place, mark: Bookmark, low: int) -> TopicPartition:
        """Where to fetch from, to read on at a bookmark: at the record before it, where that can be checked."""
        self.bookmarks[place] = mark
        self._epochs.pop(place, None)
        self._unchecked.discard(place)
        if mark.read_ms is None or mark.offset <= low:
            return TopicPartition(*place, mark.offset)
        self._unchecked.add(place)
        return TopicPartition(*place, mark.offset - 1)

    def _within(self, place: Place, mark: Bookmark, low: int, high: int) -> Bookmark:
        """A bookmark that is in the log. Raises `OffsetGone` where its records have expired."""
        if mark.offset > high:
            return self._back_in_time(place, mark, low, high)
        if mark.offset >= low:
            return mark
        if place[0] not in self._may_expire:
            raise OffsetGone(f"{place[0]}/{place[1]}: {mark.offset} is outside of {low}..{high}")
        log.warning("offset.expired", topic=place[0], partition=place[1], offset=mark.offset, earliest=low)
        return Bookmark(low)

    def _back_in_time(self, place: Place, mark: Bookmark, low: int, high: int) -> Bookmark:
        """Where to read on in a log that lost the records before a bookmark: every later one is new."""
        back = low if mark.read_ms is None else self._offset_at(place, mark.read_ms - BACK_MS, high)
        log.error("log.replaced", topic=place[0], partition=place[1], offset=mark.offset, end=high, back_to=back)
        return Bookmark(back)

    def _offset_at(self, place: Place, moment_ms: int, high: int) -> int:
        """The offset of the first record of a moment or later; `high`, the end, where none is."""
        wanted = TopicPartition(*place, max(0, moment_ms))
        (found,) = _asked(lambda: self._consumer.offsets_for_times([wanted], timeout=ASK_S))
        return found.offset if found.offset >= 0 else high

    def _bounds(self, place: Place) -> tuple[int, int]:
        return _asked(lambda: self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=ASK_S))

    def _on_statistics(self, statistics: str) -> None:
        self._answering = answering(statistics)

    def _beat(self) -> None:
        if self._on_lag is None or time.monotonic() < self._next_beat:
            return
        lag = self.lag()
        if lag is not None:
            FLOW.show(lag, {place: mark.read_ms for place, mark in self.bookmarks.items()})
            self._on_lag(lag)
        self._next_beat = time.monotonic() + (BEAT_S if lag is not None else BEAT_AGAIN_S)


def _asked(ask: Callable[[], T]) -> T:
    """The broker's answer; asked again while a topic has no leader, as after it was created."""
    until = time.monotonic() + ASK_S
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def until_now(
    bootstrap: Bootstrap,
    topics: Iterable[str],
    since_ms: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> Iterator[list[Record]]:
    """The records of topics up to where each partition ends when this begins, some at a time, perhaps none.

    `since_ms`: from those of then on (Kafka's time); None: from the earliest. Raises as `RecordReader`, and
    `KafkaException` where nothing comes for `SILENT_S`.
    """
    reader = RecordReader(bootstrap, config=config)
    try:
        for place in places(bootstrap, topics):
            reader.add(place, since_ms=since_ms)
        yield from to_the_end(reader)
    finally:
        reader.close()


def to_the_end(reader: RecordReader, silent_s: float = SILENT_S) -> Iterator[list[Record]]:
    """What a reader has up to its `ends`. Raises `KafkaException` where nothing comes for `silent_s`."""
    heard_at = time.monotonic()
    while not reader.at_end():
        records = reader.poll()
        if not records and time.monotonic() - heard_at > silent_s:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record for {silent_s:.0f} s"))
        yield records
        if records:  # what the caller did with them is no silence
            heard_at = time.monotonic()


def places(bootstrap: Bootstrap, topics: Iterable[str]) -> list[Place]:
    """All partitions of `topics`. Raises `KafkaException` where the broker or a topic is unavailable."""
    client = consumer(bootstrap)
    try:
        return [(topic, number) for topic in topics for number in partitions(client, topic, ASK_S)]
    finally:
        client.close()


def _place(message: Message) -> Place:
    topic, partition = message.topic(), message.partition()
    assert topic is not None
    assert partition is not None, "what is read from a partition says which"
    return topic, partition


def record_of(message: Message) -> Record:
    """The record in a message that is no error."""
    # The stubs allow None where only an error has it, and headers in a shape that only a producer takes.
    fields: tuple[Any, ...] = (
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.headers() or [],
        message.value(),
        min(max(0, message.timestamp()[1]), LATEST_MS),
    )
    return Record(*fields)
