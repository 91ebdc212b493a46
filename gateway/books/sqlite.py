"""The books in a SQLite file: one writer and group commit.

Transactions run one after another on the event loop, each in a savepoint of its own, and only the COMMIT (an
fsync) leaves for a thread; what is asked for meanwhile forms the next group (docs/decisions/0002).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from connectors.group_commit import GroupCommit, Work, WorkResult, run_in_savepoint
from connectors.lasting import LastingThreads
from gateway.books.engine import Listener, Seal, refuse_acts, run_sealed, tell
from gateway.books.sql import execute

P = ParamSpec("P")
R = TypeVar("R")

GROUP_MAX = 128  # transactions per COMMIT: bounds how long the loop is busy with one group
BROWSERS = 2  # threads for what reads more than a few rows

BUSY_MS = 5_000
EMPTIED_WITHIN_MS = 250

# 32 MB of cache: with the default of 2, payments of a large file read index pages anew (a tenth of their CPU).
# What is deleted is overwritten: an erased person is not left in the file's free space.
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    f"busy_timeout={BUSY_MS}",
    "foreign_keys=ON",
    "cache_size=-32768",
    "secure_delete=ON",
)
BROWSER_PRAGMAS = ("cache_size=-4096", "query_only=ON")

log = structlog.get_logger()


class SqliteBooks:
    """`Books` on one file. What `fn` runs on is seen by nobody else: a function never meets another one's half."""

    def __init__(self, engine: Engine) -> None:
        self.listener: Listener = lambda facts: None
        self.seal: Seal = refuse_acts
        self.worker_id: str | None = None
        self._engine = engine
        self._writer = engine.connect()
        self._reader = engine.connect().execution_options(readonly=True)
        self._groups = GroupCommit(self._commit_group, GROUP_MAX)
        self._disk = LastingThreads(1, "commit")
        self._browsers = [_browser(engine) for _ in range(BROWSERS)]
        self._threads = LastingThreads(BROWSERS, "browse")

    async def write(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` in a transaction and commit it; whatever it raises undoes it alone and is raised here."""
        return await self._groups.write(fn, *args, **kwargs)

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` on what is committed. It must be short: it runs on the event loop."""
        with self._reader.begin():
            return fn(self._reader, *args, **kwargs)

    async def browse(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` on what is committed, in a thread: the event loop goes on meanwhile."""
        work = partial(self._browse, lambda conn: fn(conn, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def close(self) -> None:
        """Finish the transactions asked for, then close. Nothing may be asked after this."""
        await self._groups.drain()
        await asyncio.to_thread(self._threads.shutdown)
        self._disk.shutdown()
        self._engine.dispose()

    def _browse(self, fn: Callable[[Connection], R]) -> R:
        conn = self._browsers.pop()  # there are as many as threads
        try:
            with conn.begin():
                return fn(conn)
        finally:
            self._browsers.append(conn)

    async def _commit_group(self, group: list[Work[Connection]]) -> list[WorkResult]:
        facts = self._writer.info["announced"] = []
        try:
            transaction = self._writer.begin()
            results = [self._run(work, facts) for work in group]
            await asyncio.get_running_loop().run_in_executor(self._disk, transaction.commit)
        except Exception:
            self._undo()
            raise
        tell(self.listener, facts)
        if self._writer.info.pop("overwrite", False):  # between two groups, as the log must be nobody's
            await asyncio.get_running_loop().run_in_executor(self._disk, self._empty_log)
        return results

    def _undo(self) -> None:
        raw = self._writer.connection.driver_connection
        if raw is not None and raw.in_transaction:  # SQLAlchemy takes a COMMIT that failed for an end
            raw.rollback()
        self._writer.rollback()

    def _empty_log(self) -> None:
        """Write the log into the file, and empty it. Where a reader is in the way, it keeps its bytes for now."""
        try:
            execute(self._writer, f"PRAGMA busy_timeout={EMPTIED_WITHIN_MS}")  # whoever writes waits meanwhile
            busy, *_ = execute(self._writer, "PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            execute(self._writer, f"PRAGMA busy_timeout={BUSY_MS}")
        except SQLAlchemyError as error:  # such as a full disk: the transaction stands all the same
            busy = type(error).__name__
        if busy:
            log.warning("books.log_kept", reason=busy)

    def _run(self, work: Work[Connection], facts: list[Any]) -> WorkResult:
        announced = len(facts)
        # By text: SQLAlchemy compiles each savepoint of its own anew, which takes 0.1 ms.
        result, error = run_in_savepoint(
            lambda sql: execute(self._writer, sql),
            lambda: run_sealed(self._writer, work, self.seal, self.worker_id),
        )
        if error is not None:
            del facts[announced:]
        return result, error


def _browser(engine: Engine) -> Connection:
    conn = engine.connect().execution_options(readonly=True)
    for pragma in BROWSER_PRAGMAS:
        conn.connection.driver_connection.execute(f"PRAGMA {pragma}")  # type: ignore[union-attr]
    return conn


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
