"""What a producer raises: the relay goes on, with a new producer where the old one gave up, and loses nothing."""

import asyncio
import ctypes
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from sqlalchemy import Connection

from gateway.books.opening import open_books
from gateway.books.outbox import OutboxRow, Unpublished, select_unpublished
from tests.gateway.conftest import Gateway
from tests.gateway.databases import Databases
from tests.gateway.events.test_outbox_relay import add, assert_in_order, drained, read, relay_of, write_all
from tests.patience import eventually

OUT_OF_ORDER = 45  # OUT_OF_ORDER_SEQUENCE_NUMBER: the first thing that an idempotent producer gives up for


@pytest.fixture
def url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """Books without rows."""
    return databases.empty("sqlite", tmp_path)


def give_up(client: Producer) -> None:
    """Raise a fatal error in librdkafka itself, by the function that it has for tests."""
    spec = find_spec("confluent_kafka")
    assert spec
    assert spec.origin
    (library,) = (Path(spec.origin).parents[1] / "confluent_kafka.libs").glob("librdkafka-*.so*")
    handle = ctypes.c_void_p.from_address(id(client) + object.__basicsize__).value
    ctypes.CDLL(str(library)).rd_kafka_test_fatal_error(ctypes.c_void_p(handle), OUT_OF_ORDER, b"of a test")


async def test_a_producer_that_gave_up_is_replaced(kafka: str, new_topic: Callable[..., str], url: str) -> None:
    topic = new_topic(3)
    books = open_books(url)
    relay = await relay_of(books, kafka)
    books.listener = relay.publish
    await books.write(add, topic, 0, 1)
    first = relay._producer
    give_up(first)
    await write_all(books, topic)
    await drained(books)
    assert relay._producer is not first
    assert_in_order(read(kafka, topic, 3))
    await eventually(lambda: relay._direct)  # and goes on as before
    await relay.close()
    await books.close()


async def test_what_was_dropped_while_the_sweep_read_is_not_overtaken(
    new_topic: Callable[..., str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = new_topic()
    books = open_books(url)
    relay = await relay_of(books, "localhost:1")
    books.listener = relay.publish
    await eventually(lambda: relay._direct)
    await books.write(add, topic, 0, 1)
    first = relay._producer

    def read_and_fail(conn: Connection, *asked: Any) -> list[Unpublished]:
        rows = select_unpublished(conn, *asked)
        relay._replace(first)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr("gateway.events.outbox_relay.select_unpublished", read_and_fail)
        await relay._send_unpublished()
    await books.write(add, topic, 0, 2)
    await eventually(lambda: len(relay._queued.get("pay-0", ())) == 2)
    assert [row.sequence for row in relay._queued["pay-0"]] == [1, 2]
    await relay.close()
    await books.close()


@pytest.mark.parametrize(
    "error", [KafkaException(KafkaError(KafkaError._STATE)), BufferError(), ValueError("a row it cannot take")]
)
async def test_whatever_it_raises_keeps_rows_of_its_own_subject_alone(
    kafka: str, new_topic: Callable[..., str], url: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = new_topic(3)
    books = open_books(url)
    relay = await relay_of(books, kafka)
    books.listener = relay.publish
    refusing = Refusing(relay._producer, error)
    monkeypatch.setattr(relay, "_producer", refusing)
    await write_all(books, topic)
    await drained(books)
    assert refusing.left == 0
    assert_in_order(read(kafka, topic, 3))
    await relay.close()
    await books.close()


@pytest.mark.parametrize("full_at", [1, 2, 3])
async def test_a_full_queue_in_the_middle_of_a_batch_lets_no_later_event_of_a_payment_go_first(
    url: str, full_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room again for its next events, at once or once an earlier one was acknowledged."""
    books = open_books(url)
    relay = await relay_of(books, "localhost:1")
    full = Full(full_at)
    monkeypatch.setattr(relay, "_producer", full)
    await eventually(lambda: relay._direct)
    relay.publish([event("a", 1), event("a", 2), event("b", 1), event("a", 3), event("b", 2)])
    for _ in range(3):
        full.acknowledge()
        await asyncio.sleep(0)
    assert full.sent["a"] == list(range(1, full_at))
    assert full.sent["b"] == [1, 2]
    await relay.close()
    await books.close()


def event(subject: str, sequence: int) -> Unpublished:
    return Unpublished(OutboxRow(0, f"evt_{subject}_{sequence}", "t", "key", "x", subject, sequence, b"", None, 0))


class Full:
    """A producer without room for one event of the payment `a`; it has room for all others."""

    def __init__(self, at: int) -> None:
        self.sent: dict[str, list[int]] = {"a": [], "b": []}
        self._at, self._in_flight = at, list[Callable[[None, None], None]]()

    def produce(self, *_record: Any, headers: Any, on_delivery: Callable[[None, None], None]) -> None:
        _, subject, sequence = dict(headers)["ce_id"].decode().split("_")
        if (subject, int(sequence)) == ("a", self._at):
            raise BufferError
        self.sent[subject].append(int(sequence))
        self._in_flight.append(on_delivery)

    def acknowledge(self) -> None:
        """Say that all that is in flight has arrived."""
        arrived, self._in_flight = self._in_flight, []
        for deliver in arrived:
            deliver(None, None)

    def poll(self, _timeout_s: float) -> None:
        """Nothing."""

    def flush(self, _timeout_s: float) -> None:
        """Nothing."""


async def test_a_listener_that_raises_stops_no_writer_and_lets_no_later_event_overtake(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    books, relay = gateway.runtime.books, gateway.runtime.relay

    def refuse(_events: list[Unpublished]) -> None:
        raise KafkaException(KafkaError(KafkaError._FATAL))

    await eventually(lambda: relay._direct)
    with monkeypatch.context() as patch:
        patch.setattr(relay, "publish", refuse)
        await books.write(add, "payments.v1", 0, 1)
    await books.write(add, "payments.v1", 0, 2)
    await eventually(lambda: [row.sequence for row in relay._queued.get("pay-0", ())] == [1, 2])


class Refusing:
    """A producer that refuses rows of one payment at first."""

    def __init__(self, client: Producer, error: Exception) -> None:
        self.left = 5
        self._client, self._error = client, error

    def produce(self, topic: str, value: bytes, key: str, **more: Any) -> None:
        if key == "key-0" and self.left:
            self.left -= 1
            raise self._error
        self._client.produce(topic, value, key, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
