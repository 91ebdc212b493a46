"""Kafka for Bytewax: sources that resume exactly at a given offset, a sink that raises, decoding at the edge.

The stock connectors lose records silently in two cases (a broker that is down, an offset that expired) and use
half a core when idle. Here one consumer per worker reads all partitions of a source: it waits for the first
record, then drains what is available, so that no partition waits for an idle one. A worker has one thread: use one
`KafkaSource` with several topics instead of several sources.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog
from bytewax import operators as op
from bytewax.dataflow import Stream, operator
from bytewax.inputs import (
    DynamicSource,
    FixedPartitionedSource,
    StatefulSourcePartition,
    StatelessSourcePartition,
)
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.heartbeat import WorkerLags
from connectors.kafka import producer
from connectors.kafka_login import Bootstrap
from connectors.record_reader import WAIT_S, Bookmark, Bookmarks, OffsetGone, RecordReader, places
from connectors.records import Out, Place, Record, dead_letter, out, read
from schemas.events import Event

__all__ = [
    "BroadcastSource",
    "Decoded",
    "DeliveryFailed",
    "KafkaSink",
    "KafkaSource",
    "OffsetGone",
    "Out",
    "Record",
    "dead_letter",
    "decode_step",
    "out",
    "write_step",
]

LOOK_EVERY_S = 0.002  # of a worker that others send items to: it must not sleep in the consumer
ACK_S = 30.0  # a killed broker accepts writes again after 5 s

log = structlog.get_logger()


class DeliveryFailed(Exception):
    """Kafka did not acknowledge every record of a batch."""


Kept = tuple[int, int | None]  # a bookmark in the recovery store


class KafkaSource(FixedPartitionedSource[Record, int | Kept]):
    """Each Kafka partition is a Bytewax partition, so that workers share them; its state is a bookmark.

    Earlier releases kept the next offset alone.

    Without a state it begins at `start`, or at the earliest record where `start` does not name the partition.
    `on_lag` is called about once a second with the number of unread records of all workers of this process, unless
    one of them is silent. With `tail=False` the flow ends at the offsets where the topics ended when it began. An
    expired offset raises `OffsetGone`: no record is skipped. `alone`: no other worker sends this one anything, so
    that it may sleep while it waits for records.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        topics: str | Iterable[str],
        start: Bookmarks | None = None,
        on_lag: Callable[[int], None] | None = None,
        tail: bool = True,
        config: Mapping[str, Any] | None = None,
        alone: bool = True,
    ) -> None:
        self._topics = [topics] if isinstance(topics, str) else list(topics)
        self._start = start or {}
        self._tail, self._alone = tail, alone
        self._bootstrap, self._on_lag, self._config = bootstrap, on_lag, config
        self._worker = threading.local()
        self._lags = WorkerLags()

    def list_parts(self) -> list[str]:
        """All partitions, as `topic/partition`."""
        return [f"{topic}/{number}" for topic, number in places(self._bootstrap, self._topics)]

    def build_part(self, step_id: str, for_part: str, resume_state: int | Kept | None) -> "_KafkaPartition":
        """One partition, read by the consumer of this worker."""
        topic, _, number = for_part.rpartition("/")
        place = (topic, int(number))
        start = self._start.get(place) if resume_state is None else _bookmark(resume_state)
        return _KafkaPartition(self._shared(), place, start, self._tail)

    def _shared(self) -> "_SharedReader":
        if not hasattr(self._worker, "shared"):
            self._worker.shared = _SharedReader(
                RecordReader(self._bootstrap, self._report_lag, config=self._config), self._alone
            )
            self._lags.enter()
        shared: _SharedReader = self._worker.shared
        return shared

    def _report_lag(self, lag: Mapping[Place, int]) -> None:
        total = self._lags.told(sum(lag.values()))
        if self._on_lag and total is not None:
            self._on_lag(total)


class _SharedReader:
    """The consumer of a worker: its first open partition polls for all, the others take their own records."""

    def __init__(self, reader: RecordReader, alone: bool) -> None:
        self.reader, self._alone, self._next = reader, alone, 0.0
        self._waiting: dict[Place, list[Record]] = {}

    def open(self, place: Place, start: Bookmark | None) -> None:
        self.reader.add(place, start)
        self._waiting[place] = []

    def take(self, place: Place) -> list[Record]:
        # No poll while other partitions have records waiting: it made one verdict in eight 0.1 s late.
        if place == next(iter(self._waiting)) and not any(self._waiting.values()):
            self._poll()
        records, self._waiting[place] = self._waiting[place], []
        return records

    def close(self, place: Place) -> None:
        del self._waiting[place]
        if not self._waiting:
            self.reader.close()

    def _poll(self) -> None:
        if not self._alone:
            if monotonic() < self._next:
                return
            self._next = monotonic() + LOOK_EVERY_S
        for record in self.reader.poll(WAIT_S if self._alone else 0):
            waiting = self._waiting.get((record.topic, record.partition))
            if waiting is not None:  # a closed partition has reached its end
                waiting.append(record)


def _bookmark(kept: int | Kept) -> Bookmark:
    return Bookmark(kept) if isinstance(kept, int) else Bookmark(*kept)


class _KafkaPartition(StatefulSourcePartition[Record, int | Kept]):
    def __init__(self, shared: _SharedReader, place: Place, start: Bookmark | None, tail: bool) -> None:
        shared.open(place, start)
        self._shared, self._place = shared, place
        self._mark = shared.reader.bookmarks[place]
        self._end = None if tail else shared.reader.ends[place]

    def next_batch(self) -> list[Record]:
        if self._end is not None and self._mark.offset >= self._end:
            raise StopIteration
        records = self._shared.take(self._place)
        if records:
            self._mark = Bookmark(records[-1].offset + 1, records[-1].timestamp_ms)
        return records

    def snapshot(self) -> Kept:
        return (self._mark.offset, self._mark.read_ms)

    def close(self) -> None:
        self._shared.close(self._place)


class BroadcastSource(DynamicSource[Record]):
    """Every worker reads all partitions, from `start` or the earliest record. Bytewax stores no state.

    For a flow of one worker that stores the offsets beside its rows; `gather_s` is how long it waits for more
    records after the first of a batch. And for what every worker must know (`controls.v1`): with `every_s` it
    polls at that interval without waiting, so that it delays no other source, and its first batch is all records
    that were on the topics. `on_lag` is called with the lag of each partition. On the topics of `may_expire` an
    expired offset means the earliest one. Otherwise as `KafkaSource`.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        topics: str | Iterable[str],
        start: Bookmarks | None = None,
        on_lag: Callable[[Mapping[Place, int]], None] | None = None,
        tail: bool = True,
        every_s: float = 0,
        gather_s: float = 0,
        may_expire: Collection[str] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._topics = [topics] if isinstance(topics, str) else list(topics)
        self._start = start or {}
        self._tail, self._every_s, self._gather_s = tail, every_s, gather_s
        self._bootstrap, self._on_lag, self._may_expire, self._config = bootstrap, on_lag, may_expire, config

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "StatelessSourcePartition[Record]":
        """The consumer of this worker."""
        reader = RecordReader(self._bootstrap, self._on_lag, self._may_expire, self._config)
        for place in places(self._bootstrap, self._topics):
            reader.add(place, self._start.get(place))
        return (
            _PeriodicTopics(reader, self._every_s)
            if self._every_s
            else _WholeTopics(reader, self._tail, self._gather_s)
        )


class _WholeTopics(StatelessSourcePartition[Record]):
    def __init__(self, reader: RecordReader, tail: bool, gather_s: float) -> None:
        self._reader, self._tail, self._gather_s = reader, tail, gather_s

    def next_batch(self) -> list[Record]:
        if not self._tail and self._reader.at_end():
            raise StopIteration
        return self._reader.poll(gather_s=self._gather_s)

    def close(self) -> None:
        self._reader.close()


class _PeriodicTopics(StatelessSourcePartition[Record]):
    def __init__(self, reader: RecordReader, every_s: float) -> None:
        self._reader, self._every_s = reader, every_s
        self._next = monotonic()  # not the engine's `next_awake`: a clock set back would put it off by as much

    def next_batch(self) -> list[Record]:
        if monotonic() < self._next:
            return []
        records = self._reader.poll(0)
        while not self._reader.at_end():
            records += self._reader.poll()
        self._next = monotonic() + self._every_s
        return records

    def close(self) -> None:
        self._reader.close()


class KafkaSink(DynamicSink[Out]):
    """Writes records and waits until Kafka acknowledges all of a batch. Raises `DeliveryFailed`.

    In a `write_step` it waits for those of an epoch, at its end. A producer that gave up is replaced, and sends
    what is not settled: records may come twice, as after a restart.
    """

    def __init__(self, bootstrap: Bootstrap, ack_s: float = ACK_S) -> None:
        self._bootstrap, self._ack_s = bootstrap, ack_s

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_KafkaWriter":
        """The producer of this worker."""
        return _KafkaWriter(self._bootstrap, self._ack_s)


@operator
def write_step(step_id: str, up: Stream[Out], sink: DynamicSink[Out], key: str = "all") -> None:
    """Write to `sink`, by the worker of `key`, so that no epoch is finished before its records are acknowledged.

    An epoch is finished for Bytewax when all steps with a state are beyond it; a sink like ours has none
    (`write_recovery` in its `src/recovery.rs`, 0.21). What is still on its way to the sink then, be it that of
    another worker, would never be written if the flow were killed. So it is written by a step with a state, which
    waits for Kafka once, where the epoch ends: to wait after each batch costs a busy flow most of its time.
    """
    keyed = op.key_on("one writer", up, lambda _out: key)
    written = op.stateful_batch("write", keyed, lambda _state: _Writing(sink.build(step_id, 0, 1)))
    op.output("end", op.key_rm("nothing", written), _Nowhere())


class _Writing(StatefulBatchLogic[Out, Out, None]):
    """Other sinks than Kafka's have written what they were given when they return."""

    def __init__(self, part: StatelessSinkPartition[Out]) -> None:
        self._hand_over, self._settle = part.write_batch, _nothing
        if isinstance(part, _KafkaWriter):
            self._hand_over, self._settle = part.hand_over, part.settle

    def on_batch(self, values: list[Out]) -> tuple[list[Out], bool]:
        self._hand_over(values)
        return [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> None:
        self._settle()


def _nothing() -> None:
    pass


class _Nowhere(DynamicSink[Out]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_NothingWritten":
        return _NothingWritten()


class _NothingWritten(StatelessSinkPartition[Out]):
    def write_batch(self, items: list[Out]) -> None:
        raise AssertionError("nothing comes here")


class _KafkaWriter(StatelessSinkPartition[Out]):
    def __init__(self, bootstrap: Bootstrap, ack_s: float) -> None:
        self._bootstrap, self._ack_s = bootstrap, ack_s
        self._producer = self._new_producer()
        self._errors: list[KafkaError] = []
        self._unsettled: list[Out] = []

    def write_batch(self, items: list[Out]) -> None:
        self.hand_over(items)
        self.settle()

    def hand_over(self, items: list[Out]) -> None:
        """Begin to send records; what comes of it, `settle` tells."""
        self._unsettled += items
        self._or_anew(lambda: self._send(items))

    def settle(self) -> None:
        """Return once Kafka has acknowledged all that was handed over. Raises `DeliveryFailed`."""
        self._or_anew(self._await_acks)
        self._unsettled = []

    def _or_anew(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (KafkaException, SystemError) as error:  # it gave up for good, as after a broker that lost records
            log.warning("producer.replaced", error=type(error).__name__)
            self._producer, self._errors = self._new_producer(), []
            self._send(self._unsettled)
            self._await_acks()

    def _new_producer(self) -> Producer:
        return producer(self._bootstrap, **{"message.timeout.ms": int(self._ack_s * 1000)})

    def _send(self, items: list[Out]) -> None:
        for item in items:
            self._produce(item)
        self._producer.poll(0)

    def _await_acks(self) -> None:
        left = self._producer.flush(self._ack_s + 1)
        if self._errors or left:
            first = self._errors[0].str() if self._errors else "no answer"
            count = f"{len(self._errors) + left} of {len(self._unsettled)}"
            raise DeliveryFailed(f"{count} records not confirmed: {first}")

    def _produce(self, item: Out) -> None:
        while True:
            try:
                self._producer.produce(
                    item.topic, item.value, item.key, headers=[*item.headers], on_delivery=self._delivered
                )
            except BufferError:  # librdkafka's queue is full: wait for it to send
                self._producer.poll(0.1)
            else:
                return

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._errors.append(error)


@dataclass(frozen=True)
class Decoded:
    """The two streams of `decode_step`: readable records with their events, and dead letters of the others."""

    events: Stream[tuple[Record, Event]]
    dead_letters: Stream[Out]


@operator
def decode_step(step_id: str, up: Stream[Record], source: str) -> Decoded:
    """Decode at the edge, so that no unreadable record stops the flow. Dead letters name `source` as sender."""

    def decode(batch: list[Record]) -> list[tuple[Record, Event | Out]]:
        return [(record, read(record, source)) for record in batch]

    def readable(batch: list[tuple[Record, Event | Out]]) -> list[tuple[Record, Event]]:
        return [(record, answer) for record, answer in batch if isinstance(answer, Event)]

    def unreadable(batch: list[tuple[Record, Event | Out]]) -> list[Out]:
        return [answer for _, answer in batch if isinstance(answer, Out)]

    answers = op.flat_map_batch("decode", up, decode)
    return Decoded(
        op.flat_map_batch("readable", answers, readable), op.flat_map_batch("unreadable", answers, unreadable)
    )
