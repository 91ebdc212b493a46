"""The one writer of the vault's file: transactions in a thread of its own, committed in groups.

Where another vault stands by, what a group changed is on its disk as well before anybody is answered.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from connectors.group_commit import GroupCommit, Work, WorkResult, run_in_savepoint
from connectors.lasting import LastingThreads
from gateway.vault import cards, row_copies
from gateway.vault.copy_frames import CopiedFile, RowChange

P = ParamSpec("P")
R = TypeVar("R")

GROUP_MAX = 64


class CopyTarget(Protocol):
    """Where a writer's changes go beside its own file; both return once they are there, or need not be."""

    async def send_rows(self, file: CopiedFile, changes: list[RowChange]) -> None:
        """Rows that were changed."""

    async def send_wiped(self, file: CopiedFile) -> None:
        """The write-ahead log was emptied."""


class Writer:
    """Writes one `file` through `conn`, which it owns from now on; `target` gets what it changes."""

    def __init__(self, conn: sqlite3.Connection, file: CopiedFile, target: CopyTarget | None = None) -> None:
        self._conn, self.file, self._target = conn, file, target
        if target is not None:
            row_copies.watch(conn, file)
        self._thread = LastingThreads(1, "vault writer")
        self._groups = GroupCommit(self._commit_group, GROUP_MAX)

    async def write(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """The result of `fn` in a transaction, once that is on disk. What `fn` raises undoes it alone."""
        return await self._groups.write(fn, *args, **kwargs)

    async def between(self, fn: Callable[[sqlite3.Connection], R]) -> R:
        """The result of `fn`, run between two transactions."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, fn, self._conn)

    async def wipe_log(self) -> None:
        """Empty the write-ahead log: it still holds deleted rows and replaced keys."""
        await self.between(cards.wipe_log)
        if self._target is not None:
            await self._target.send_wiped(self.file)

    def close(self) -> None:
        """Finish the running transaction, then close the connection."""
        self._thread.shutdown()
        self._conn.close()

    async def _commit_group(self, group: list[Work[sqlite3.Connection]]) -> list[WorkResult]:
        copied = self.file if self._target is not None else None
        results, changes = await self.between(lambda conn: _commit(conn, group, copied))
        if self._target is not None and changes:
            await self._target.send_rows(self.file, changes)
        return results


@contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end, or undo all of it.

    `IMMEDIATE` locks the file at the start: what is read inside is still true when it is written.
    """
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:  # SQLite itself rolls back where the disk is full
            conn.execute("ROLLBACK")
        raise


def _commit(
    conn: sqlite3.Connection, group: list[Work[sqlite3.Connection]], copied: CopiedFile | None
) -> tuple[list[WorkResult], list[RowChange]]:
    """The results, and the rows of the file that is `copied`, if it is, as they are now."""
    with transaction(conn):  # each write has a savepoint of its own, all share one commit
        results = [run_in_savepoint(conn.execute, lambda work=work: work(conn)) for work in group]  # type: ignore[misc]
        return results, row_copies.take_changes(conn, copied) if copied else []
