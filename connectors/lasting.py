"""Tasks and threads that last as long as their process: where one ends unasked, the process ends at once.

A process whose writer, relay or reader died would look alive and do half of its work, for ever. Its supervisor
starts it again, and what was in hand is taken up as after a kill -9. Nothing else may start what lasts.
"""

import asyncio
import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import Context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, TypeVar

import structlog

T = TypeVar("T")
Job = tuple["Future[Any]", Callable[[], Any]]

DIED = 70  # EX_SOFTWARE of sysexits.h
LOGGED_WITHIN_S = 2.0  # then the process ends without: whoever reads its log may be stuck
LOOP_ENDS_WITHIN_S = 1.0

log = structlog.get_logger()


class LastingTask:
    """A task that runs until `stop`. Its end by an error or by anybody else's cancellation ends the process.

    So does its return, unless it `returns` once it has nothing to do.
    """

    def __init__(
        self,
        work: Coroutine[Any, Any, object],
        name: str,
        *,
        returns: bool = False,
        context: Context | None = None,
    ) -> None:
        self._name, self._returns = name, returns
        self._asked = False
        self._task = asyncio.create_task(work, name=name, context=context)
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Ask it to end."""
        self._asked = True
        self._task.cancel()

    async def stop(self) -> None:
        """Ask it to end, and return once it has."""
        self.cancel()
        await asyncio.wait([self._task])

    async def done(self) -> None:
        """Return once it has ended by itself or by `cancel`."""
        await asyncio.wait([self._task])

    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    def _ended(self, task: "asyncio.Task[object]") -> None:
        if self._asked:
            return
        if task.cancelled():
            # A loop that ends cancels what is left on it, and is closed before this is due.
            task.get_loop().call_later(LOOP_ENDS_WITHIN_S, end_process, self._name)
        elif task.exception() is not None or not self._returns:
            end_process(self._name, task.exception())


class LastingThread(threading.Thread):
    """A thread that runs until `stopping` is set. Any other end of it ends the process."""

    def __init__(self, work: Callable[[], object], name: str, stopping: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._work, self._stopping = work, stopping
        self.start()

    def run(self) -> None:
        """Do the work."""
        try:
            self._work()
        finally:
            if not self._stopping.is_set():
                end_process(self.name, sys.exc_info()[1])


class LastingThreads(Executor):
    """An executor of `count` threads. The standard one goes on without those that died, and its calls wait."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._threads = [LastingThread(self._work, name, self._stopping) for _ in range(count)]

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Have a thread call `fn`."""
        future: Future[T] = Future()
        self._jobs.put((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the calls asked for, or without those that no thread has begun."""
        self._stopping.set()
        if cancel_futures:
            self._cancel_waiting()
        for _ in self._threads:
            self._jobs.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _cancel_waiting(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is not None:
                job[0].cancel()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)
            del job, future, call  # what was called may hold much, and the next call may be hours away


def end_process(name: str, error: BaseException | None = None) -> NoReturn:
    """Log that the task or thread `name` died, and end the process with code `DIED`.

    Where not even that is possible, for want of files, threads or memory, the process ends without a word.
    """
    try:
        with open(os.devnull, "w") as nowhere:
            faulthandler.dump_traceback_later(LOGGED_WITHIN_S, exit=True, file=nowhere)
            log.critical("task.died", task=name, exc_info=error)
    finally:
        os._exit(DIED)
