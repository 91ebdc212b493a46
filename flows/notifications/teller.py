"""Events are taken in, recipients asked for, messages sent: each step in a lane of its own (`lane.py`)."""

import asyncio
import sqlite3
from collections.abc import Iterable
from datetime import timedelta

import msgspec
import structlog
from structlog.contextvars import bind_contextvars

from connectors.delivery import CONNECTIONS, DeliveryRefused, ServerAway, TryLater
from connectors.lasting import LastingTask
from connectors.records import Out, Record, dead_letter, event_id_of
from connectors.traces import CURRENT, TRACES
from flows.notifications.allowance import Allowance
from flows.notifications.delivery import (
    METRICS,
    SOURCE,
    Deliverer,
    Delivery,
    deliveries,
    message_id_of,
    record,
    record_of,
    suppressed,
)
from flows.notifications.lane import FIRST_PAUSE_S, Lane
from flows.notifications.message import ToldEvent
from flows.notifications.preferences import is_quiet, quiet_for
from flows.notifications.recipients import Recipients
from flows.notifications.sent_log import SentLog
from flows.notifications.waiting import LaneName, Line, OverdueMessage, Waiting, WaitingMessage
from schemas.events import Event, decode, trace_id
from schemas.notifications import Recipient, mask
from schemas.times import as_utc, now

FULL = 1_000_000  # messages that wait, about 2 GB: beyond it the flow stops reading, and Kafka keeps the rest
QUIET_FULL = FULL // 2  # beyond it quiet hours keep no message, so that those who sleep hold up nobody
LOOKS_AGAIN = timedelta(minutes=30)  # in quiet hours: whether they were changed, or the account erased
PAUSE_MAX_S = 30.0
ASKED_AT_ONCE = 100  # events of a customer
GIVEN_UP_AT_ONCE = 200
SWEEP_EVERY_S = 1.0
SLOTS: dict[LaneName, int] = {"recipient": 16, "email": 8, "sms": 8}
# Our own gateway is slow for all of us or for nobody: more questions at a time would make it slower.
ASIDE: dict[LaneName, int] = {
    "recipient": 0,
    "email": CONNECTIONS - SLOTS["email"],
    "sms": CONNECTIONS - SLOTS["sms"],
}

log = structlog.get_logger()


class TellerPolicy(msgspec.Struct, frozen=True):
    """`patience`: for how long a message is tried. Events older than `age_max` are not told any more."""

    patience: timedelta
    age_max: timedelta


class Teller:
    """Tells customers of events. Belongs to the event loop that made it."""

    def __init__(
        self,
        sent_log: SentLog,
        recipients: Recipients,
        deliverer: Deliverer,
        allowance: Allowance,
        policy: TellerPolicy,
    ) -> None:
        """Goes on at once with what waits in the log."""
        self._log, self._waiting, self._allowance = sent_log, Waiting(sent_log), allowance
        self._recipients, self._deliverer, self._policy = recipients, deliverer, policy
        self.has_outcomes, self._has_room = True, asyncio.Event()
        works = {"recipient": self._ask, "email": self._tell, "sms": self._tell}
        self._lanes = {
            name: Lane(name, slots, ASIDE[name], self._waiting, works[name]) for name, slots in SLOTS.items()
        }
        METRICS.waiting.set_function(lambda: self._waiting.count)
        self._running = LastingTask(self._run(), "teller")

    async def keep(self, items: Iterable[tuple[Record, Event]]) -> None:
        """Take in events; those that were taken in before are dropped. Returns once they are on disk.

        Does not return before fewer than `FULL` messages wait, however long that takes.
        """
        with self._log.transaction(durable=True):
            forgotten = sum([self._take_in(source, event) for source, event in items])
        if forgotten:
            log.warning("notification.forgotten", events=forgotten)
        self._lanes["recipient"].wake()
        if self._waiting.count >= FULL:
            self._has_room.clear()
            await self._has_room.wait()

    async def outcomes(self, after: int, limit: int) -> list[tuple[int, Out]]:
        """The records to write next, with their numbers, beyond the number `after`."""
        found = self._log.outcomes(after, limit)
        self.has_outcomes = len(found) == limit
        return found

    async def published(self, numbers: Iterable[int]) -> None:
        """Kafka has acknowledged these records."""
        self._log.published(numbers)

    async def close(self) -> None:
        """End the lanes, then close all connections and the log."""
        await self._running.stop()
        await self._deliverer.close()
        await self._recipients.close()
        self._log.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes.values():
                tasks.create_task(lane.run())
            tasks.create_task(self._sweep())

    def _take_in(self, source: Record, event: Event) -> bool:
        """Whether the event is too old for anybody to know whether its messages were sent; then none is."""
        assert isinstance(event.data, ToldEvent)
        known = self._log.take_in(event.id, as_utc(event.data.recorded_at))
        if known == "new":
            self._waiting.add("recipient", event.data.payment.customer, source)
        return known == "forgotten"

    async def _ask(self, lane: LaneName, customer: str) -> bool:
        """Ask whom to tell of the first events of a line, and queue their messages."""
        line = self._waiting.line(lane, customer, ASKED_AT_ONCE)
        belong_to(line.messages[0])
        try:
            recipient = await self._recipients.ask(customer)
        except TryLater as error:
            self._postpone(lane, customer, line, error)
            if isinstance(error, ServerAway):
                raise
            return True
        except Exception as error:
            with self._log.transaction():
                self._settle(lane, customer, line.messages, [_set_aside(m, error) for m in line.messages])
            return True
        with self._log.transaction():
            outcomes = [outcome for message in line.messages for outcome in self._plan(message, recipient)]
            self._settle(lane, customer, line.messages, outcomes)
        for name in ("email", "sms"):
            self._lanes[name].wake()
        return True

    def _plan(self, message: WaitingMessage, recipient: Recipient | None) -> list[Out]:
        """Queue the messages of an event. Returns the records of those that are not sent."""
        try:
            wanted = deliveries(_event(message), recipient)
            new = [each for each in wanted if not self._log.knows(message_id_of(each.event, each.channel))]
            outcomes = [(each, self._suppress(each)) for each in new]
        except sqlite3.Error:
            raise
        except Exception as error:
            return [_set_aside(message, error)]
        for delivery, outcome in outcomes:
            if outcome is None and delivery.channel != "webhook":
                self._waiting.add(delivery.channel, message.customer, message.record, message.queued_s)
        return [outcome for _, outcome in outcomes if outcome]

    def _suppress(self, delivery: Delivery) -> Out | None:
        """The record of a message that is not sent; None where it is."""
        reason = suppressed(delivery, now(), self._policy.age_max)
        return record_of(delivery, "suppressed", reason) if reason else None

    async def _tell(self, lane: LaneName, customer: str) -> bool:
        """Send the first message of a line, to where its recipient wants it now; whether its server was asked."""
        line = self._waiting.line(lane, customer)
        message = line.messages[0]
        belong_to(message)
        delivery: Delivery | None = None
        held_back: Out | None = None
        try:
            wanted = deliveries(_event(message), await self._recipients.ask(customer))
            delivery = next((each for each in wanted if each.channel == lane), None)
            if delivery and self._rests(delivery, lane, customer):
                return False
            held_back = self._hold_back(delivery) if delivery else None
            outcomes = [held_back or await self._deliver(delivery, message)] if delivery else []
        except TryLater as error:
            self._postpone(lane, customer, line, error, delivery)
            if isinstance(error, ServerAway):
                raise
            return True
        except sqlite3.Error:
            raise
        except Exception as error:
            outcomes = [_set_aside(message, error)]
        with self._log.transaction():
            self._settle(lane, customer, [message], outcomes)
        return delivery is not None and held_back is None

    def _rests(self, delivery: Delivery, lane: LaneName, customer: str) -> bool:
        """Whether the line rests, for its recipient's quiet hours; what is too old by then is suppressed then."""
        if self._suppress(delivery) or self._waiting.count >= QUIET_FULL:
            return False
        pause = quiet_for(delivery.recipient, now(), LOOKS_AGAIN)
        if not pause:
            return False
        with self._log.transaction():
            self._waiting.rest(lane, customer, pause.total_seconds())
        return True

    def _hold_back(self, delivery: Delivery) -> Out | None:
        """The record of a message that is not sent; None where it is, now."""
        if outcome := self._suppress(delivery):
            return outcome
        if is_quiet(delivery.recipient, now()):
            return record_of(delivery, "suppressed", "quiet_hours")
        if not self._allowance.takes(delivery, self._waiting.now_s()):
            return record_of(delivery, "suppressed", "rate")
        return None

    async def _deliver(self, delivery: Delivery, message: WaitingMessage) -> Out:
        """The record of a message that was handed over. Raises `TryLater` and `ServerAway`."""
        span, is_handed_over = TRACES.begin(f"notify {delivery.channel}", "client", CURRENT.get()), False
        try:
            await self._deliverer.send(delivery, message.began is not None, lambda: self._waiting.begin(message))
            is_handed_over = True
        except DeliveryRefused as error:
            return record_of(delivery, "failed", error.reason)
        finally:
            span.end({"sluice.payment_id": delivery.data.payment.id}, failed=not is_handed_over)
        return record_of(delivery, "delivered")

    def _settle(self, lane: LaneName, customer: str, messages: list[WaitingMessage], outcomes: list[Out]) -> None:
        self._waiting.remove(messages)
        self._waiting.answered(lane, customer)
        self._log.add_outcomes(outcomes)
        self.has_outcomes = self.has_outcomes or bool(outcomes)

    def _postpone(
        self, lane: LaneName, customer: str, line: Line, error: TryLater, delivery: Delivery | None = None
    ) -> None:
        if line.tries == 0:
            event_id = event_id_of(line.messages[0].record.headers)
            log.warning("notification.postponed", event_id=event_id, reason=error.reason)
        address = mask(delivery.address() or "") if delivery else line.address
        self._waiting.postpone(lane, customer, pause_s(line.tries), error.reason, address)

    async def _sweep(self) -> None:
        """Give up what was tried for long enough, and forget what is long past."""
        while True:
            there_are_more = any(self._give_up(lane) for lane in self._lanes.values())
            self._log.forget()
            self._allowance.forget(self._waiting.now_s())
            self._waiting.save_clock()
            if self._waiting.count < FULL:
                self._has_room.set()
            await asyncio.sleep(0 if there_are_more else SWEEP_EVERY_S)

    def _give_up(self, lane: Lane) -> bool:
        """Give up some messages that nobody could take for too long; whether there may be more of them.

        They are not tried once more: the first of each line was, within the last pause.
        """
        before_s = self._waiting.now_s() - self._policy.patience.total_seconds()
        found = self._waiting.older(lane.name, before_s, bool(lane.away_reason), GIVEN_UP_AT_ONCE)
        overdue = [each for each in found if each.message.customer not in lane.running]
        if not overdue:
            return False
        with self._log.transaction():
            self._log.add_outcomes([_given_up(each, lane.away_reason) for each in overdue])
            self._waiting.remove([each.message for each in overdue])
        self.has_outcomes = True
        return len(found) == GIVEN_UP_AT_ONCE


def belong_to(message: WaitingMessage) -> None:
    """What this task does from here on, and logs, belongs to the trace of an event."""
    value = dict(message.record.headers).get("traceparent")
    traceparent = value.decode(errors="replace") if isinstance(value, bytes) else None
    if found := trace_id(traceparent):
        CURRENT.set(traceparent)
        bind_contextvars(trace=found)


def pause_s(tries: int) -> float:
    """How long a line rests after a try in vain, by the number of those before it."""
    return min(FIRST_PAUSE_S * 2.0 ** min(tries, 20), PAUSE_MAX_S)


def _set_aside(message: WaitingMessage, error: Exception) -> Out:
    """The dead letter of what would fail after every restart too."""
    # Not the error's text: it may contain an address.
    log.error("notification.failed", event_id=event_id_of(message.record.headers), error=type(error).__name__)
    return dead_letter(message.record, f"cannot be told: {type(error).__name__}", SOURCE)


def _given_up(overdue: OverdueMessage, away_reason: str) -> Out:
    message, reason = overdue.message, overdue.reason or away_reason
    if message.lane == "recipient":
        return dead_letter(message.record, f"nobody could be told: {reason}", SOURCE)
    try:
        return record(_event(message), message.lane, overdue.address, "failed", reason)
    except Exception as error:
        return _set_aside(message, error)


def _event(message: WaitingMessage) -> Event:
    return decode(message.record.headers, message.record.value)
