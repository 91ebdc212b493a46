"""`sluice outbox backfill`: what an earlier release never told of is on Kafka afterwards, each thing once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Message
from msgspec.json import decode
from sqlalchemy import Connection

from connectors.kafka import consumer, offsets_at
from gateway.books.accounts import Account, add
from gateway.books.opening import migrate, run_once
from gateway.books.outbox import outbox
from gateway.books.postings import postings
from gateway.settings import GatewaySettings
from schemas.accounts import AccountChanged
from schemas.ids import new_id
from schemas.operations import OperationEvent
from schemas.times import now_micros
from schemas.topics import ACCOUNTS, OPERATIONS, REVIEWS
from sluice.admin import books_at_hand
from sluice.cli import main
from tests.gateway.payments.test_backfill import COUNT, put_old_rows


def backfill(data: Path, kafka: str) -> Result:
    environment = {"SLUICE_DATA": str(data), "SLUICE_KAFKA": kafka}
    return CliRunner().invoke(main, ["outbox", "backfill"], env=environment)


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(made)
    run_once(made, put_old_rows)
    return made


def new_records(kafka: str, topic: str, since_ms: int, count: int) -> Iterator[Message]:
    """So many records from a moment on; all there are if they are fewer."""
    client = consumer(kafka)
    client.assign(offsets_at(client, topic, since_ms))
    found = client.consume(count + 1, 2.0)
    client.close()
    yield from (message for message in found if not message.error())


def posted(conn: Connection) -> list[tuple[str, str, int]]:
    return sorted((row.source_id, row.account, row.amount) for row in conn.execute(postings.select()))


def published(conn: Connection) -> list[Any]:
    return [row.published_at is not None for row in conn.execute(outbox.select())]


def test_what_was_never_told_of_is_on_kafka_once_and_is_what_was_posted(
    kafka: str, url: str, tmp_path: Path
) -> None:
    since_ms = now_micros() // 1000
    assert backfill(tmp_path, kafka).output == f"told of {COUNT} operations, {COUNT} reviews and 0 accounts\n"
    assert backfill(tmp_path, kafka).output == "told of 0 operations, 0 reviews and 0 accounts\n"
    ours = {f"op_{number}" for number in range(COUNT)}
    records = [m.value() for m in new_records(kafka, OPERATIONS.name, since_ms, COUNT)]
    events = [decode(value, type=OperationEvent) for value in records]
    events = [event for event in events if event.operation.id in ours]
    told = sorted((e.operation.id, entry.account, entry.amount) for e in events for entry in e.entries)
    assert told == run_once(url, posted, readonly=True)
    assert len(list(new_records(kafka, REVIEWS.name, since_ms, 2 * COUNT))) >= COUNT
    assert all(run_once(url, published, readonly=True))


def test_merchants_of_before_are_told_by_name_once(kafka: str, url: str, tmp_path: Path) -> None:
    since_ms = now_micros() // 1000
    merchant = Account(id=new_id("acc"), role="merchant", name="Old Shop", created_at=0, updated_at=0)
    customer = Account(id=new_id("acc"), role="customer", name="Casey", created_at=0, updated_at=0)

    async def put() -> None:
        async with books_at_hand(GatewaySettings(data=tmp_path), None) as books:
            await books.write(add, merchant)
            await books.write(add, customer)

    asyncio.run(put())
    assert backfill(tmp_path, kafka).output.endswith("and 1 accounts\n")
    assert backfill(tmp_path, kafka).output.endswith("and 0 accounts\n")
    records = {m.key(): m.value() for m in new_records(kafka, ACCOUNTS.name, since_ms, 2)}
    told = decode(records[merchant.id.encode()], type=AccountChanged)
    assert (told.sequence, told.role, told.trading_name) == (1, "merchant", "Old Shop")
    assert customer.id.encode() not in records


def test_without_kafka_nothing_is_told(url: str, tmp_path: Path) -> None:
    assert backfill(tmp_path, "localhost:1").output == "Error: nobody listens at localhost:1\n"
    assert run_once(url, published, readonly=True) == []
