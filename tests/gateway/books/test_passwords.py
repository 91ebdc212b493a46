"""The password of the books' role changes while connections are made, and PostgreSQL never sees it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from benchmarks.postgres import Server
from connectors.secret_files import put_next, take_next
from gateway.books.opening import run_once
from gateway.books.passwords import change_password, verifier
from gateway.books.postgres import PostgresBooks
from gateway.settings import GatewaySettings
from schemas.settings import BadSetting

pytestmark = pytest.mark.postgres

ROLE = "keeper"


@pytest.fixture(scope="module")
def owned(postgres: Server) -> Iterator[str]:
    """The URL of a database whose owner shows a password, at first `one`."""
    yield postgres.with_password(ROLE, "one")
    postgres.sql(f"DROP DATABASE {ROLE} WITH (FORCE)")
    postgres.sql(f"DROP ROLE {ROLE}")


@pytest.fixture
def file(postgres: Server, owned: str, tmp_path: Path) -> Path:
    postgres.sql(f"ALTER ROLE {ROLE} PASSWORD 'one'")
    path = tmp_path / "secrets" / "database.password"
    path.parent.mkdir()
    path.write_text("one\n")
    return path


@pytest.fixture
def url(owned: str, file: Path) -> str:
    return GatewaySettings(data=file.parents[1], database_url=owned).books_url()


def ask(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT 1").scalar_one())


def test_at_each_step_of_a_rotation_new_connections_are_made(url: str, file: Path) -> None:
    put_next(file, "two")
    assert run_once(url, ask) == 1
    change_password(url, file)
    assert run_once(url, ask) == 1  # the file still says `one`
    change_password(url, file)  # as after a kill
    take_next(file)
    assert (run_once(url, ask), file.read_text()) == (1, "two")
    file.write_text("one")
    with pytest.raises(DBAPIError, match="password authentication failed"):
        run_once(url, ask)


async def test_an_open_connection_goes_on_and_a_lost_one_comes_back(
    url: str, file: Path, postgres: Server
) -> None:
    books = PostgresBooks(url)
    try:
        assert await books.read(ask) == 1
        put_next(file, "two")
        await asyncio.to_thread(change_password, url, file)
        assert await books.read(ask) == 1
        take_next(file)
        gone = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"
        await asyncio.to_thread(postgres.sql, gone)
        assert await books.read(ask) == 1
    finally:
        await books.close()


def test_a_password_in_the_url_is_not_changed(owned: str, file: Path) -> None:
    put_next(file, "two")
    with pytest.raises(BadSetting, match="not in the URL"):
        change_password(owned.replace(ROLE, f"{ROLE}:one", 1), file)


async def test_the_old_one_is_refused_and_the_verifier_is_postgresqls_own(
    url: str, owned: str, file: Path, postgres: Server
) -> None:
    put_next(file, "two")
    await asyncio.to_thread(change_password, url, file)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(owned, password="one")
    await (await asyncpg.connect(owned, password="two")).close()
    stored = await asyncio.to_thread(postgres.sql, f"SELECT rolpassword FROM pg_authid WHERE rolname = '{ROLE}'")
    assert stored.startswith("SCRAM-SHA-256$4096:")
    # RFC 7677 §3: user `user`, password `pencil`.
    assert verifier("pencil", b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81").endswith(
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
