"""The office of the vault that serves: what it changes in the witness, and how it learns that it was relieved.

Nothing here stands on a clock. An answer goes out once the vault that stands by has its entry, or once the witness
says that none stands by. Another one takes over by changing the same row, after which neither is possible.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import structlog

from connectors.lasting import LastingTask
from connectors.logs import LoggedOnce
from gateway.vault.standing import Standing, keep_standing
from gateway.vault.witness import Witness, WitnessAway, WitnessRow

BEAT_S = 0.4
AGAIN_S = 0.2
AWAY_LOGGED_S = 10.0
RELIEVED = 75  # EX_TEMPFAIL of sysexits.h: the supervisor starts it again, and it stands by

log = structlog.get_logger()


class Office:
    """Held by the process that serves, from `row` on, which it has written to the witness."""

    def __init__(self, witness: Witness, row: WitnessRow, data: Path) -> None:
        self._witness, self._row, self._data = witness, row, data
        self._changing = asyncio.Lock()
        self._task: LastingTask | None = None
        self._once = LoggedOnce(AWAY_LOGGED_S)

    @property
    def row(self) -> WitnessRow:
        """What the witness says, as long as this process serves."""
        return self._row

    def begin(self) -> None:
        """Beat from now on."""
        self._task = LastingTask(self._beat(), "vault office")

    async def close(self) -> None:
        """Beat no more."""
        if self._task is not None:
            await self._task.stop()

    async def admit(self, name: str, still: Callable[[], bool]) -> bool:
        """Have the witness say that `name` has all that is answered; not if it is not so `still`."""
        return await asyncio.shield(self._admit(name, still))  # half a change would not be known of

    async def alone(self) -> None:
        """Return once the witness says that nobody stands by."""
        if self._row.standby or self._changing.locked():
            await asyncio.shield(self._alone())

    async def _admit(self, name: str, still: Callable[[], bool]) -> bool:
        async with self._changing:
            if still():
                await self._change(name)
                return True
            return False

    async def _alone(self) -> None:
        async with self._changing:
            if self._row.standby:
                gone = self._row.standby
                await self._change("")
                log.warning("standby.left", vault=gone, term=self._row.term)

    async def _change(self, standby: str) -> None:
        wanted = self._row._replace(standby=standby, term=self._row.term + 1)
        while not await self._is_changed(wanted):  # noqa: ASYNC110 - another machine sets no event
            await asyncio.sleep(AGAIN_S)
        self._row = wanted
        try:
            await asyncio.to_thread(
                keep_standing, self._data, Standing(wanted.store_id, wanted.term, wanted.serving)
            )
        except OSError as error:  # it lags, and by that nobody ever serves too early
            log.error("standing.not_kept", error=error.strerror)

    async def _is_changed(self, wanted: WitnessRow) -> bool:
        """False: not known yet. Ends the process where another one has the office."""
        try:
            if await self._witness.change(self._row.term, wanted):
                return True
            found = await self._witness.read()
        except WitnessAway as error:
            self._note_away(error)
            return False
        if not wanted.is_same_term(found):  # else the answer to an earlier try was lost
            relieved(found)
        return True

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                if not await self._witness.beat(self._row.run_id):
                    relieved(await self._witness.read())
            except WitnessAway as error:
                self._note_away(error)

    def _note_away(self, error: WitnessAway) -> None:
        if self._once.is_due("away"):
            log.warning("witness.away", reason=str(error))


def relieved(found: WitnessRow | None) -> NoReturn:
    """End at once: another vault serves, and nothing that waits here may be answered."""
    log.error("vault.relieved", serving=found.serving if found else None, term=found.term if found else None)
    os._exit(RELIEVED)
