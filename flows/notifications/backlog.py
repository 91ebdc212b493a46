"""Events not told yet: a line for each payment, so that a later word never overtakes an earlier one.

The lines lie in the flow's recovery state (events, no address) and are short: beyond `FULL` the flow stops
reading, and Kafka keeps the rest.
"""

import asyncio
from collections import deque
from datetime import datetime, timedelta

import msgspec
import structlog

from connectors.delivery import TryLater
from connectors.records import Out, Record, dead_letter, out
from flows.notifications.courier import SOURCE, Courier
from flows.notifications.recipients import GatewayAway
from schemas.events import Event
from schemas.times import now
from schemas.topics import NOTIFICATIONS

FULL = 100  # events of one partition
AT_ONCE = 16  # payments
FIRST_PAUSE_S = 0.2
PAUSE_MAX_S = 30.0

log = structlog.get_logger()


class Job(msgspec.Struct):
    """One event to tell: its record, since when and how often it was tried, and when it is due again."""

    record: Record
    event: Event
    since: datetime
    due: datetime
    tries: int = 0


class Backlog:
    """The jobs of one partition of `payments.v1`."""

    def __init__(self, courier: Courier, patience: timedelta, jobs: list[Job]) -> None:
        """`jobs`: those left when the flow stopped. After `patience` a job is given up."""
        self._courier, self._patience = courier, patience
        self._lines: dict[str, deque[Job]] = {}
        for job in jobs:
            self._line(job.event).append(job)

    def jobs(self) -> list[Job]:
        """What is not told yet, in order for each payment."""
        return [job for line in self._lines.values() for job in line]

    def due(self) -> datetime | None:
        """When the next job is due; None where none waits."""
        return min((line[0].due for line in self._lines.values()), default=None)

    async def work(self, records: list[tuple[Record, Event]]) -> list[Out]:
        """Take these in and tell what is due; returns what to write to Kafka.

        Returns with fewer than `FULL` jobs waiting, however long that takes.
        """
        moment = now()
        for record, event in records:
            self._line(event).append(Job(record, event, moment, moment))
        written = await self._tell_due()
        while len(self.jobs()) >= FULL:
            await asyncio.sleep(FIRST_PAUSE_S)
            written += await self._tell_due()
        return written

    def _line(self, event: Event) -> deque[Job]:
        return self._lines.setdefault(event.subject, deque())

    async def _tell_due(self) -> list[Out]:
        gate = asyncio.Semaphore(AT_ONCE)
        moment = now()
        lines = [line for line in self._lines.values() if line[0].due <= moment]
        written = await asyncio.gather(*(self._tell_line(line, gate) for line in lines))
        self._lines = {payment: line for payment, line in self._lines.items() if line}
        return [record for records in written for record in records]

    async def _tell_line(self, line: deque[Job], gate: asyncio.Semaphore) -> list[Out]:
        written: list[Out] = []
        async with gate:
            while line:
                told = await self._tell(line[0])
                if told is None:
                    break
                written += told
                line.popleft()
        return written

    async def _tell(self, job: Job) -> list[Out] | None:
        """What became of a job; None where it has to wait."""
        last_try = now() - job.since >= self._patience
        try:
            told = await self._courier.tell(job.event, last_try)
        except (GatewayAway, TryLater) as error:
            if not last_try:
                _postpone(job, str(error))
                return None
            return [dead_letter(job.record, f"nobody could be told: {error}", SOURCE)]
        except Exception as error:
            # What breaks us now would do so after every restart. Not the error's text: it may hold an address.
            log.error("cannot_tell", notice=job.event.id, error=type(error).__name__)
            return [dead_letter(job.record, f"cannot be told: {type(error).__name__}", SOURCE)]
        return [out(NOTIFICATIONS.name, event.subject, event) for event in told]


def _postpone(job: Job, reason: str) -> None:
    pause_s = min(FIRST_PAUSE_S * 2**job.tries, PAUSE_MAX_S)
    if job.tries == 0:
        log.warning("told_later", notice=job.event.id, reason=reason)
    job.tries += 1
    job.due = now() + timedelta(seconds=pause_s)
