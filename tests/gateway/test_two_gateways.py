"""Two gateways on the same books, in one process: what one begins, the other one may go on with."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from gateway.app import create_app
from gateway.books.workers import WorkerRow, enter
from gateway.identity import confirmation_sender
from gateway.seed import SEEDS
from gateway.settings import GatewaySettings
from schemas.times import steady_micros
from tests.gateway.conftest import Gateway
from tests.gateway.databases import Databases, Kind
from tests.gateway.test_seed import ids
from tests.patience import eventually

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module", params=["postgres"])
def database(request: pytest.FixtureRequest) -> Kind:
    """The one that several gateways share."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def new_books(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """Books without rows."""
    made = databases.empty("postgres", tmp_path)
    yield made
    databases.drop(made)


@asynccontextmanager
async def running(settings: GatewaySettings, worker: str) -> AsyncIterator[Gateway]:
    async with create_app(msgspec.structs.replace(settings, worker=worker)).test_app() as served:
        yield Gateway(served.app)


async def test_two_that_start_at_once_on_new_books_make_each_account_once(
    gateway_settings: GatewaySettings, new_books: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.runtime.migrate", lambda url: None)  # Alembic runs once in a process
    settings = msgspec.structs.replace(gateway_settings, database_url=new_books)

    async def start(worker: str) -> list[str]:
        async with running(settings, worker) as gateway:
            return await gateway.runtime.books.read(ids)

    one, other = await asyncio.gather(start("a"), start("b"))
    async with running(settings, "c") as gateway:
        made = await gateway.runtime.books.read(ids)
    assert len(made) == len(SEEDS)
    assert {*one, *other} == {*made}


async def test_what_another_gateway_has_in_hand_is_not_taken_back_at_a_start(
    gateway_settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_back = []
    monkeypatch.setattr(confirmation_sender.confirmations, "release", lambda *asked: taken_back.append(asked))
    async with running(gateway_settings, "a") as gateway:
        books, now = gateway.runtime.books, steady_micros()
        await eventually(lambda: len(taken_back) == 2)  # by its own start, of either channel
        taken_back.clear()
        await books.write(confirmation_sender._release, "sms", now)
        assert taken_back
        taken_back.clear()
        await books.write(enter, WorkerRow("wrk_b", "b", now + 60_000_000), now)
        await books.write(confirmation_sender._release, "sms", now)
        assert not taken_back
