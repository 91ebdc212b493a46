"""Key rotation while serving: data keys are wrapped anew batch by batch; a killed one goes on at the next start.

Where it stands is in the rows themselves (each names the version that wrapped its data key), so there is no
progress to lose.
"""

import asyncio

import msgspec
import structlog

from gateway.vault.frames import Stats
from gateway.vault.safe import Safe

log = structlog.get_logger()


class Rotation:
    """The one rotation that may run."""

    def __init__(self, safe: Safe) -> None:
        self._safe = safe
        self._task: asyncio.Task[None] | None = None
        self._stuck = 0  # cards that the last whole pass could not open: they hold up no new version

    async def begin(self) -> Stats:
        """Begin one, or join the one that runs. Raises `UnusableKey` where there is no key to rotate to."""
        stats = await self._safe.begin_rotation(self._stuck)
        if not self._at_work():
            self._task = asyncio.create_task(self._run(), name="rotation")
        return msgspec.structs.replace(stats, rotating=True)

    async def count(self) -> Stats:
        """The figures of this moment."""
        rotating = self._at_work()  # asked first: where it says no, the figures are final
        return msgspec.structs.replace(await self._safe.count(), rotating=rotating)

    async def resume(self) -> None:
        """Go on with a rotation that a restart cut short."""
        if (await self._safe.count()).left:
            await self.begin()

    async def close(self) -> None:
        """Stop between two batches."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _at_work(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        last = ""
        try:
            while (batch := await self._safe.rotate_some(last)) is not None:
                last = batch.last
                for card in batch.damaged:
                    log.error("vault.rotate", card=card, result="NotOpened")
        except Exception as error:
            # Cards left keep their version and stay readable; the next call or restart goes on.
            log.error("vault.rotate", result=type(error).__name__)
        else:
            stats = await self._safe.count()
            self._stuck = stats.left
            log.info("vault.rotated", key=stats.key, cards=stats.cards, left=stats.left)
