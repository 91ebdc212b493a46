"""Work that dies at one of its awaits, as if its process had: it and every task that it began are cancelled there.

Only tasks of `gateway/payments/` die. What others share (a commit of the books, a connection) goes on, as a
database and a network do.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

MORTAL = "/gateway/payments/"
TRANSACTIONS = "/gateway/books/postgres"


class Died(Exception):
    """The work was cancelled where it was meant to be; what it held in memory is lost."""


class Death:
    """Comes at the await number `at`, counted over all tasks of one piece of work."""

    def __init__(self, at: int) -> None:
        self.left = at
        self._tasks: list[asyncio.Task[Any]] = []

    def begin(self, work: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        """A task that dies with the others."""
        task: asyncio.Task[T] = asyncio.Task(_counted(work, self), **options)
        self._tasks.append(task)
        return task

    def count(self) -> None:
        """One more await has begun. What it waits for is under way when death comes."""
        self.left -= 1
        if self.left == 0:
            for task in self._tasks:
                asyncio.get_running_loop().call_soon(task.cancel)


_DEATH: ContextVar[Death | None] = ContextVar("death", default=None)


async def until_death(work: Coroutine[Any, Any, T], dies_at: int | None) -> T:
    """The result of `work`, which dies at its await number `dies_at` (None: never). Raises `Died`."""
    if dies_at is None:
        return await work
    death, context = Death(dies_at), copy_context()
    context.run(_DEATH.set, death)
    try:
        return await death.begin(work, context=context)
    except asyncio.CancelledError:
        if death.left > 0:
            raise
        raise Died from None


def task_factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """What the event loop makes tasks with: those of the payments share the death of the work that begins them."""
    death = _DEATH.get()
    if death is None or not _is_of(work, MORTAL):
        return asyncio.Task(work, loop=loop, **options)
    return death.begin(work, loop=loop, **options)


async def outlived() -> None:
    """Wait for transactions whose callers have died: PostgreSQL's books finish them on their own."""
    while running := [task for task in asyncio.all_tasks() if _is_of(task.get_coro(), TRANSACTIONS)]:
        await asyncio.wait(running)


def _is_of(work: Any, room: str) -> bool:
    code = getattr(work, "cr_code", None)
    return code is not None and room in code.co_filename


async def _counted(work: Coroutine[Any, Any, T], death: Death) -> T:
    result: T = await _Counted(work, death)
    return result


class _Counted:
    """Passes on whatever a coroutine awaits, and counts it."""

    def __init__(self, work: Coroutine[Any, Any, Any], death: Death) -> None:
        self._work = work
        self._death = death

    def __await__(self) -> Generator[Any, Any, Any]:
        go_on, value = self._work.send, None
        while True:
            try:
                waits_for = go_on(value)
            except StopIteration as end:
                return end.value
            self._death.count()
            try:
                go_on, value = self._work.send, (yield waits_for)
            except BaseException as error:
                go_on, value = self._work.throw, error
