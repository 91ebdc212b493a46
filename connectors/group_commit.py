"""Transactions on one SQLite connection, committed in groups.

A commit waits for the disk. What is asked for meanwhile forms the next group, so a slow disk costs each caller its
time once, however many ask. Every transaction of a group runs in a savepoint of its own: one that raises is undone
alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from connectors.lasting import LastingTask

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")

Work = Callable[[C], Any]
WorkResult = tuple[Any, BaseException | None]  # what a transaction returned, or what it raised


class GroupCommit(Generic[C]):
    """Queues transactions and hands them to `commit_group`, up to `group_max` at a time, one group after another.

    `commit_group` runs them on its connection, commits, and returns one result each; where the commit itself fails
    it raises, and every caller of the group is told so.
    """

    def __init__(
        self, commit_group: Callable[[list[Work[C]]], Awaitable[list[WorkResult]]], group_max: int
    ) -> None:
        self._commit_group = commit_group
        self._group_max = group_max
        self._waiting: deque[tuple[Work[C], asyncio.Future[Any]]] = deque()
        self._task: LastingTask | None = None

    async def write(self, fn: Callable[Concatenate[C, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` in a transaction and return once it is on disk; what it raises undoes it alone."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((lambda conn: fn(conn, *args, **kwargs), done))
        if self._task is None or self._task.is_done():
            # In a context of its own: it commits for others than the request that woke it.
            self._task = LastingTask(self._commit_groups(), "group commit", returns=True, context=Context())
        return await done

    async def drain(self) -> None:
        """Return once everything asked for is on disk."""
        if self._task is not None:
            await self._task.done()

    async def _commit_groups(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), self._group_max)
            group = [self._waiting.popleft() for _ in range(size)]
            for (_, done), (result, error) in zip(group, await self._results(group), strict=True):
                _settle(done, result, error)

    async def _results(self, group: list[tuple[Work[C], asyncio.Future[Any]]]) -> list[WorkResult]:
        try:
            return await self._commit_group([work for work, _ in group])
        except Exception as error:  # the disk is full or gone: no transaction of the group stands
            return [(None, error)] * len(group)


def run_in_savepoint(execute: Callable[[str], Any], work: Callable[[], Any]) -> WorkResult:
    """Run `work`; what it raises rolls back to where it began and is returned as the result's error."""
    execute("SAVEPOINT one")
    try:
        result = work()
    except Exception as error:
        execute("ROLLBACK TO one")
        return None, error
    finally:
        execute("RELEASE one")
    return result, None


def _settle(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():  # its caller was cancelled; the transaction stands all the same
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
