"""The relay: what was committed to the outbox goes to Kafka at once, in order per subject; a sweep takes the rest.

A row is handed to the producer only when all earlier rows of its subject are acknowledged. After a start and
after a failed delivery, earlier rows may lie in the books only: until a sweep has seen them all, in order, every
new row waits for the sweep as well.
"""

import asyncio
import threading
from collections import deque
from functools import partial
from typing import Any

import structlog
from confluent_kafka import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from connectors.kafka import producer
from gateway.books.engine import Books
from gateway.books.outbox import OutboxRow, mark_published, select_unpublished
from schemas.events import headers_of
from schemas.times import from_micros, now_micros

SOURCE = "/gateway"
SWEEP_S = 1.0
SWEEP_BEHIND_S = 0.1  # while new rows wait for the sweep
NOTED_EVERY_S = 0.05  # that Kafka has rows: one transaction for many of them
SWEPT_AFTER_US = 2_000_000  # the publisher's own time; older rows are the sweep's
PAGE = 1000
QUEUE_MAX = 20_000  # records waiting for Kafka in memory; the rest waits in the books

log = structlog.get_logger()


class OutboxRelay:
    """Publishes outbox rows. `publish` is given each committed group by the books."""

    def __init__(self, books: Books, bootstrap: str) -> None:
        self._books = books
        self._producer = producer(bootstrap, **{"queue.buffering.max.messages": QUEUE_MAX})
        self._behind: dict[str, deque[OutboxRow]] = {}  # subject → rows behind the one in flight
        self._delivered: deque[tuple[OutboxRow, KafkaError | None]] = deque()
        self._published: list[int] = []  # acknowledged by Kafka, not yet noted in the books
        self._direct = False
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="relay", daemon=True)
        self._thread.start()
        self._tasks = [asyncio.create_task(self._mark()), asyncio.create_task(self._sweep())]

    def publish(self, rows: list[OutboxRow]) -> None:
        """Send what was just committed, unless earlier rows are the sweep's to send."""
        if self._direct:
            self._line_up(rows)

    def _line_up(self, rows: list[OutboxRow]) -> None:
        for row in rows:
            behind = self._behind.get(row.subject_id)
            if behind is not None:
                behind.append(row)
            else:
                self._behind[row.subject_id] = deque()
                self._produce(row)

    async def close(self) -> None:
        """Wait briefly for what is in flight; what is not acknowledged goes out after the next start."""
        await asyncio.to_thread(self._producer.flush, 2.0)
        await asyncio.sleep(0)  # lets the acknowledgements in
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._published:
            await self._books.write(mark_published, self._published, now_micros())

    def _produce(self, row: OutboxRow) -> None:
        headers = headers_of(
            row.event_id, row.type, SOURCE, row.subject_id, from_micros(row.recorded_at), row.traceparent
        )
        try:
            self._producer.produce(
                row.topic, row.value, row.key, headers=headers, on_delivery=partial(self._on_delivery, row)
            )
        except BufferError:  # the queue is full: Kafka is away, and the books keep the row
            del self._behind[row.subject_id]
            self._direct = False

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.2)

    def _on_delivery(self, row: OutboxRow, error: KafkaError | None, _message: Any) -> None:
        self._delivered.append((row, error))
        if len(self._delivered) == 1:  # else the loop has not come to the ones before, and will find this one
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        while self._delivered:
            row, error = self._delivered.popleft()
            behind = self._behind.pop(row.subject_id, deque())
            if error is not None:
                log.warning("event.delayed", error=error.name(), topic=row.topic)
                self._direct = False  # the rows behind it wait as well: the sweep takes them in order
                continue
            self._published.append(row.id)
            if behind:
                following = behind.popleft()
                self._behind[row.subject_id] = behind
                self._produce(following)
        self._wake.set()

    async def _mark(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(NOTED_EVERY_S)
            self._wake.clear()
            ids = self._published.copy()
            try:
                await self._books.write(mark_published, ids, now_micros())
            except SQLAlchemyError as error:  # the disk is full: they are noted once it is not
                log.warning("outbox.mark_failed", error=type(error).__name__)
                self._wake.set()
            else:
                del self._published[: len(ids)]

    async def _sweep(self) -> None:
        while True:
            pause = SWEEP_S if self._direct else SWEEP_BEHIND_S
            try:
                await self._send_waiting()
            except SQLAlchemyError as error:  # the disk is gone for now: what waits is sent once it is back
                log.warning("outbox.sweep_failed", error=type(error).__name__)
            await asyncio.sleep(pause)

    async def _send_waiting(self) -> None:
        until = now_micros() - (SWEPT_AFTER_US if self._direct else 0)
        rows = await self._books.read(select_unpublished, until, PAGE)
        self._direct = len(rows) < PAGE
        in_flight, taken = set(self._behind), set(self._published)
        self._line_up([row for row in rows if row.subject_id not in in_flight and row.id not in taken])
