"""An event loop in a thread of its own: connections stay open between the calls of what is synchronous."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as StillRunning
from typing import Any, TypeVar

from connectors.lasting import LastingThread

SLICE_S = 0.5

T = TypeVar("T")


class LoopThread:
    """Runs coroutines on behalf of threads that have no event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stopping = threading.Event()
        self._thread = LastingThread(self._loop.run_forever, "event loop", self._stopping)

    def run(self, work: Coroutine[Any, Any, T], waiting: Callable[[], None] = lambda: None) -> T:
        """The result of `work`. Blocks until it is there, and calls `waiting` every `SLICE_S` meanwhile."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while True:
            try:
                return future.result(SLICE_S)
            except StillRunning:
                if future.done():  # just now, or `work` itself raised a timeout: it is not the slice that ended
                    return future.result()
                waiting()

    def close(self) -> None:
        """Stop the loop and its thread. Nothing may be running on it any more."""
        self._stopping.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
