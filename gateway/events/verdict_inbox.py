"""Waiting for the fraud flow: all of `risk.v1` is read in a thread, each verdict handed to the payment it judges.

Read by assignment, without a group, from ten minutes back, so that a retry after a restart finds its verdict.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from time import monotonic, time
from typing import Any, cast

import structlog
from cachetools import FIFOCache
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from connectors.kafka import consumer, is_listening, offsets_at
from schemas.events import Unreadable, decode
from schemas.fraud import Verdict
from schemas.topics import RISK

LOOK_BACK_S = 600
REMEMBERED = 20_000  # verdicts kept for payments that have not asked yet
MISSED_MAX = 5  # verdicts in a row that may be late before nobody waits any more
PROBE_S = 1.0  # then one payment a second still waits, to see whether the flow is back
BATCH = 500
AWAY_S = 0.5  # between two looks whether Kafka is there
CAUGHT_UP_MAX_S = 10.0  # Kafka away must not keep the gateway from starting

log = structlog.get_logger()


class VerdictInbox:
    """The verdicts of the fraud flow as they come. `late` gets those nobody waited for any longer."""

    def __init__(self, bootstrap: str, late: Callable[[list[Verdict]], None]) -> None:
        self._bootstrap = bootstrap
        self._late = late
        self._waiting: dict[str, asyncio.Future[Verdict]] = {}
        self._arrived: FIFOCache[str, Verdict] = FIFOCache(REMEMBERED)
        self._given_up: FIFOCache[str, None] = FIFOCache(REMEMBERED)
        self._missed = 0
        self._probed = 0.0
        self._loop = asyncio.get_running_loop()
        self._caught_up = asyncio.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="verdicts", daemon=True)
        self._thread.start()
        self._loop.call_later(CAUGHT_UP_MAX_S, self._caught_up.set)

    async def ready(self) -> bool:
        """Whether what was judged before the start has been read, or Kafka is away."""
        return self._caught_up.is_set()

    async def wait(self, payment_id: str, budget_s: float) -> Verdict | None:
        """The verdict on a payment; None where it does not come within `budget_s` or the flow seems away."""
        arrived = self._arrived.pop(payment_id, None)
        if arrived is not None:
            return arrived
        if not self._worth_waiting():
            self._given_up[payment_id] = None
            return None
        waiter: asyncio.Future[Verdict] = self._loop.create_future()
        self._waiting[payment_id] = waiter
        try:
            verdict = await asyncio.wait_for(waiter, budget_s)
        except TimeoutError:
            self._missed += 1
            self._given_up[payment_id] = None
            return None
        finally:
            self._waiting.pop(payment_id, None)
        self._missed = 0
        return verdict

    async def close(self) -> None:
        """Stop reading. Where Kafka has just gone, the thread hangs in its client for seconds: not waited for."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 1.0)

    def _worth_waiting(self) -> bool:
        if self._missed < MISSED_MAX:
            return True
        if monotonic() - self._probed < PROBE_S:
            return False
        self._probed = monotonic()
        return True

    def _hand_out(self, verdicts: list[Verdict]) -> None:
        late = []
        for verdict in verdicts:
            waiter = self._waiting.get(verdict.payment)
            if waiter is not None and not waiter.done():
                waiter.set_result(verdict)
            elif verdict.payment in self._given_up:
                del self._given_up[verdict.payment]
                late.append(verdict)
            else:
                self._arrived[verdict.payment] = verdict
        if late:
            self._late(late)

    def _read(self) -> None:
        while not self._stop.is_set():
            if not is_listening(self._bootstrap):
                self._stop.wait(AWAY_S)
                continue
            try:
                self._read_from_broker()
            except KafkaException as error:
                log.warning("verdicts.unreadable", error=error.args[0].name())
                self._stop.wait(AWAY_S)

    def _read_from_broker(self) -> None:
        settings: dict[str, Any] = {"enable.partition.eof": True}
        client = consumer(self._bootstrap, **settings)
        try:
            begin = offsets_at(client, RISK.name, int((time() - LOOK_BACK_S) * 1000))
            behind = {place.partition for place in begin}
            client.assign(begin)
            while not self._stop.is_set():
                self._take(_poll(client), behind)
        finally:
            client.close()

    def _take(self, messages: list[Message], behind: set[int]) -> None:
        verdicts = list(_readable(messages))
        if verdicts:
            self._loop.call_soon_threadsafe(self._hand_out, verdicts)
        if behind:
            behind -= {m.partition() for m in messages if m.error()}
            if not behind:
                self._loop.call_soon_threadsafe(self._caught_up.set)


def _poll(client: Consumer) -> list[Message]:
    """The next record, and all that came with it: waiting for a full batch would cost each verdict the wait."""
    first = client.poll(0.2)
    return [] if first is None else [first, *client.consume(BATCH - 1, 0)]


def _readable(messages: Iterable[Message]) -> Iterable[Verdict]:
    for message in messages:
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            continue
        try:
            headers = cast(list[tuple[str, bytes]] | None, message.headers())  # the stub also allows a dict
            data = decode(headers, message.value()).data
        except Unreadable:
            continue  # the flows set such a record aside; here it only means that nobody gets a verdict
        if isinstance(data, Verdict):
            yield data
