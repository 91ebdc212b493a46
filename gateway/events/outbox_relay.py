"""The relay: publishes committed outbox rows at once, in order per subject; a sweep publishes the rest.

A row is handed to the producer only when all earlier rows of its subject are acknowledged. After a start and
after a failed delivery, earlier rows may be in the books only: until a sweep has read them all, in order, every
new row is left to the sweep as well.

Each gateway publishes the rows that it wrote, and takes over those of a gateway that is gone. A row whose subject
has an earlier one of another gateway on its way waits here until that is published (docs/decisions/0090).
"""

import asyncio
import threading
from collections import defaultdict, deque
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from sqlalchemy.exc import SQLAlchemyError

from connectors.kafka import POLL_S, REPEATED_AFTER_S, producer
from connectors.kafka_login import Bootstrap
from connectors.lasting import LastingTask, LastingThread
from connectors.logs import LoggedOnce
from gateway.books.engine import Books
from gateway.books.outbox import (
    OutboxRow,
    Unpublished,
    mark_published,
    newest_id,
    select_behind,
    select_unpublished,
)
from gateway.books.worker_lease import WorkerLease
from schemas.events import Headers, headers_of
from schemas.times import from_micros, now_micros

SOURCE = "/gateway"
SWEEP_S = 1.0
SWEEP_BEHIND_S = 0.1  # while new rows are left to the sweep, or wait for another gateway's
MARK_EVERY_S = 0.05  # one transaction marks the rows that were acknowledged in this time
SWEEP_AGE_S = 2.0  # younger rows are left to `publish`
UNSURE_S = 10.0  # longer than a server takes for a COMMIT whose connection broke
CLOSED_WITHIN_S = 2.0  # rows that are in flight then are published after the next start
REPLACED_EVERY_S = 1.0  # a producer that gives up again and again costs a few threads each time
PAGE = 1000
ROOM = 250  # subjects with a row in flight
BEHIND_MAX = 5_000  # subjects that wait here for another gateway's rows; further ones wait in the books
SWEPT_MAX = 50_000
QUEUE_MAX = 20_000  # records in the producer's queue; further rows stay in the books

log = structlog.get_logger()


class OutboxRelay:
    """Publishes outbox rows of one worker. The books pass each committed group to `publish`."""

    def __init__(self, books: Books, bootstrap: Bootstrap, worker: WorkerLease) -> None:
        self._books = books
        self._worker = worker
        worker.on_taken_over = self._start_over
        self._bootstrap = bootstrap
        self._producer = self._new_producer()
        self._queued: dict[str, deque[OutboxRow]] = {}  # by subject: the row in flight, then its next rows
        self._delivered: deque[tuple[OutboxRow, KafkaError | None]] = deque()
        self._published: list[int] = []  # ids of rows acknowledged by Kafka, not yet marked in the books
        self._swept = set[int]()  # ids that the sweep took; one may be told late, as after a slow COMMIT
        self._marked = set[int]()  # of those that were marked while the sweep reads, which may have missed that
        self._noted = LoggedOnce(REPEATED_AFTER_S)
        self._is_closing = False
        self._direct = False  # whether new rows may be published at once: the sweep has read all earlier ones
        self._failures = 0  # how often rows were left to the sweep
        self._unsure_until = 0.0  # monotonic
        self._replaced_at = -REPLACED_EVERY_S  # monotonic
        self._seen: deque[tuple[float, int]] = deque([(monotonic(), 0)])  # when which row was the newest
        self._meanwhile: list[Unpublished] = []  # committed while the sweep reads, which may have missed them
        self._behind = defaultdict[str, deque[OutboxRow]](deque)  # by subject: rows after another gateway's
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = LastingThread(self._poll, "relay", self._stop)
        self._tasks = [
            LastingTask(self._mark_published(), "outbox marks"),
            LastingTask(self._sweep(), "outbox sweep"),
        ]

    def publish(self, events: list[Unpublished]) -> None:
        """Send rows that were just committed, unless the sweep has earlier rows to send or the lease is over."""
        if not self._worker.is_live():
            self._fall_behind()
            return
        if self._direct:
            self._take([event for event in events if event.row.id not in self._swept])
        else:
            self._meanwhile += events

    def has_room(self) -> bool:
        """Whether Kafka takes rows as they are committed, and has taken nearly all: for what writes very many."""
        return self._direct and len(self._queued) < ROOM

    def leave_to_sweep(self) -> None:
        """Rows may stand in the books, or appear soon, that nobody was told of: no later one may overtake them."""
        self._fall_behind()
        self._unsure_until = monotonic() + UNSURE_S

    def _fall_behind(self) -> None:
        """Rows are not in hand that the sweep has to send: also where it is reading, and has passed them.

        What waits for another gateway's goes too: the sweep may find earlier rows of the same subjects.
        """
        self._direct = False
        self._failures += 1
        self._behind.clear()

    def _start_over(self) -> None:
        """Another gateway has taken what was in hand here, and what is being committed may be behind that."""
        self._queued.clear()
        self.leave_to_sweep()

    def _take(self, events: list[Unpublished]) -> None:
        at_once = []
        for event in events:
            subject_id = event.row.subject_id
            if subject_id in self._behind or (event.is_behind and len(self._behind) < BEHIND_MAX):
                self._behind[subject_id].append(event.row)
            elif event.is_behind:  # it stays in the books alone, and so do the next ones of its subject
                self._direct = False
                self._failures += 1
            else:
                at_once.append(event.row)
        self._enqueue(at_once)

    def _enqueue(self, rows: list[OutboxRow]) -> None:
        refused: set[str] = set()  # subjects; there may be room again for their next rows, which must not go first
        for row in rows:
            if row.subject_id in refused:
                continue
            queue = self._queued.setdefault(row.subject_id, deque())
            queue.append(row)
            if len(queue) == 1 and not self._produce(row):
                refused.add(row.subject_id)

    async def close(self) -> None:
        """Wait up to `CLOSED_WITHIN_S` for rows in flight, and send no more."""
        self._is_closing = True
        with suppress(KafkaException, SystemError):  # of a producer that gave up
            await asyncio.to_thread(self._flush_or_purge)
        await asyncio.sleep(0)  # runs `_settle` for the acknowledgements of the flush
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        for task in self._tasks:
            await task.stop()
        try:
            if self._published:
                await self._books.write(mark_published, self._published, now_micros())
        except SQLAlchemyError as error:  # they are sent once more, and known where they arrive
            log.warning("outbox.mark_failed", error=type(error).__name__)

    def _flush_or_purge(self) -> None:
        """What Kafka does not take by then is left to a sweep: a producer that still has rows never ends."""
        if self._producer.flush(CLOSED_WITHIN_S):
            self._producer.purge()

    def _new_producer(self) -> Producer:
        return producer(self._bootstrap, **{"queue.buffering.max.messages": QUEUE_MAX})

    def _produce(self, row: OutboxRow) -> bool:
        if self._is_closing or not self._worker.is_live():  # whoever goes on with it sends it
            del self._queued[row.subject_id]
            self._fall_behind()
            return False
        try:
            self._producer.produce(
                row.topic,
                row.value or None,  # a tombstone
                row.key,
                headers=row_headers(row),
                on_delivery=partial(self._on_delivery, row),
            )
        except Exception as error:  # whatever it is: the sweep sends the row later
            del self._queued[row.subject_id]
            self._fall_behind()
            self._note(error, row.topic)
            return False
        return True

    def _note(self, error: Exception, topic: str) -> None:
        if _name(error) == "_FATAL":  # once, whatever else is refused in this round
            self._loop.call_soon(self._replace, self._producer)
        elif not isinstance(error, BufferError):  # the queue is full because Kafka is away, and so for a while
            self._note_delay(_name(error), topic)

    def _note_delay(self, error: str, topic: str) -> None:
        if self._noted.is_due((error, topic)):  # a right that is missing refuses every row, ten times a second
            log.warning("event.delayed", error=error, topic=topic)

    def _poll(self) -> None:
        while not self._stop.is_set():
            polled = self._producer
            try:
                polled.poll(POLL_S)
            except Exception as error:  # the producer gave up, which librdkafka tells here or at the next record
                log.warning("producer.failed", error=_name(error))
                with suppress(RuntimeError):  # the loop is closed already
                    self._loop.call_soon_threadsafe(self._replace, polled)
                self._stop.wait(POLL_S)

    def _replace(self, failed: Producer) -> None:
        """Send with a new producer. What the failed one took may be on Kafka or not: the sweep sends all of it."""
        if failed is not self._producer or monotonic() < self._replaced_at + REPLACED_EVERY_S:
            return
        self._replaced_at = monotonic()
        self._producer = self._new_producer()
        self._queued.clear()
        self._fall_behind()
        log.warning("producer.replaced")

    def _on_delivery(self, row: OutboxRow, error: KafkaError | None, _message: Any) -> None:
        self._delivered.append((row, error))
        # In the poll thread. Longer than one: `_settle` is scheduled already and will find this one, too.
        if len(self._delivered) == 1:
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        while self._delivered:
            row, error = self._delivered.popleft()
            queue = self._queued.get(row.subject_id)
            if queue is None or queue[0] is not row:  # from a producer that was replaced: sent again meanwhile
                continue
            del self._queued[row.subject_id]
            if error is not None:
                self._note_delay(error.name(), row.topic)
                self._fall_behind()  # the subject's next rows are dropped here, too: the sweep sends all in order
                continue
            self._published.append(row.id)
            queue.popleft()
            if queue:
                self._queued[row.subject_id] = queue
                self._produce(queue[0])
        self._wake.set()

    async def _mark_published(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(MARK_EVERY_S)
            self._wake.clear()
            ids = self._published.copy()
            try:
                await self._books.write(mark_published, sorted(ids), now_micros())
            except SQLAlchemyError as error:  # such as a full disk: try again until it works
                log.warning("outbox.mark_failed", error=type(error).__name__)
                self._wake.set()
            else:
                self._marked.update(ids)
                del self._published[: len(ids)]

    async def _sweep(self) -> None:
        due_at = 0.0  # monotonic
        while True:
            try:
                if self._worker.is_live() and (not self._direct or monotonic() >= due_at):
                    due_at = monotonic() + SWEEP_S
                    await self._take_over()
                    await self._send_unpublished()
                if self._worker.is_live():
                    await self._send_behind()
            except SQLAlchemyError as error:  # such as a disk that is away: the next sweep sends the rows
                log.warning("outbox.sweep_failed", error=type(error).__name__)
            await asyncio.sleep(SWEEP_S if self._direct and not self._behind else SWEEP_BEHIND_S)

    async def _take_over(self) -> None:
        """Take the events of gateways that are gone; no new one of the same subjects may go before them."""
        if await self._worker.any_left_behind():
            self._fall_behind()
            try:
                await self._worker.take_over()
            except SQLAlchemyError as error:  # its own events do not wait for it
                log.warning("events.not_taken_over", error=type(error).__name__)

    async def _send_unpublished(self) -> None:
        self._meanwhile.clear()
        self._marked.clear()
        if len(self._swept) > SWEPT_MAX:
            self._swept.clear()
        failures = self._failures
        newest = await self._books.read(newest_id)
        settled = self._settled(newest)
        has_all = await self._send_up_to(settled if self._direct else newest)
        self._direct = has_all and failures == self._failures and monotonic() >= self._unsure_until
        if self._direct:
            self._take_unknown(self._meanwhile)

    async def _send_up_to(self, until: int) -> bool:
        """Send a page of what is not in hand, past what waits for another gateway's; whether there is no more."""
        after = 0
        while True:
            events = await self._books.read(select_unpublished, self._worker.id, after, until, PAGE)
            self._take_unknown(events)
            if len(events) < PAGE:
                return True
            if not any(event.is_behind for event in events):
                return False
            after = events[-1].row.id

    async def _send_behind(self) -> None:
        """Send rows whose turn has come. Those that are added meanwhile wait for the next look."""
        last_ids = {subject_id: rows[-1].id for subject_id, rows in self._behind.items()}
        if not last_ids:
            return
        behind = await self._books.read(select_behind, self._worker.id)
        for subject_id, last_id in last_ids.items():
            self._send_before(subject_id, min(last_id + 1, behind.get(subject_id, last_id + 1)))

    def _send_before(self, subject_id: str, row_id: int) -> None:
        rows, turn = self._behind.get(subject_id, deque()), list[OutboxRow]()
        while rows and rows[0].id < row_id:
            turn.append(rows.popleft())
        if not rows:
            self._behind.pop(subject_id, None)
        self._enqueue(turn)

    def _settled(self, newest: int) -> int:
        """The newest row of `SWEEP_AGE_S` ago: rows have an order, their times may be set back or ahead."""
        self._seen.append((monotonic(), newest))
        while self._seen[1][0] <= monotonic() - SWEEP_AGE_S:
            self._seen.popleft()
        seen_at, row_id = self._seen[0]
        return row_id if seen_at <= monotonic() - SWEEP_AGE_S else 0

    def _take_unknown(self, events: list[Unpublished]) -> None:
        """Take those that are not in hand."""
        in_hand = [*self._queued.values(), *self._behind.values()]
        known = {row.id for queue in in_hand for row in queue}.union(self._published, self._marked)
        unknown = [event for event in events if event.row.id not in known]
        self._swept.update(event.row.id for event in unknown)
        self._take(unknown)


def row_headers(row: OutboxRow) -> Headers:
    """The headers of a row's Kafka record: the same ones each time the row is sent."""
    return headers_of(
        row.event_id, row.type, SOURCE, row.subject_id, from_micros(row.recorded_at), row.traceparent
    )


def _name(error: Exception) -> str:
    return str(error.args[0].name()) if isinstance(error, KafkaException) else type(error).__name__
