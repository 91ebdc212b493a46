"""The relay over a real broker: all that is committed is published, in order per payment, whatever happens."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from connectors.kafka import consumer
from gateway.books.engine import Books
from gateway.books.opening import open_books
from gateway.books.outbox import Unpublished, add_event, mark_published, measure_backlog, select_unpublished
from gateway.books.worker_lease import WorkerLease
from gateway.events.outbox_relay import OutboxRelay
from schemas.ids import new_id
from schemas.samples import INITIATED
from schemas.times import now_micros
from tests.gateway.databases import Databases, Kind
from tests.patience import eventually

PAYMENTS = 20
EACH = 5


@pytest.fixture
def url(databases: Databases, database: Kind, tmp_path: Path) -> Iterator[str]:
    """Books without rows."""
    made = databases.empty(database, tmp_path)
    yield made
    databases.drop(made)


async def relay_of(
    books: Books, bootstrap: str, name: str = "gateway", lease_us: int | None = None
) -> OutboxRelay:
    """The relay of a gateway that has just started, in place of the one that had its name."""
    worker = WorkerLease(books, new_id("wrk"), name, lease_us, lambda: None)
    await worker.open()
    return OutboxRelay(books, bootstrap, worker)


def add(conn: Connection, topic: str, payment: int, sequence: int) -> None:
    """Write one event of a payment; its record can be told by its sequence."""
    add_event(
        conn,
        topic=topic,
        key=f"key-{payment}",
        type="payment.initiated",
        subject_id=f"pay-{payment}",
        sequence=sequence,
        data=msgspec.structs.replace(INITIATED, sequence=sequence),
        traceparent=None,
        now=now_micros(),
    )


async def write_all(books: Books, topic: str) -> None:
    """Write every payment's events in order, all payments at once."""

    async def one(payment: int) -> None:
        for sequence in range(1, EACH + 1):
            await books.write(add, topic, payment, sequence)

    await asyncio.gather(*[one(payment) for payment in range(PAYMENTS)])


async def drained(books: Books) -> None:
    async def is_empty() -> bool:
        return not (await books.read(measure_backlog)).rows

    await eventually(is_empty)


def read(bootstrap: str, topic: str, partitions: int) -> dict[str, list[int]]:
    """The sequences of each payment as they stand on the topic, repeats left out."""
    client = consumer(bootstrap)
    client.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    seen: dict[str, list[int]] = defaultdict(list)
    while sum(map(len, seen.values())) < PAYMENTS * EACH:
        for message in client.consume(500, 0.2):
            sequence = msgspec.json.decode(message.value())["sequence"]
            if sequence not in seen[message.key().decode()]:
                seen[message.key().decode()].append(sequence)
    client.close()
    return seen


@asynccontextmanager
async def publishing(books: Books, kafka: str) -> AsyncIterator[None]:
    """A relay that hears of what is committed, until all of it is on Kafka; then the books are closed as well."""
    relay = await relay_of(books, kafka)
    books.listener = relay.publish
    yield
    await drained(books)
    await relay.close()
    await books.close()


def assert_in_order(seen: dict[str, list[int]]) -> None:
    assert set(map(tuple, seen.values())) == {tuple(range(1, EACH + 1))}


async def test_what_is_committed_is_published_in_order(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(3)
    books = open_books(url)
    async with publishing(books, kafka):
        await write_all(books, topic)
    assert_in_order(read(kafka, topic, 3))


async def test_what_kafka_missed_goes_out_in_order_after_a_restart(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(3)
    books = open_books(url)
    away = await relay_of(books, "localhost:1")
    books.listener = away.publish
    await write_all(books, topic)
    assert (await books.read(measure_backlog)).rows == PAYMENTS * EACH
    await away.close()
    async with publishing(books, kafka):
        pass
    assert_in_order(read(kafka, topic, 3))


@pytest.mark.parametrize("hours", [-1, 3])
async def test_rows_go_out_in_order_where_the_clock_was_set_between_them(
    kafka: str, new_topic: Callable[..., str], url: str, set_clock: Callable[[float], None], hours: float
) -> None:
    topic = new_topic(1)
    books = open_books(url)
    for sequence in range(1, EACH + 1):
        for payment in range(PAYMENTS):
            await books.write(add, topic, payment, sequence)  # nobody listens: as after a crash
        set_clock(hours)
    async with publishing(books, kafka):
        pass
    assert_in_order(read(kafka, topic, 1))


async def test_the_sweep_finds_a_lost_row_soon_whatever_its_time(
    kafka: str, new_topic: Callable[..., str], url: str, set_clock: Callable[[float], None]
) -> None:
    topic = new_topic(1)
    books = open_books(url)
    async with publishing(books, kafka):
        await eventually(lambda: _publishes_at_once(books))
        books.listener = lambda facts: None
        await books.write(add, topic, 1, 1)  # nobody is told of it
        set_clock(-1)
        async with asyncio.timeout(30):
            await drained(books)


async def test_a_row_that_is_told_after_the_sweep_took_it_goes_out_once(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic()
    books, told = open_books(url), list[Unpublished]()
    async with publishing(books, kafka):
        await eventually(lambda: _publishes_at_once(books))
        publish, books.listener = books.listener, told.extend
        await books.write(add, topic, 0, 1)  # its COMMIT is answered late
        await drained(books)
        publish(told)
        await books.write(add, topic, 0, 2)
        publish(told[1:])
        await drained(books)
    client = consumer(kafka)
    assert client.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 2)
    client.close()


def _publishes_at_once(books: Books) -> bool:
    relay = getattr(books.listener, "__self__", None)
    return isinstance(relay, OutboxRelay) and relay._direct


async def test_new_rows_wait_while_earlier_ones_are_the_sweeps(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(1)
    books = open_books(url)
    for sequence in range(1, EACH):
        for payment in range(PAYMENTS):
            await books.write(add, topic, payment, sequence)  # nobody listens: as after a crash
    async with publishing(books, kafka):
        for payment in range(PAYMENTS):
            await books.write(add, topic, payment, EACH)
    assert_in_order(read(kafka, topic, 1))


async def test_what_is_left_to_the_sweep_is_not_overtaken_while_an_earlier_row_is_in_flight(
    new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic()
    books = open_books(url)
    relay = await relay_of(books, "localhost:1")
    books.listener = relay.publish
    await eventually(lambda: relay._direct)
    await books.write(add, topic, 0, 1)
    relay._direct = False  # as after a failed delivery of some other row
    await books.write(add, topic, 0, 2)
    await eventually(lambda: relay._direct)
    await books.write(add, topic, 0, 3)
    assert [row.sequence for row in relay._queued["pay-0"]] == [1, 2, 3]
    await relay.close()
    await books.close()


async def test_what_a_commit_left_that_nobody_was_told_of_is_not_overtaken(
    new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic()
    books = open_books(url)
    relay = await relay_of(books, "localhost:1")
    await eventually(lambda: relay._direct)
    await books.write(add, topic, 0, 1)  # its COMMIT was never answered
    relay.leave_to_sweep()
    books.listener = relay.publish
    await books.write(add, topic, 0, 2)
    await eventually(lambda: len(relay._queued.get("pay-0", ())) == 2)
    assert [row.sequence for row in relay._queued["pay-0"]] == [1, 2]
    assert not relay._direct
    await relay.close()
    await books.close()


async def test_a_queue_that_is_always_full_keeps_the_order(
    kafka: str, new_topic: Callable[..., str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.events.outbox_relay.QUEUE_MAX", 2)
    topic = new_topic(3)
    books = open_books(url)
    async with publishing(books, kafka):
        await write_all(books, topic)
    assert_in_order(read(kafka, topic, 3))


async def test_what_a_full_disk_keeps_from_being_noted_is_noted_later_and_not_sent_again(
    kafka: str, new_topic: Callable[..., str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    def refuse_at_first(conn: Connection, ids: list[int], at: int) -> None:
        nonlocal refused
        refused += 1
        if refused < 8:  # several sweeps long
            raise OperationalError("UPDATE", {}, Exception("database or disk is full"))
        mark_published(conn, ids, at)

    monkeypatch.setattr("gateway.events.outbox_relay.mark_published", refuse_at_first)
    topic = new_topic()
    books = open_books(url)
    relay = await relay_of(books, kafka)  # it does not listen to the books: the sweep sends
    await write_all(books, topic)
    await drained(books)
    await relay.close()
    await books.close()
    client = consumer(kafka)
    client.assign([TopicPartition(topic, 0, 0)])
    assert client.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, PAYMENTS * EACH)
    client.close()


async def test_a_disk_that_cannot_be_read_for_a_moment_ends_no_sweep(
    kafka: str, new_topic: Callable[..., str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    def refuse_at_first(conn: Connection, *asked: Any) -> list[Unpublished]:
        nonlocal refused
        refused += 1
        if refused < 3:
            raise OperationalError("SELECT", {}, Exception("disk I/O error"))
        return select_unpublished(conn, *asked)

    monkeypatch.setattr("gateway.events.outbox_relay.select_unpublished", refuse_at_first)
    books = open_books(url)
    relay = await relay_of(books, kafka)  # it does not listen to the books: the sweep sends
    await write_all(books, new_topic())
    await drained(books)
    await relay.close()
    await books.close()
