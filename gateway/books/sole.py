"""One gateway per SQLite file: it holds a lock on it for as long as it runs, and a second one is refused.

On PostgreSQL there may be several (docs/decisions/0090); each waits for a database that is not there yet.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from time import monotonic

from sqlalchemy.exc import DBAPIError

from gateway.books.opening import sqlite_path
from gateway.books.postgres_link import linked, postgres_engine

AWAITED_S = 30.0  # how long a database that is not there yet is waited for
PAUSE_S = 0.2


class BooksTaken(Exception):
    """Another gateway holds these books, or their database is away; the message says which."""


@asynccontextmanager
async def books_at_hand(url: str) -> AsyncIterator[None]:
    """Have the books at `url` for this gateway: their lock, or a database that answers. Raises `BooksTaken`."""
    path = sqlite_path(url)
    if path is None:
        await _await_database(url)
        yield
        return
    with _locked_file(path):
        yield


@contextmanager
def held_file(url: str) -> Iterator[None]:
    """Keep gateways away from books in a SQLite file. Raises `BooksTaken`."""
    path = sqlite_path(url)
    with _locked_file(path) if path else nullcontext():
        yield


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


async def _await_database(url: str) -> None:
    engine, began = postgres_engine(url), monotonic()
    try:
        while True:
            try:
                await (await linked(engine)).end()
            except DBAPIError as error:
                if monotonic() - began > AWAITED_S:
                    raise BooksTaken(f"the books' database does not answer: {error.orig}") from None
                await asyncio.sleep(PAUSE_S)
            else:
                return
    finally:
        await engine.dispose()
