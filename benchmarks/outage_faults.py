"""The faults of `benchmarks.outage`: each is done to a running stack, lasts for some seconds, and is over."""

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, assert_never

from benchmarks import stack
from benchmarks.fleet import begin_again
from benchmarks.small_disk import SmallDisk

Fault = Literal["full-disk", "dead-task", "postgres", "postgres-full", "kafka", "open-transaction"]

FILL = frozenset({"full-disk", "postgres-full"})
ON_POSTGRES = frozenset({"postgres", "postgres-full", "open-transaction"})
REFILLED_EVERY_S = 0.2
OPEN = """
    BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM payments; SELECT count(*) FROM outbox;
    SELECT pg_sleep({seconds}); COMMIT
"""


async def strike(measured: stack.Stack, fault: Fault, seconds: float, disk: SmallDisk | None) -> float:
    """Do it, and wait until it is over or the process has ended of it.

    Returns when (monotonic, s) it was over, or a death asked for.
    """
    match fault:
        case "full-disk":
            await _fill(disk, seconds)
        case "dead-task":
            return await _kill_task(measured)
        case "postgres":
            assert measured.server
            measured.server.kill()
            await asyncio.sleep(seconds)
            await begin_again(measured.server)
        case "postgres-full":
            assert measured.server
            await _fill(disk, seconds)
            await begin_again(measured.server)  # where it ended of it
        case "kafka":
            with _kept_down(measured):
                await asyncio.sleep(seconds)
        case "open-transaction":
            assert measured.server
            await asyncio.to_thread(measured.server.sql, OPEN.format(seconds=seconds))
        case _:
            assert_never(fault)
    return time.monotonic()


async def _fill(disk: SmallDisk | None, seconds: float) -> None:
    assert disk is not None
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        disk.fill()
        await asyncio.sleep(REFILLED_EVERY_S)
    disk.free()


async def _kill_task(measured: stack.Stack) -> float:
    pid, began = measured.pids()["gateway"], time.monotonic()
    os.kill(pid, signal.SIGUSR2)
    while measured.pids().get("gateway") == pid:  # noqa: ASYNC110 - a process has no event to wait for
        await asyncio.sleep(0.02)
    return began


@contextmanager
def _kept_down(measured: stack.Stack) -> Iterator[None]:
    """Kafka is killed, and cannot come back meanwhile, for its directory is locked."""
    lock = Path(measured.settings.data) / "kafka" / "data" / ".lock"
    os.kill(measured.pids()["kafka"], signal.SIGKILL)
    with lock.open("r+") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)  # once the killed one is gone
        yield
