"""Two gateways on the same books: the events of a subject stay in order, each once, whoever wrote them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition

from connectors.kafka import consumer
from connectors.lasting import LastingTask
from gateway.books.engine import Books
from gateway.books.opening import open_books
from gateway.books.outbox import list_history
from gateway.events.outbox_relay import OutboxRelay
from gateway.policy import SECOND_US
from tests.gateway.databases import Databases
from tests.gateway.events.test_outbox_relay import EACH, PAYMENTS, add, drained, relay_of
from tests.patience import eventually

AWAY = "localhost:1"

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """Books without rows."""
    made = databases.empty("postgres", tmp_path)
    yield made
    databases.drop(made)


class Relaying(msgspec.Struct, frozen=True):
    """A gateway as far as its events go."""

    books: Books
    relay: OutboxRelay

    async def freeze(self) -> None:
        """Renew nothing any more, as a process that hangs."""
        task = self.relay._worker._task
        assert task is not None
        await task.stop()

    async def thaw(self) -> None:
        """Renew the lease, as a process that goes on."""
        worker = self.relay._worker
        assert worker._lease_us is not None
        worker._task = LastingTask(worker._keep(worker._lease_us), "lease of this worker", returns=True)
        await eventually(worker.is_live)


@asynccontextmanager
async def gateway(url: str, kafka: str, name: str, lease_s: float = 15) -> AsyncIterator[Relaying]:
    """One that hears of what is committed, from when it publishes that at once."""
    books = open_books(url)
    relay = await relay_of(books, kafka, name, int(lease_s * SECOND_US))
    books.listener = relay.publish
    await eventually(lambda: relay._direct)
    yield Relaying(books, relay)
    await relay.close()
    await relay._worker.close()
    await books.close()


def all_on(kafka: str, topic: str) -> list[tuple[str, int]]:
    """Each record of a topic of one partition, by its key and sequence, repeats too."""
    client = consumer(kafka)
    _, end = client.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    client.assign([TopicPartition(topic, 0, 0)])
    found: list[tuple[str, int]] = []
    while len(found) < end:
        for message in client.consume(500, 0.2):
            found.append((message.key().decode(), msgspec.json.decode(message.value())["sequence"]))
    client.close()
    return found


async def test_events_that_two_gateways_write_by_turns_are_in_order_and_each_there_once(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(1)
    async with gateway(url, kafka, "a") as one, gateway(url, kafka, "b") as other:

        async def pay(payment: int) -> None:
            for sequence in range(1, EACH + 1):
                by = one if (payment + sequence) % 2 else other
                await by.books.write(add, topic, payment, sequence)

        await asyncio.gather(*[pay(payment) for payment in range(PAYMENTS)])
        await drained(one.books)
        assert not one.relay._behind
        assert not other.relay._behind
    found = all_on(kafka, topic)
    assert len(found) == PAYMENTS * EACH
    for payment in range(PAYMENTS):
        assert [sequence for key, sequence in found if key == f"key-{payment}"] == list(range(1, EACH + 1))


async def test_an_event_waits_for_an_earlier_one_of_a_gateway_that_does_not_reach_kafka(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(1)
    async with gateway(url, AWAY, "a") as cut_off, gateway(url, kafka, "b") as other:
        await cut_off.books.write(add, topic, 0, 1)
        await other.books.write(add, topic, 0, 2)
        await other.books.write(add, topic, 0, 3)
        await other.books.write(add, topic, 1, 1)  # of another payment: nothing keeps it
        await eventually(lambda: all_on(kafka, topic) == [("key-1", 1)])
        assert [row.sequence for row in other.relay._behind["pay-0"]] == [2, 3]


async def test_the_events_of_a_gateway_that_ended_are_taken_over_in_order(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(1)
    async with gateway(url, kafka, "b") as other:
        async with gateway(url, AWAY, "a") as ending:
            await ending.books.write(add, topic, 0, 1)
            await other.books.write(add, topic, 0, 2)
        await drained(other.books)
        await other.books.write(add, topic, 0, 3)
        await drained(other.books)
    assert all_on(kafka, topic) == [("key-0", 1), ("key-0", 2), ("key-0", 3)]


async def test_the_events_of_a_gateway_that_hangs_are_taken_over_once_its_lease_ran_out(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(1)
    async with gateway(url, AWAY, "a", 0.5) as hanging, gateway(url, kafka, "b", 0.5) as other:
        await hanging.books.write(add, topic, 0, 1)
        await other.books.write(add, topic, 0, 2)
        await hanging.freeze()
        await drained(other.books)
        assert all_on(kafka, topic) == [("key-0", 1), ("key-0", 2)]
        assert hanging.relay._queued
        await hanging.thaw()
        assert not hanging.relay._queued  # another one has sent it
        assert not hanging.relay._direct


async def test_a_gateway_whose_lease_ran_out_sends_nothing_before_it_has_a_new_one(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(1)
    async with gateway(url, kafka, "a", 0.5) as alone:
        await alone.freeze()
        await eventually(lambda: not alone.relay._worker.is_live())
        await alone.books.write(add, topic, 0, 1)
        assert not alone.relay._queued
        await alone.thaw()
        await drained(alone.books)
    assert all_on(kafka, topic) == [("key-0", 1)]


async def test_a_restart_takes_the_place_of_the_process_before_it(
    kafka: str, new_topic: Callable[..., str], url: str
) -> None:
    topic = new_topic(1)
    replaced: list[int] = []
    async with gateway(url, AWAY, "a", 1) as before:
        before.relay._worker._on_replaced = lambda: replaced.append(1)
        await before.books.write(add, topic, 0, 1)
        async with gateway(url, kafka, "a", 1) as after:
            await drained(after.books)  # before any lease ran out
            await eventually(lambda: replaced == [1])
    assert all_on(kafka, topic) == [("key-0", 1)]
    books = open_books(url)
    assert [row.worker_id for row in await books.read(list_history, "pay-0", 0, 9)] == [after.relay._worker.id]
    await books.close()
