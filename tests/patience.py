"""How tests wait: they poll up to a deadline that is passed only by what is broken.

What takes long to look at is looked at seldom: on two cores, looking holds up what is waited for.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE_S = 60.0
PAUSE, PAUSE_MAX_S = 3, 2.0  # so many times as long as a look took


def until(holds: Callable[[], Any], seconds: float = PATIENCE_S, why: Callable[[], object] = lambda: "") -> Any:
    """The first true result of `holds`; fails with `why()` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if found := holds():
            return found
        assert time.monotonic() < deadline, f"waited in vain for {seconds} s: {why()}"
        time.sleep(min(PAUSE_MAX_S, max(0.05, PAUSE * (time.monotonic() - began))))


async def eventually(holds: Callable[[], Any | Awaitable[Any]], seconds: float = PATIENCE_S) -> Any:
    """Like `until`, without blocking the event loop; `holds` may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for {seconds} s"
        await asyncio.sleep(0.01)


def best_of(tries: int, holds: Callable[[], bool]) -> bool:
    """Whether a measurement holds in one of `tries`: a busy machine spoils some of them, a bug all."""
    return any(holds() for _ in range(tries))
