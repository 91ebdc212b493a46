"""How tests wait: they look again and again, up to a deadline that only what is broken passes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE_S = 60.0


def until(holds: Callable[[], Any], seconds: float = PATIENCE_S, why: Callable[[], object] = lambda: "") -> Any:
    """What `holds` returns once it is true; fails with `why()` where that takes longer."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"waited in vain for {seconds} s: {why()}"
        time.sleep(0.05)
    return found


async def eventually(holds: Callable[[], Any | Awaitable[Any]], seconds: float = PATIENCE_S) -> Any:
    """The same while the event loop goes on; `holds` may be a coroutine function."""
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
    """Whether a measurement comes out right once: a busy machine spoils some of them, a mistake all."""
    return any(holds() for _ in range(tries))
