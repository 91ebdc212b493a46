"""Events that wait for their messages: a line for each payment, so that no state overtakes an earlier one.

The lines are the flow's recovery state (events, no addresses) and are short: with `FULL` events waiting the flow
stops reading, and Kafka keeps the rest.
"""

import asyncio
import sys
from collections import deque
from datetime import datetime, timedelta

import msgspec
import structlog

from connectors.delivery import TryLater
from connectors.records import Out, Record, dead_letter, out
from flows.notifications.delivery import SOURCE, Notifier
from flows.notifications.recipients import GatewayAway
from schemas.events import Event
from schemas.times import now
from schemas.topics import NOTIFICATIONS

FULL = 100  # events of one partition
CONCURRENT_PAYMENTS = 16
FIRST_PAUSE_S = 0.2
PAUSE_MAX_S = 30.0

log = structlog.get_logger()


class QueuedEvent(msgspec.Struct):
    """One event to notify of: its record, when it was queued, when it is due, and how often it was tried.

    `waited_s`: the pauses between its tries: a clock that is set ahead makes one of them shorter, not all.
    """

    record: Record
    event: Event
    queued_at: datetime
    due: datetime
    tries: int = 0
    waited_s: float = 0.0


# Bytewax pickles the queue, so snapshots of earlier releases name this class `flows.notifications.backlog.Job`.
Job = QueuedEvent
sys.modules["flows.notifications.backlog"] = sys.modules[__name__]


class RetryQueue:
    """The events of one partition of `payments.v1` that wait for their messages."""

    def __init__(self, notifier: Notifier, patience: timedelta, queued: list[QueuedEvent]) -> None:
        """`queued` are those of the last snapshot. An event is given up once it has waited for `patience`."""
        self._notifier, self._patience = notifier, patience
        self._lines: dict[str, deque[QueuedEvent]] = {}
        for item in queued:
            self._line(item.event).append(item)

    def queued(self) -> list[QueuedEvent]:
        """The events that wait, in order for each payment."""
        return [item for line in self._lines.values() for item in line]

    def due(self) -> datetime | None:
        """When the next event is due; None where none waits."""
        return min((line[0].due for line in self._lines.values()), default=None)

    async def process(self, records: list[tuple[Record, Event]]) -> list[Out]:
        """Queue these events and send the messages that are due. Returns the records to write to Kafka.

        Does not return before fewer than `FULL` events wait, however long that takes.
        """
        moment = now()
        for record, event in records:
            self._line(event).append(QueuedEvent(record, event, moment, moment))
        written = await self._send_due()
        while len(self.queued()) >= FULL:
            await asyncio.sleep(FIRST_PAUSE_S)
            written += await self._send_due()
        return written

    def _line(self, event: Event) -> deque[QueuedEvent]:
        return self._lines.setdefault(event.subject, deque())

    async def _send_due(self) -> list[Out]:
        slots = asyncio.Semaphore(CONCURRENT_PAYMENTS)
        moment = now()
        lines = [line for line in self._lines.values() if _is_due(line[0], moment)]
        written = await asyncio.gather(*(self._send_line(line, slots) for line in lines))
        self._lines = {payment_id: line for payment_id, line in self._lines.items() if line}
        return [record for records in written for record in records]

    async def _send_line(self, line: deque[QueuedEvent], slots: asyncio.Semaphore) -> list[Out]:
        """Send the messages of one payment in order, up to the first event that has to wait."""
        written: list[Out] = []
        async with slots:
            while line:
                records = await self._send(line[0])
                if records is None:
                    break
                written += records
                line.popleft()
        return written

    async def _send(self, item: QueuedEvent) -> list[Out] | None:
        """The records of what became of an event; None where it has to wait."""
        last_try = item.waited_s >= self._patience.total_seconds()
        try:
            recorded = await self._notifier.notify(item.event, last_try)
        except (GatewayAway, TryLater) as error:
            if not last_try:
                _postpone(item, str(error))
                return None
            return [dead_letter(item.record, f"nobody could be told: {error}", SOURCE)]
        except Exception as error:
            # It would fail after every restart too. Not the error's text: it may contain an address.
            log.error("notification.failed", event_id=item.event.id, error=type(error).__name__)
            return [dead_letter(item.record, f"cannot be told: {type(error).__name__}", SOURCE)]
        return [out(NOTIFICATIONS.name, event.subject, event) for event in recorded]


def _is_due(item: QueuedEvent, moment: datetime) -> bool:
    """Whether its pause is over; one that seems longer than any is of before the clock was set back."""
    return not timedelta() < item.due - moment <= timedelta(seconds=PAUSE_MAX_S)


def _postpone(item: QueuedEvent, reason: str) -> None:
    pause_s = min(FIRST_PAUSE_S * 2**item.tries, PAUSE_MAX_S)
    if item.tries == 0:
        log.warning("notification.postponed", event_id=item.event.id, reason=reason)
    item.tries += 1
    item.waited_s += pause_s
    item.due = now() + timedelta(seconds=pause_s)
