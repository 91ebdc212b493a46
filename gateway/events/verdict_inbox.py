"""Verdicts of the fraud flow: a thread reads all of `risk.v1`, and each verdict goes to the payment that waits.

It is read by assignment, without a group, on from the place that the books keep, and the ten minutes before that
again: what was written while nobody read is acted upon, and a retry after a restart finds its verdict. A verdict
that is impossible, or does not fit the payment it names, is refused, and the payment waits on.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from time import monotonic
from typing import Any, TypeVar

import msgspec
from cachetools import FIFOCache

from connectors.kafka import POLL_S
from connectors.kafka_login import Bootstrap
from connectors.record_reader import Bookmarks, RecordReader, places
from connectors.records import Place, Record
from gateway.books.payments import PaymentRow
from gateway.events.topic_inbox import TopicInbox
from gateway.events.verdict_checks import JudgedPayment, impossible_field, judged_payment, size_of, wrong_field
from schemas.events import Unreadable, decode
from schemas.fraud import Verdict
from schemas.times import now_micros
from schemas.topics import RISK

T = TypeVar("T")

LOOK_BACK_S = 600
TELL_EVERY_S = 5.0  # how often the books keep the place, at most
MANY = 100  # records at once; then it rests for as long as they took, or payments would hardly get a turn
ANSWER_MAX_S = 10.0  # how long they may take to say it; then Kafka is tried anew
GIVEN_UP_MAX = 20_000  # payments that gave up waiting
REMEMBERED_BYTES = 100_000_000  # of verdicts whose payments do not wait yet: some 20,000
VERDICTS_MAX = 4  # on one payment that does not wait yet; whoever can write may say anything first
MISSED_MAX = 5  # late verdicts in a row after which payments stop waiting
PROBE_S = 1.0  # from then on one payment per second waits, to find out whether the flow is back


class VerdictListener(msgspec.Struct, frozen=True):
    """Who is told of verdicts that nobody waits for.

    `on_late`: those that came after their payment gave up. `on_unclaimed`: those that block a payment which this
    process has not met; it may have been judged before a restart, or by another gateway. `on_refused`: the field
    of a verdict that does not fit its payment.

    `kept_places` says where `risk.v1` is read on; `on_reached` is told how far it was read, and keeps that once
    nothing from before waits for the books. `has_room`, asked by a thread: False while too much waits for them.
    """

    kept_places: Callable[[], Coroutine[Any, Any, Bookmarks]]
    on_reached: Callable[[Bookmarks], object]
    has_room: Callable[[], bool]

    on_late: Callable[[list[Verdict]], object]
    on_unclaimed: Callable[[list[Verdict]], object]
    on_refused: Callable[[str], object]


class Waiter(msgspec.Struct, frozen=True):
    """A payment that waits."""

    about: JudgedPayment
    answer: asyncio.Future[Verdict]


class VerdictInbox:
    """The verdicts of the fraud flow."""

    def __init__(self, bootstrap: Bootstrap, listener: VerdictListener) -> None:
        self._bootstrap = bootstrap
        self._listener = listener
        self._waiting: dict[str, Waiter] = {}
        self._arrived: FIFOCache[str, tuple[Verdict, ...]] = FIFOCache(REMEMBERED_BYTES, _size_of)
        self._given_up: FIFOCache[str, JudgedPayment] = FIFOCache(GIVEN_UP_MAX)
        self._missed = 0  # late verdicts in a row
        self._probed_at = 0.0  # monotonic
        self._told: Bookmarks = {}
        self._told_at = monotonic()
        self._loop = asyncio.get_running_loop()
        self._topic = TopicInbox(bootstrap, "verdicts", self._read_from_broker)

    async def ready(self) -> bool:
        """Whether the verdicts from before the start have been read, or Kafka is away."""
        return self._topic.is_caught_up()

    async def wait(self, payment: PaymentRow, budget_s: float) -> Verdict | None:
        """The verdict on a payment; None where it does not come within `budget_s` or the flow seems away."""
        about = judged_payment(payment)
        for arrived in self._arrived.pop(payment.id, ()):
            if self._believed(arrived, about):
                return arrived
        if not self._may_wait():
            self._given_up[payment.id] = about
            return None
        waiter = Waiter(about, asyncio.get_running_loop().create_future())
        self._waiting[payment.id] = waiter
        try:
            await asyncio.wait([waiter.answer], timeout=budget_s)
        finally:
            self._waiting.pop(payment.id, None)
        if not waiter.answer.done():
            self._missed += 1
            self._given_up[payment.id] = about
            return None
        self._missed = 0
        return waiter.answer.result()

    async def close(self) -> None:
        """Stop reading."""
        await self._topic.close()

    def _may_wait(self) -> bool:
        if self._missed < MISSED_MAX:
            return True
        if monotonic() - self._probed_at < PROBE_S:
            return False
        self._probed_at = monotonic()
        return True

    def _deliver(self, verdicts: list[Verdict], delivered: threading.Event) -> None:
        try:
            self._sort(verdicts)
        finally:
            delivered.set()

    def _sort(self, verdicts: list[Verdict]) -> None:
        late, unclaimed = [], []
        for verdict in self._possible(verdicts):
            waiter = self._waiting.get(verdict.payment)
            if waiter is not None and not waiter.answer.done():
                if self._believed(verdict, waiter.about):
                    waiter.answer.set_result(verdict)
            elif about := self._given_up.get(verdict.payment):
                if self._believed(verdict, about):
                    del self._given_up[verdict.payment]
                    late.append(verdict)
            else:
                self._remember(verdict)
                if verdict.outcome == "block":
                    unclaimed.append(verdict)
        if late:
            self._listener.on_late(late)
        if unclaimed:
            self._listener.on_unclaimed(unclaimed)

    def _possible(self, verdicts: list[Verdict]) -> Iterable[Verdict]:
        for verdict in verdicts:
            if self._is_right(impossible_field(verdict)):
                yield verdict

    def _remember(self, verdict: Verdict) -> None:
        arrived = self._arrived.get(verdict.payment, ())
        if len(arrived) < VERDICTS_MAX:
            self._arrived[verdict.payment] = (*arrived, verdict)

    def _believed(self, verdict: Verdict, about: JudgedPayment) -> bool:
        return self._is_right(wrong_field(verdict, about))

    def _is_right(self, wrong: str | None) -> bool:
        if wrong is not None:
            self._listener.on_refused(wrong)
        return wrong is None

    def _read_from_broker(self, topic: TopicInbox) -> None:
        kept = self._ask(self._listener.kept_places())
        reader = RecordReader(self._bootstrap, may_expire=[RISK.name])
        try:
            for place in places(self._bootstrap, [RISK.name]):
                reader.add(place, kept.get(place), _look_back(kept, place))
            while not topic.stopping.is_set():
                self._hand_over(topic, reader.poll(POLL_S))
                if reader.at_end():
                    self._tell_places(topic, reader.bookmarks)
                    topic.catch_up()
        finally:
            reader.close()

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_MAX_S)

    def _hand_over(self, topic: TopicInbox, records: list[Record]) -> None:
        """Return once verdicts are delivered and few wait for the books: the others wait in Kafka."""
        began = monotonic()
        if verdicts := list(_verdicts_in(records)):
            delivered = threading.Event()
            topic.in_loop(self._deliver, verdicts, delivered)
            while not (delivered.wait(POLL_S) or topic.stopping.is_set()):
                pass
            while not (self._listener.has_room() or topic.stopping.wait(POLL_S)):
                pass
        if len(records) >= MANY and topic.is_caught_up():
            topic.stopping.wait(monotonic() - began)

    def _tell_places(self, topic: TopicInbox, reached: Bookmarks) -> None:
        if monotonic() - self._told_at >= TELL_EVERY_S and reached != self._told:
            self._told_at, self._told = monotonic(), dict(reached)
            topic.in_loop(self._listener.on_reached, self._told)


def _size_of(verdicts: Iterable[Verdict]) -> int:
    return sum(map(size_of, verdicts))


def _look_back(kept: Bookmarks, place: Place) -> int | None:
    """Since when verdicts are read again (Kafka's time): ten minutes before now, or before the last one read.

    None for a partition that is newer than what was kept: it is read from its start.
    """
    if kept and place not in kept:
        return None
    now_ms = now_micros() // 1000
    mark = kept.get(place)
    read_ms = mark.read_ms if mark else None
    return min(now_ms, now_ms if read_ms is None else read_ms) - LOOK_BACK_S * 1000


def _verdicts_in(records: Iterable[Record]) -> Iterable[Verdict]:
    for record in records:
        try:
            data = decode(record.headers, record.value).data
        except Unreadable:
            continue  # the flows send such a record to the dead letters; its payment waits in vain
        if isinstance(data, Verdict):
            yield data
