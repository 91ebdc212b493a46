"""Recovery's pools: one for each processor, so that nobody waits for one that hangs, and one that asks none.

A pool has a bounded number of pieces of work in hand. As one ends, the next that is due takes its place; there are
no rounds. What a pool has in hand when the gateway ends keeps its lease, and is taken over once that runs out.
"""

import asyncio
from functools import partial
from typing import assert_never

import structlog
from cachetools import TTLCache
from sqlalchemy import Connection

from gateway.books.operations import Operation, select_due_operations, select_lost_operations
from gateway.books.payments import select_approved, select_interrupted, select_overdue
from gateway.books.verdicts import LateBlock, select_due_blocks
from gateway.payments.late_blocks import apply_late_block
from gateway.payments.recovery import recover_operation, recover_payment
from gateway.policy import INTERRUPTED_AFTER_US
from gateway.runtime import Runtime
from schemas.payments import ProcessorName
from schemas.times import steady_micros

EVERY_S = 0.5  # how often a pool with free places looks for more
FAILED_PAUSE_S = 5.0  # what raised may be due still: it is left alone for a while
FAILED_MAX = 1_000

log = structlog.get_logger()

Due = str | Operation | LateBlock  # a payment's id, an operation, or what came after the stand-in


async def recover(runtime: Runtime) -> None:
    """Recover what is due, for as long as the gateway runs."""
    async with asyncio.TaskGroup() as group:
        for pool in pools_of(runtime):
            group.create_task(pool.run(), name=f"recovery of {pool.processor or 'what was interrupted'}")


async def sweep(runtime: Runtime) -> None:
    """Begin what is due now, as much of it as the pools take, and wait until each of it was asked for once."""
    pools = pools_of(runtime)
    try:
        for pool in pools:
            await pool.begin()
        for pool in pools:
            await pool.drain()
    finally:
        for pool in pools:
            await pool.close()


def pools_of(runtime: Runtime) -> list["Pool"]:
    """The pools of a gateway: its processors', and that of what was interrupted."""
    return [Pool(runtime, None), *(Pool(runtime, processor) for processor in runtime.processors)]


class Pool:
    """What is due at a `processor`; without one, what asks none: what was interrupted or never sent."""

    def __init__(self, runtime: Runtime, processor: ProcessorName | None) -> None:
        self.processor = processor
        self._runtime = runtime
        self._size = runtime.policy.recovery_calls
        self._in_hand: dict[str, asyncio.Task[None]] = {}
        self._failed: TTLCache[str, None] = TTLCache(FAILED_MAX, FAILED_PAUSE_S)

    async def run(self) -> None:
        """Recover what is due until cancelled; what is in hand then is cancelled too."""
        try:
            while True:
                await self._look()
                if len(self._in_hand) < self._size:
                    await asyncio.sleep(EVERY_S)
                else:
                    await asyncio.wait(self._in_hand.values(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self.close()

    async def begin(self) -> None:
        """Begin what is due and not in hand, as far as there are free places."""
        most = self._size + len(self._failed)  # those are due still, and stand before all else
        for due in await self._runtime.books.read(self._due, most):
            due_id = due if isinstance(due, str) else str(due.id)
            if len(self._in_hand) < self._size and due_id not in self._in_hand and due_id not in self._failed:
                task = self._in_hand[due_id] = asyncio.create_task(self._recover(due))
                task.add_done_callback(partial(self._end, due_id))

    async def drain(self) -> None:
        """Wait until nothing is in hand."""
        while self._in_hand:
            await asyncio.wait(self._in_hand.values())

    async def close(self) -> None:
        """Let go of what is in hand: as after a kill, whoever comes when its leases have run out goes on."""
        left = list(self._in_hand.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _look(self) -> None:
        try:
            await self.begin()
        except Exception:
            log.exception("recovery.failed", processor=self.processor)

    def _due(self, conn: Connection, most: int) -> list[Due]:
        now = steady_micros()
        blocks = select_due_blocks(conn, self.processor, now, most)
        if self.processor is None:
            interrupted = select_interrupted(conn, now - INTERRUPTED_AFTER_US, most)
            overdue = select_overdue(conn, now, most)
            return [*interrupted, *overdue, *blocks, *select_lost_operations(conn, now, most)]
        approved = select_approved(conn, self.processor, now, most)
        return [*approved, *blocks, *select_due_operations(conn, self.processor, now, most)]

    async def _recover(self, due: Due) -> None:
        match due:
            case str():
                await recover_payment(self._runtime, due)
            case Operation():
                await recover_operation(self._runtime, due)
            case LateBlock():
                await apply_late_block(self._runtime, due)
            case _:
                assert_never(due)

    def _end(self, due_id: str, task: asyncio.Task[None]) -> None:
        del self._in_hand[due_id]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed[due_id] = None
            log.error("payment_recovery.failed", processor=self.processor, exc_info=error)
