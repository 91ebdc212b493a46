"""Transactions on the books: plain functions `fn(conn, …)`, committed in groups.

On SQLite one task runs them one after another on the event loop, each in a savepoint of its own, and only the
COMMIT (an fsync) leaves for a thread; what is asked meanwhile forms the next group (docs/decisions/0002).
PostgreSQL will run the same functions by `AsyncConnection.run_sync`; nothing above this file changes.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event

from gateway.books.statement import execute

P = ParamSpec("P")
R = TypeVar("R")

GROUP_MAX = 128  # transactions per COMMIT: bounds how long the loop is busy with one group

# 32 MB of cache: with the default of 2, payments of a large file read index pages anew (a tenth of their CPU).
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON", "cache_size=-32768")


def announce(conn: Connection, fact: Any) -> None:
    """Hand `fact` to whoever listens on these books, once the transaction that says it is committed."""
    conn.info.setdefault("announced", []).append(fact)


class Books:
    """The gateway's database. `write` returns once its transaction is on disk.

    `listener` gets what a committed group of transactions announced, in order, before their callers go on.
    """

    def __init__(self, engine: Engine) -> None:
        self.listener: Callable[[list[Any]], None] = lambda facts: None
        self._engine = engine
        self._writer = engine.connect()
        self._reader = engine.connect().execution_options(readonly=True)
        self._waiting: deque[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._task = asyncio.create_task(self._write_groups(), name="books")

    async def write(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` in a transaction and commit it; whatever it raises undoes it alone and is raised here."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((lambda conn: fn(conn, *args, **kwargs), done))
        self._wake.set()
        return await done

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` on what is committed. It must be short: it runs on the event loop."""
        with self._reader.begin():
            return fn(self._reader, *args, **kwargs)

    async def close(self) -> None:
        """Finish what was asked, then close. Nothing may be asked after this."""
        await self.write(lambda conn: None)  # transactions run in order: this is the last
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._disk.shutdown()
        self._engine.dispose()

    async def _write_groups(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                size = min(len(self._waiting), GROUP_MAX)
                await self._write_group([self._waiting.popleft() for _ in range(size)])

    async def _write_group(self, group: list[tuple[Callable[[Connection], Any], asyncio.Future[Any]]]) -> None:
        facts = self._writer.info["announced"] = []
        try:
            transaction = self._writer.begin()
            results = [(done, *self._run(fn, facts)) for fn, done in group]
            await asyncio.get_running_loop().run_in_executor(self._disk, transaction.commit)
        except Exception as error:  # the disk is full or gone: nobody's transaction stands
            self._undo()
            settle([(done, None, error) for _, done in group])
        else:
            self.listener(facts)
            settle(results)

    def _undo(self) -> None:
        raw = self._writer.connection.driver_connection
        if raw is not None and raw.in_transaction:  # SQLAlchemy takes a COMMIT that failed for an end
            raw.rollback()
        self._writer.rollback()

    def _run(self, fn: Callable[[Connection], Any], facts: list[Any]) -> tuple[Any, Exception | None]:
        announced = len(facts)
        execute(self._writer, "SAVEPOINT one")  # SQLAlchemy compiles each of its own anew: 0.1 ms
        try:
            result = fn(self._writer)
        except Exception as error:
            execute(self._writer, "ROLLBACK TO one")
            del facts[announced:]
            return None, error
        execute(self._writer, "RELEASE one")
        return result, None


def settle(results: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    """Tell each caller; one that was cancelled meanwhile is skipped, its transaction stands all the same."""
    for done, result, error in results:
        if done.done():
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)


def sqlite_engine(path: Path) -> Engine:
    """The engine of a SQLite file; transactions begin IMMEDIATE, or deferred with the option `readonly`."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # stop sqlite3's own BEGIN
        for pragma in PRAGMAS:
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        readonly = conn.get_execution_options().get("readonly")
        execute(conn, "BEGIN" if readonly else "BEGIN IMMEDIATE")

    return engine
