"""One gateway per books: it holds a lock on them for as long as it runs, and a second one is refused."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import monotonic

import structlog
from sqlalchemy.exc import DBAPIError

from connectors.lasting import LastingTask
from gateway.books.opening import sqlite_path
from gateway.books.postgres_link import Link, linked, postgres_engine

LOCK = 7_370_002  # of PostgreSQL's advisory locks
AWAITED_S = 30.0  # how long a database that is not there yet is waited for
HELD_MAX_S = 3.0  # how long, at a start, the lock may be another's: a gateway that ends lets go of it
TAKEN_ANEW_WITHIN_S = 20.0  # a server notices by its keepalives, after 11 s, that our connection broke
PAUSE_S = 0.2
ASKED_EVERY_S = 5.0  # a connection that broke in silence is heard of only by asking

log = structlog.get_logger()


class BooksTaken(Exception):
    """Another gateway holds these books, or their database is away; the message says which."""


@asynccontextmanager
async def sole_gateway(url: str, on_lost: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock of the books at `url`. Raises `BooksTaken`.

    `on_lost` is called where PostgreSQL has given the lock to somebody else, as after a restart of the server.
    """
    path = sqlite_path(url)
    if path is not None:
        with _locked_file(path):
            yield
        return
    keeper = LockKeeper(url, on_lost)
    try:
        await keeper.open()
        yield
    finally:
        await keeper.close()


@contextmanager
def _locked_file(path: Path) -> Iterator[None]:
    """Hold a lock file beside the books; the kernel lets go of it when the process ends, however it ends."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(held, path)
        yield
    finally:
        os.close(held)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BooksTaken(f"another gateway runs on {path}") from None


class LockKeeper:
    """Holds PostgreSQL's lock on a connection of its own, which lives as long as it does."""

    def __init__(self, url: str, on_lost: Callable[[], None]) -> None:
        self._engine = postgres_engine(url)
        self._on_lost = on_lost
        self._lost = asyncio.Event()
        self._link: Link | None = None
        self._task: LastingTask | None = None

    async def open(self) -> None:
        """Take the lock; a database that is not there yet is waited for. Raises `BooksTaken`."""
        await self._take(AWAITED_S, HELD_MAX_S)
        self._task = LastingTask(self._keep(), "lock of the books", returns=True)

    async def close(self) -> None:
        """Let go of it."""
        if self._task is not None:
            await self._task.stop()
        if self._link is not None:
            await self._link.end()
        await self._engine.dispose()

    async def _keep(self) -> None:
        while True:
            while await self._holds():
                pass
            log.warning("books_lock.lost")
            try:
                await self._take(float("inf"), TAKEN_ANEW_WITHIN_S)
            except BooksTaken as taken:
                log.error("gateway.refused", reason=str(taken))
                self._on_lost()
                return
            log.info("books_lock.taken")

    async def _holds(self) -> bool:
        """Whether the connection still answers, after a while; False at once where it has ended."""
        assert self._link is not None, "the lock was taken on it"
        with suppress(TimeoutError):  # not `wait_for`: in 3.11 that swallows a cancel that meets the loss
            async with asyncio.timeout(ASKED_EVERY_S):
                await self._lost.wait()
            return False
        try:
            await self._link.fetch("SELECT 1")
        except DBAPIError:
            await self._link.end()
            return False
        return True

    async def _take(self, awaited_s: float, held_max_s: float) -> None:
        began = monotonic()
        held_since: float | None = None
        while True:
            try:
                if await self._try():
                    return
                held_since = held_since or monotonic()
            except DBAPIError as error:
                held_since = None
                if self._link is not None:
                    await self._link.end()
                if monotonic() - began > awaited_s:
                    raise BooksTaken(f"the books' database does not answer: {error.orig}") from None
            if held_since and monotonic() - held_since > held_max_s:
                raise BooksTaken("another gateway runs on these books: it holds their lock in PostgreSQL")
            await asyncio.sleep(PAUSE_S)

    async def _try(self) -> bool:
        if self._link is None or not self._link.is_open():
            if self._link is not None:
                await self._link.end()
            self._lost = asyncio.Event()  # of this connection: what is heard of the one before comes later
            self._link = await linked(self._engine)
            self._link.when_lost(self._lost.set)
        return bool(await self._link.fetch("SELECT pg_try_advisory_lock($1)", LOCK))
