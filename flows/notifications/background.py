"""An event loop in a thread of its own: connections stay alive between the batches of a synchronous engine."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as StillRunning
from typing import Any, TypeVar

SLICE_S = 0.5

T = TypeVar("T")


class Background:
    """Runs coroutines for threads that have no loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="background", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], waiting: Callable[[], None] = lambda: None) -> T:
        """The result of `work`; until it is there, `waiting` is called every half second."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while True:
            try:
                return future.result(SLICE_S)
            except StillRunning:
                if future.done():  # the work's own timeout, not ours
                    raise
                waiting()

    def close(self) -> None:
        """Stop the loop; nothing may be running any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
