"""One gateway per books: a second one is refused, and one whose lock is gone takes it anew or ends."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from benchmarks.postgres import Server
from gateway.books import sole
from gateway.books.postgres_link import Link
from gateway.books.sole import LOCK, BooksTaken, sole_gateway
from tests.gateway.databases import Databases, Kind
from tests.patience import eventually

HOLDER = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK} AND granted"
TERMINATE = f"SELECT pg_terminate_backend(pid) FROM ({HOLDER}) AS holders"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (
        ("HELD_MAX_S", 0.3),
        ("TAKEN_ANEW_WITHIN_S", 0.5),
        ("AWAITED_S", 0.3),
        ("PAUSE_S", 0.05),
    ):
        monkeypatch.setattr(sole, name, seconds)


@pytest.fixture
def url(databases: Databases, database: Kind, tmp_path: Path) -> Iterator[str]:
    made = databases.bare(database, tmp_path)
    yield made
    databases.drop(made)


def nothing() -> None:
    """Nobody is told."""


async def test_a_second_gateway_is_refused_until_the_first_has_ended(url: str) -> None:
    async with sole_gateway(url, nothing):
        with pytest.raises(BooksTaken, match="another gateway runs on"):
            async with sole_gateway(url, nothing):
                pass
    async with sole_gateway(url, nothing):
        pass


@pytest.mark.postgres
async def test_a_database_that_never_comes_is_named() -> None:
    with pytest.raises(BooksTaken, match="does not answer"):
        async with sole_gateway("postgresql://localhost:1/books", nothing):
            pass


@pytest.mark.postgres
async def test_a_lock_that_was_lost_is_taken_anew(postgres: Server) -> None:
    lost: list[int] = []
    async with sole_gateway(postgres.url(), lambda: lost.append(1)):
        before = postgres.sql(HOLDER)
        postgres.sql(TERMINATE)
        await eventually(lambda: postgres.sql(HOLDER) not in ("", before))
    assert lost == []


@pytest.mark.postgres
async def test_who_finds_another_on_its_books_ends(postgres: Server) -> None:
    lost = asyncio.Event()
    other = await asyncpg.connect(postgres.url())
    async with sole_gateway(postgres.url(), lost.set):
        await other.execute(f"{TERMINATE}; SELECT pg_advisory_lock({LOCK})")
        await asyncio.wait_for(lost.wait(), 10)
    await other.close()


@pytest.mark.postgres
async def test_a_connection_that_breaks_unheard_is_noticed(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Link, "when_lost", lambda link, call: None)
    monkeypatch.setattr(sole, "ASKED_EVERY_S", 0.05)
    lost = asyncio.Event()
    async with sole_gateway(postgres.url(), lost.set):
        before = postgres.sql(HOLDER)
        postgres.sql(TERMINATE)
        await eventually(lambda: postgres.sql(HOLDER) not in ("", before))
    assert not lost.is_set()
