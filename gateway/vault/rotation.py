"""Key rotation while serving: data keys are rewrapped batch by batch, and then persons' keys.

A killed rotation continues at the next start. Its progress is in the rows themselves (each names the version that
wrapped its data key), so none can be lost.
"""

import msgspec
import structlog

from connectors.lasting import LastingTask
from gateway.vault.frames import CardCounts
from gateway.vault.person_keys import PersonKeys
from gateway.vault.safe import Safe

log = structlog.get_logger()


class Rotation:
    """Runs rotations, one at a time."""

    def __init__(self, safe: Safe, persons: PersonKeys) -> None:
        self._safe = safe
        self._persons = persons
        self._task: LastingTask | None = None
        self._stuck = 0  # cards that the last whole pass could not open: they do not hold up a new version

    async def begin(self) -> CardCounts:
        """Begin a rotation, or join the running one. Raises `UnusableKey` where there is no key to rotate to."""
        counts = await self._safe.begin_rotation(self._stuck)
        self._start()
        return msgspec.structs.replace(counts, rotating=True)

    async def count(self) -> CardCounts:
        """The counts at this moment."""
        rotating = self._is_running()  # read first: where it is False, the counts are final
        return msgspec.structs.replace(await self._safe.count(), rotating=rotating)

    async def resume(self) -> None:
        """Continue a rotation that a restart interrupted."""
        if (await self._safe.count()).left:
            await self.begin()
        elif self._persons.count_older():  # their keys follow the cards
            self._start()

    async def close(self) -> None:
        """Stop between two batches."""
        if self._task is not None:
            await self._task.stop()

    def _start(self) -> None:
        if not self._is_running():
            self._task = LastingTask(self._run(), "rotation", returns=True)

    def _is_running(self) -> bool:
        return self._task is not None and not self._task.is_done()

    async def _run(self) -> None:
        last = ""
        try:
            while (batch := await self._safe.rotate_some(last)) is not None:
                last = batch.last
                for card_id in batch.damaged:
                    log.error("vault.rotate", card_id=card_id, result="NotOpened")
            counts = await self._safe.count()
            await self._persons.rewrap_all(counts.key_version)
        except Exception as error:
            # The remaining cards keep their version and stay readable; the next call or restart continues.
            log.error("vault.rotate", result=type(error).__name__)
        else:
            self._stuck = counts.left
            log.info("vault.rotated", key=counts.key_version, cards=counts.cards, left=counts.left)
