"""Books on either database: migrated and empty, or copies of those that the demo's accounts are in."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from hashlib import sha256
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util import await_, greenlet_spawn

from benchmarks.machine.opening import secret_beside
from benchmarks.postgres import Server
from gateway.app import create_app
from gateway.books.engine import Books
from gateway.books.key_ring import Held, KeyRing
from gateway.books.opening import migrate
from gateway.books.personal_books import PersonalBooks
from gateway.books.persons import LOOKUPS, RING
from gateway.books.postgres_link import postgres_engine
from gateway.books.sqlite import sqlite_engine
from gateway.runtime import EXTENSION
from gateway.settings import GatewaySettings

T = TypeVar("T")
Kind = Literal["sqlite", "postgres"]

NUMBERS = count(1)
EMPTY = "empty"


class Databases:
    """Where tests get books from. `start_server` is called once PostgreSQL is asked for."""

    def __init__(self, folder: Path, vault: Path, start_server: Callable[[], Server], kafka: str) -> None:
        self._folder = folder
        self._vault = vault
        self._kafka = kafka
        self._start_server = start_server
        self._seeded: dict[Kind, GatewaySettings] = {}

    def settings(self, kind: Kind, data: Path) -> GatewaySettings:
        """Settings of a gateway on copies of the seeded data and books."""
        seeded = self._seeded.get(kind) or self._seed(kind)
        self._seeded[kind] = seeded
        shutil.copytree(seeded.data, data)
        url = self._copy(seeded.database_url) if kind == "postgres" else ""
        return self._settings(data, url)

    def empty(self, kind: Kind, folder: Path) -> str:
        """The URL of migrated books without rows."""
        if kind == "postgres":
            return self._copy(self._empty)
        url = f"sqlite:///{folder / 'books.sqlite3'}"
        migrate(url)
        return url

    def bare(self, kind: Kind, folder: Path) -> str:
        """The URL of books without tables; in PostgreSQL one that does not order texts by their bytes."""
        if kind == "sqlite":
            return f"sqlite:///{folder / 'books.sqlite3'}"
        name = f"bare_{next(NUMBERS)}"
        words = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' TEMPLATE template0"
        return self._new(f"CREATE DATABASE {name} {words}", name)

    def prepare(self) -> None:
        """Open what `transaction` uses of PostgreSQL: inside of a test that would be too late."""
        assert self._connection

    def close(self) -> None:
        """Close what `transaction` used."""
        if "_connection" in vars(self):
            wait(self._connection.close())
        if "_file" in vars(self):
            self._file.dispose()
        _loop().close()

    def drop(self, url: str) -> None:
        """Remove a database; a SQLite file goes away with its folder."""
        if url.startswith("postgresql"):
            self._server.sql(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    @contextmanager
    def transaction(self, kind: Kind) -> Iterator[Connection]:
        """A transaction on books without rows; it is never committed."""
        if kind == "postgres":
            with _rolled_back(self._connection) as conn:
                yield conn
        else:
            with self._file.connect() as conn:
                hold_ring(conn)
                yield conn.begin().connection

    @cached_property
    def _file(self) -> Engine:
        path = self._folder / "empty.sqlite3"
        migrate(f"sqlite:///{path}")
        return sqlite_engine(path)

    @cached_property
    def _connection(self) -> AsyncConnection:
        return wait(_connected(self._copy(self._empty)))  # what somebody is connected to cannot be copied

    @cached_property
    def _server(self) -> Server:
        return self._start_server()

    @cached_property
    def _empty(self) -> str:
        url = self._new(f"CREATE DATABASE {EMPTY}", EMPTY)
        migrate(url)
        return url

    def _seed(self, kind: Kind) -> GatewaySettings:
        settings = self._settings(self._folder / kind, self._copy(self._empty) if kind == "postgres" else "")
        asyncio.run(_start_and_stop(settings))
        return settings

    def _settings(self, data: Path, url: str) -> GatewaySettings:
        return GatewaySettings(
            data=data,
            vault=str(self._vault),
            vault_client=secret_beside(self._vault),
            seed=True,
            kafka=self._kafka,
            database_url=url,
        )

    def _copy(self, url: str) -> str:
        name = f"copy_{next(NUMBERS)}"
        return self._new(f"CREATE DATABASE {name} TEMPLATE {_name(url)}", name)

    def _new(self, sql: str, name: str) -> str:
        self._server.sql(sql)
        return self._server.url(name)


class EveryKey(KeyRing):
    """The keys of everybody, without a vault."""

    def find(self, person_id: str, *, make: bool) -> Held:
        return Held(sha256(person_id.encode()).digest(), made=True, until=inf)


def with_every_key(books: Books) -> PersonalBooks:
    """Books whose functions find every key, without a vault."""

    async def fetch(*_: Any) -> dict[str, bytes]:
        raise AssertionError("no key is ever missing")

    return PersonalBooks(books, EveryKey(LOOKUPS), fetch)


def hold_ring(conn: Connection) -> None:
    """Make a connection as good as a new one of the gateway's, with a ring on it."""
    conn.info.clear()
    conn.info[RING] = EveryKey(LOOKUPS)


def wait(awaitable: Awaitable[T]) -> T:
    """Await in a plain test, which runs in a greenlet, or in the fixture before it."""
    loop = _loop()
    return await_(awaitable) if loop.is_running() else loop.run_until_complete(_awaited(awaitable))


def run_in_greenlet(test: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Run a plain test whose statements are awaited, as the gateway runs its functions on PostgreSQL."""
    _loop().run_until_complete(greenlet_spawn(test, **arguments))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


async def _start_and_stop(settings: GatewaySettings) -> None:
    app = create_app(settings)
    async with app.test_app():
        await app.extensions[EXTENSION].books.write(_empty_outbox)


def _empty_outbox(conn: Connection) -> None:
    """No test's events wait behind those of the demo's accounts."""
    conn.exec_driver_sql("DELETE FROM outbox")


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def _connected(url: str) -> AsyncConnection:
    return await postgres_engine(url).connect()


@contextmanager
def _rolled_back(conn: AsyncConnection) -> Iterator[Connection]:
    transaction = wait(conn.begin().start())
    try:
        assert conn.sync_connection is not None
        hold_ring(conn.sync_connection)
        yield conn.sync_connection
    finally:
        wait(transaction.rollback())


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]
