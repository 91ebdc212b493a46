"""The books in PostgreSQL: transactions side by side on a few connections, tried again where the database says so.

They are READ COMMITTED: a row changes only from the version that was read, and unique indexes decide who was first
(docs/decisions/0020).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from gateway.books.engine import Listener, Outdated, Seal, UnknownCommit, refuse_acts, run_sealed, tell
from gateway.books.postgres_link import Link, is_lost, linked, postgres_engine, sqlstate

P = ParamSpec("P")
R = TypeVar("R")

CONNECTIONS = 8  # more of them make two cores no faster
BROWSERS = 2  # of them: what lists may use
TRIES = 4  # of one that met another transaction
PATIENCE_S = 2.0  # how long a database that is away is tried
PAUSE_S = 0.05
WAIT_MAX_S = 5.0  # for one of the connections
MET_ANOTHER = {"40001", "40P01"}  # serialization failure, deadlock

log = structlog.get_logger()


class Commit(msgspec.Struct):
    """A COMMIT under way, and what is to be told after it; `facts` None: not answered yet."""

    facts: list[Any] | None = None


class CommitLost(OperationalError):
    """A COMMIT was never answered: its transaction may stand. Whoever asked finds out as after a kill -9."""


class PostgresBooks:
    """`Books` on a PostgreSQL database. At most `CONNECTIONS` functions run at a time; the others wait."""

    def __init__(self, url: str) -> None:
        self.listener: Listener = lambda facts: None
        self.seal: Seal = refuse_acts
        self.worker_id: str | None = None
        self._engine = postgres_engine(url)
        self._idle: list[Link] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._browsers = asyncio.Semaphore(BROWSERS)
        self._commits: deque[Commit] = deque()
        self._running: set[asyncio.Task[Any]] = set()

    async def write(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` in a transaction and commit it; whatever it raises undoes it and is raised here.

        A function that met another one, or whose connection was lost, is run again from its beginning. A COMMIT
        that was never answered is not tried again: it may stand.
        """
        return await self._shielded(self._tried(self._written, lambda conn: fn(conn, *args, **kwargs)))

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` without a transaction: each statement sees what was committed when it began."""
        return await self._shielded(self._tried(self._read, lambda conn: fn(conn, *args, **kwargs)))

    async def browse(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` as `read` does, on a connection that is left over by what is not a list."""
        async with self._browsers:
            return await self.read(fn, *args, **kwargs)

    async def close(self) -> None:
        """Finish the transactions asked for, then close. Nothing may be asked after this."""
        if self._running:
            await asyncio.wait(self._running)
        for link in self._idle:
            await link.end()
        await self._engine.dispose()

    async def _shielded(self, work: Coroutine[Any, Any, R]) -> R:
        """A caller who is cancelled would leave a connection in the middle of a statement."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _tried(
        self, once: Callable[[Callable[[Connection], R]], Awaitable[R]], fn: Callable[[Connection], R]
    ) -> R:
        tries, give_up = 1, monotonic() + PATIENCE_S
        while True:
            try:
                return await once(fn)
            except CommitLost:
                raise
            except DBAPIError as error:
                if not is_lost(error):
                    _check_tries(error, tries)
                elif monotonic() > give_up:
                    raise OperationalError(error.statement, None, error.orig or error) from error
                else:
                    await asyncio.sleep(PAUSE_S)
                    continue
            except Outdated as error:
                _check_tries(error, tries)
            tries += 1

    async def _read(self, fn: Callable[[Connection], R]) -> R:
        async with self._link() as link:
            return await link.run(fn)

    async def _written(self, fn: Callable[[Connection], R]) -> R:
        async with self._link() as link:
            await link.say("BEGIN")
            try:
                result = await link.run(lambda conn: run_sealed(conn, fn, self.seal, self.worker_id))
            except Exception:
                if link.is_open():
                    await link.say("ROLLBACK")
                raise
            await self._commit(link)
            return result

    async def _commit(self, link: Link) -> None:
        """Commit. Facts are told in the order in which commits were sent, so that none overtakes its cause."""
        commit = Commit()
        self._commits.append(commit)
        try:
            done = await link.say("COMMIT")
            commit.facts = link.facts if done == "COMMIT" else []
        except DBAPIError as error:
            if not is_lost(error):
                raise
            commit.facts = [UnknownCommit()]
            raise CommitLost("COMMIT", None, error) from error
        finally:
            commit.facts = commit.facts or []
            self._tell()
        if done != "COMMIT":
            raise RuntimeError("a function went on after a statement that failed; nothing of it stands")

    def _tell(self) -> None:
        facts: list[Any] = []
        while self._commits and self._commits[0].facts is not None:
            facts += self._commits.popleft().facts or []
        if facts:
            tell(self.listener, facts)

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[Link]:
        """A connection of this caller's own; one that was lost, or left in the middle of something, is ended."""
        await self._slot()
        link: Link | None = None
        try:
            link = await self._idle_or_new()
            yield link
        except BaseException as error:
            await self._put_back(link, error)
            raise
        else:
            self._idle.append(link)
        finally:
            self._slots.release()

    async def _slot(self) -> None:
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await self._slots.acquire()
        except TimeoutError as error:
            raise OperationalError("wait for a connection", None, error) from error

    async def _idle_or_new(self) -> Link:
        while self._idle:
            link = self._idle.pop()
            if link.is_open():
                return link
            await link.end()
        return await linked(self._engine)

    async def _put_back(self, link: Link | None, error: BaseException) -> None:
        lost = isinstance(error, DBAPIError) and is_lost(error)
        if link is not None and link.is_open() and isinstance(error, Exception) and not lost:
            self._idle.append(link)
            return
        others, self._idle = (self._idle, []) if lost else ([], self._idle)
        for gone in [*([link] if link else []), *others]:
            await gone.end()


def _check_tries(error: Outdated | DBAPIError, tries: int) -> None:
    """Raise the error unless it says that another transaction was met: what was read has changed since."""
    met = isinstance(error, Outdated | IntegrityError) or sqlstate(error) in MET_ANOTHER
    if not met or tries == TRIES:
        raise error
    log.info("transaction.repeated", reason=type(error).__name__, tries=tries)
