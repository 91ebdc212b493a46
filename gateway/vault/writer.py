"""Transactions on one connection, run in a thread of its own and committed in groups.

A commit waits for the disk. What is asked meanwhile forms the next group, so a slow disk costs each caller its
time once, however many ask.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

GROUP_MAX = 64

Work = Callable[[sqlite3.Connection], Any]
Waiting = tuple[Work, asyncio.Future[Any]]
Result = tuple[Any, Exception | None]


class Writer:
    """The one writer of a file. `conn` belongs to it from now on."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def write(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run `fn` in a transaction and return once it is on disk; what it raises undoes it alone."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((lambda conn: fn(conn, *args, **kwargs), done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_groups(), name="writer")
        return await done

    async def between(self, fn: Callable[[sqlite3.Connection], R]) -> R:
        """Run `fn` outside of transactions."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, fn, self._conn)

    def close(self) -> None:
        """Finish what runs, then close the connection."""
        self._thread.shutdown()
        self._conn.close()

    async def _write_groups(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
            for (_, done), (result, error) in zip(group, await self._results(group), strict=True):
                _settle(done, result, error)

    async def _results(self, group: list[Waiting]) -> list[Result]:
        try:
            return await self.between(lambda conn: _commit(conn, [work for work, _ in group]))
        except Exception as error:  # no commit: it happened to all of them
            return [(None, error)] * len(group)


@contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end, or undo all of it. `IMMEDIATE`: what is read inside is still true when it is written."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def _commit(conn: sqlite3.Connection, group: list[Work]) -> list[Result]:
    with transaction(conn):
        return [_try(conn, work) for work in group]


def _try(conn: sqlite3.Connection, work: Work) -> Result:
    conn.execute("SAVEPOINT one")
    try:
        result = work(conn)
    except Exception as error:
        conn.execute("ROLLBACK TO one")
        return None, error
    finally:
        conn.execute("RELEASE one")
    return result, None


def _settle(done: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if done.done():  # its caller was cancelled; the transaction stands all the same
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
