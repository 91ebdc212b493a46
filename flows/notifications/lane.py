"""A lane: the bounded pool of tasks at one party outside, and its pause while that party is away.

Lanes know nothing of each other: a server that hangs or is gone stops its own lane alone. A try that hangs, as
for a mailbox or phone that is never answered for, steps aside: it goes on beside the slots, and another begins.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import msgspec
import structlog

from connectors.delivery import ServerAway
from flows.notifications.delivery import METRICS
from flows.notifications.waiting import LaneName, Waiting

FIRST_PAUSE_S = 0.2
AWAY_MAX_S = 5.0  # between two probes of a party that is away
RETRIES_PER_S = 20.0  # of all lines that failed: 100,000 of them would keep a processor busy
STEPS_ASIDE_S = 0.15  # 110 that hang let another one begin after 110 / 8 slots of these: 2 s
REST_MAX_S = 1.0
REST_MIN_S = 0.02

log = structlog.get_logger()

Work = Callable[[LaneName, str], Awaitable[bool]]  # of a customer's line; whether the party was there for it


class Try(msgspec.Struct, frozen=True):
    """A line that is being worked on: whether it failed before, and since when, by the clock of `Waiting`."""

    failed_before: bool
    began_s: float


class Lane:
    """The lines of one party: `slots` at a time, and `aside` that hang. Half of both are for what never failed."""

    def __init__(self, name: LaneName, slots: int, aside: int, waiting: Waiting, work: Work) -> None:
        """`work` does what is first in a line, and raises `ServerAway` where it found nobody to do it with."""
        self.name, self.running = name, dict[str, Try]()  # by customer
        self.away_reason = ""
        self._slots, self._aside, self._waiting, self._work = slots, aside, waiting, work
        self._failures, self._paused_until_s, self._retry_from_s = 0, 0.0, 0.0
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for lines that are due."""
        self._woken.set()

    async def run(self) -> NoReturn:
        """Do what is due, for ever. Raises what `work` raises beyond `ServerAway`."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._woken.clear()
                self._start_due(tasks)
                await self._rest()

    def _start_due(self, tasks: asyncio.TaskGroup) -> None:
        """Start lines that are due; while the party is away only one, as a probe."""
        moment = self._waiting.now_s()
        if moment < self._paused_until_s:
            return
        slots = 1 if self._failures else self._slots
        self._start(tasks, False, slots - self._occupied(moment))
        if moment >= self._retry_from_s:
            room = min(slots - self._occupied(moment), self._slots // 2 - self._occupied_by_failed(moment))
            self._retry_from_s = moment + self._start(tasks, True, room) / RETRIES_PER_S

    def _occupied(self, moment: float) -> int:
        """How many slots are taken: by tries that did not step aside, or by all that have no room there."""
        return _occupied(list(self.running.values()), self._aside, moment)

    def _occupied_by_failed(self, moment: float) -> int:
        return _occupied([one for one in self.running.values() if one.failed_before], self._aside // 2, moment)

    def _start(self, tasks: asyncio.TaskGroup, tried: bool, room: int) -> int:
        """Start up to `room` lines; how many were started."""
        if room <= 0:
            return 0
        due = self._waiting.due(self.name, tried, room + len(self.running))
        started = [customer for customer in due if customer not in self.running][:room]
        for customer in started:
            self.running[customer] = Try(tried, self._waiting.now_s())
            tasks.create_task(self._run_line(customer))
        return len(started)

    async def _run_line(self, customer: str) -> None:
        try:
            if await self._work(self.name, customer):
                self._failures, self.away_reason = 0, ""
                METRICS.away.labels(self.name).set(0)
        except ServerAway as error:
            self._pause(error.reason)
        finally:
            del self.running[customer]
            self._woken.set()

    def _pause(self, reason: str) -> None:
        """Tasks that were under way together fail together: they are one failure."""
        moment = self._waiting.now_s()
        if moment < self._paused_until_s:
            return
        if not self._failures:
            log.warning("channel.paused", channel=self.name, reason=reason)
        self._paused_until_s = moment + min(FIRST_PAUSE_S * 2**self._failures, AWAY_MAX_S)
        self._failures, self.away_reason = self._failures + 1, reason
        METRICS.away.labels(self.name).set(1)

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rest_s()):  # `wait_for` of Python 3.11 can lose a cancellation
                await self._woken.wait()

    def _rest_s(self) -> float:
        """Until a pause ends, a try steps aside or a failed line is due; a task that ends wakes the lane too."""
        moment = self._waiting.now_s()
        if moment < self._paused_until_s:
            return max(self._paused_until_s - moment, REST_MIN_S)
        if self.running:
            return STEPS_ASIDE_S
        due_s = self._waiting.next_due_s(self.name)
        if due_s is None:
            return REST_MAX_S
        return min(max(due_s - moment, self._retry_from_s - moment, REST_MIN_S), REST_MAX_S)


def _occupied(tries: list[Try], aside: int, moment: float) -> int:
    young = sum(moment - one.began_s < STEPS_ASIDE_S for one in tries)
    return max(young, len(tries) - aside)
