"""A reader whose log came back without its last records, as after the loss of the broker's power."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, KafkaException, Message
from structlog.testing import capture_logs

from connectors.kafka import ErrorLog, create_topics, producer
from connectors.record_reader import Bookmark, RecordReader, record_of, to_the_end, until_now
from connectors.records import Record
from schemas.times import from_micros
from schemas.topics import Topic
from sluice.broker_properties import Broker
from tests import brokers
from tests.brokers import as_admin, new_node
from tests.patience import until

TOPIC = Topic("lossy", "", "", (), {})
PLACES = [(TOPIC.name, number) for number in range(TOPIC.partitions)]
GROWN, SHORT, WHOLE = PLACES[:3]  # partitions: past its old end, short of it, and one that lost nothing
OLD, LOST = 4, 3


@contextmanager
def running(node: Broker, jars: list[Path]) -> Iterator[None]:
    with brokers.running(node, jars):
        create_topics(as_admin(node), [TOPIC])
        yield


def put(node: Broker, place: tuple[str, int], kind: str, count: int) -> None:
    client = producer(as_admin(node))
    for number in range(count):
        client.produce(place[0], f"{kind}{number}".encode(), partition=place[1])
    assert client.flush(60) == 0


def read(reader: RecordReader, enough: Callable[[list[Record]], bool]) -> list[Record]:
    records: list[Record] = []

    def has_enough() -> bool:
        records.extend(reader.poll())
        return enough(records)

    until(has_enough)
    return records


def values(records: list[Record], place: tuple[str, int]) -> list[str]:
    return [(r.value or b"").decode() for r in records if (r.topic, r.partition) == place]


@pytest.mark.stack
def test_a_log_that_lost_records_is_read_from_before_them(
    tmp_path: Path, class_path: list[Path], free_ports: Callable[[int], list[int]]
) -> None:
    node = new_node(tmp_path, free_ports)
    live, waiting = RecordReader(as_admin(node)), RecordReader(as_admin(node))
    with running(node, class_path):
        for place in (GROWN, SHORT, WHOLE):
            put(node, place, "old", OLD)
            live.add(place)
        shutil.copytree(node.directory / "data", tmp_path / "earlier")
        for place in (GROWN, SHORT):
            put(node, place, "lost", LOST)
        read(live, lambda records: len(records) == 3 * OLD + 2 * LOST)
        waiting.add(SHORT)
    marks = dict(live.bookmarks)
    assert {place: mark.offset for place, mark in marks.items()} == {
        GROWN: OLD + LOST,
        SHORT: OLD + LOST,
        WHOLE: OLD,
    }
    shutil.rmtree(node.directory / "data")
    shutil.move(tmp_path / "earlier", node.directory / "data")
    with running(node, class_path):
        put(node, GROWN, "new", LOST + 2)
        put(node, SHORT, "new", LOST - 1)
        put(node, WHOLE, "new", 1)
        resumed, earlier_release = RecordReader(as_admin(node)), RecordReader(as_admin(node))
        for place, mark in marks.items():
            resumed.add(place, mark)
        earlier_release.add(SHORT, Bookmark(marks[SHORT].offset))
        with capture_logs() as logs:
            for reader in (live, resumed):
                found = read(reader, lambda records: sum("new" in str(r.value) for r in records) == 2 * LOST + 2)
                assert values(found, GROWN)[-LOST - 2 :] == [f"new{n}" for n in range(LOST + 2)]
                assert values(found, SHORT)[-LOST + 1 :] == [f"new{n}" for n in range(LOST - 1)]
                assert values(found, WHOLE) == ["new0"], "it lost nothing, so nothing is read again"
        replaced = [(line["partition"], line["offset"]) for line in logs if line["event"] == "log.replaced"]
        assert sorted(set(replaced)) == [(GROWN[1], OLD + LOST), (SHORT[1], OLD + LOST)]
        there = read(waiting, lambda _: waiting.at_end())
        assert len(there) == OLD + LOST - 1, "it waits for none of the lost"
        again = read(earlier_release, lambda records: "new1" in values(records, SHORT))
        assert values(again, SHORT) == [f"old{n}" for n in range(OLD)] + [f"new{n}" for n in range(LOST - 1)]
        for reader in (live, resumed, earlier_release, waiting):
            reader.close()


def test_a_restart_that_lost_nothing_repeats_nothing(new_topic: Callable[..., str], kafka: str) -> None:
    topic = new_topic()
    client = producer(kafka)
    client.produce(topic, b"one")
    assert client.flush(60) == 0
    reader = RecordReader(kafka)
    reader.add((topic, 0))
    read(reader, lambda records: len(records) == 1)
    mark = reader.bookmarks[(topic, 0)]
    reader.close()
    resumed = RecordReader(kafka)
    resumed.add((topic, 0), mark)
    client.produce(topic, b"two")
    assert client.flush(60) == 0
    assert values(read(resumed, lambda records: bool(records)), (topic, 0)) == ["two"]
    resumed.close()


@pytest.mark.parametrize(
    ("start", "since_ms", "first"),
    [
        (None, 2_000, "two"),
        (Bookmark(0), 2_000, "one"),
        (Bookmark(2, 2_000), 1_000, "one"),
        (Bookmark(2, 2_000), 9_000, "three"),
        (None, 9_000, "later"),
    ],
)
def test_it_reads_from_the_earlier_of_a_bookmark_and_a_moment(
    new_topic: Callable[..., str], kafka: str, start: Bookmark | None, since_ms: int, first: str
) -> None:
    topic, reader, client = new_topic(), RecordReader(kafka), producer(kafka)
    for number, value in enumerate(("one", "two", "three"), 1):
        client.produce(topic, value.encode(), timestamp=1_000 * number, partition=0)
    assert client.flush(60) == 0
    reader.add((topic, 0), start, since_ms)
    client.produce(topic, b"later", timestamp=8_000, partition=0)
    assert client.flush(60) == 0
    assert values(read(reader, lambda records: bool(records)), (topic, 0))[0] == first
    reader.close()


@pytest.mark.stack
def test_reading_to_the_end_gives_up_on_a_broker_that_is_gone(new_topic: Callable[..., str], kafka: str) -> None:
    topic = new_topic()
    sender = producer(kafka)
    sender.produce(topic, b"one", "key", 0)
    assert sender.flush(10) == 0
    assert [record.value for found in until_now(kafka, [topic]) for record in found] == [b"one"]
    reader = RecordReader(kafka)
    reader.add((topic, 0))
    reader.ends[topic, 0] = 2  # a record that nobody sends any more
    reader._lower_ends = lambda: None  # type: ignore[method-assign] # by which the broker would tell of it
    with pytest.raises(KafkaException, match="no record for 0 s"):
        list(to_the_end(reader, silent_s=0.01))
    reader.close()


def test_a_broker_that_goes_away_again_ends_nobody(
    tmp_path: Path,
    class_path: list[Path],
    free_ports: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = new_node(tmp_path, free_ports)
    reader = RecordReader(as_admin(node))
    with running(node, class_path):
        put(node, WHOLE, "old", OLD)
        reader.add(WHOLE)
        read(reader, lambda records: len(records) == OLD)

    def is_away(*_: object) -> NoReturn:
        raise KafkaException("the broker is away again")

    monkeypatch.setattr(reader, "_bounds", is_away)
    with running(node, class_path):  # under a new epoch, after which each partition is looked at
        put(node, WHOLE, "new", 2)
        found = read(reader, lambda records: len(records) == 2)
    assert values(found, WHOLE) == ["new0", "new1"]
    reader.close()


def test_an_error_that_repeats_is_logged_once_for_a_while() -> None:
    errors = ErrorLog("localhost:1")
    with capture_logs() as logs:
        for code in (KafkaError._TRANSPORT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
            errors(KafkaError(code))
    assert [line["event"] for line in logs] == ["kafka.unavailable"] * 2


@pytest.mark.parametrize(
    ("written", "year"), [(2**62, 9999), (-(2**62), 1970), (-1, 1970), (1_795_000_000_000, 2026)]
)
def test_whatever_time_a_producer_writes_is_one_that_python_knows(written: int, year: int) -> None:
    """An older broker takes any time of a record; one that no datetime can be made of would stop its readers."""
    message = Message("topic", 0, 0, key=b"k", value=b"v", headers=[], timestamp=(TIMESTAMP_CREATE_TIME, written))
    assert from_micros(record_of(message).timestamp_ms * 1000).year == year
