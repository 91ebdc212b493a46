"""`payments.v1` → mails and short messages → `notifications.v1`.

The names of the steps are keys of the recovery store: under another name a step would start without its state.
"""

import os
from collections.abc import Callable
from datetime import datetime, timedelta

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import Sink

from connectors.heartbeat import beat
from connectors.keyfiles import read_or_make
from connectors.logs import configure
from connectors.streams import KafkaSink, KafkaSource, Out, Record, decode_step
from flows.notifications.delivery import SOURCE, Notifier
from flows.notifications.loop_thread import LoopThread
from flows.notifications.preferences import kind_of
from flows.notifications.recipients import SECRET_FILE, Recipients, new_secret
from flows.notifications.retry_queue import QueuedEvent, RetryQueue
from flows.notifications.sent_log import SentLog
from flows.notifications.settings import NotificationSettings
from schemas.events import Event
from schemas.settings import load
from schemas.topics import PAYMENTS

# Messages may be a little late: the broker answers fewer, fuller fetches (a quarter less work per payment).
UNHURRIED = {"fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 200}

MakeLogic = Callable[[list[QueuedEvent] | None], "NotifyLogic"]


def build(source: Source[Record], sink: Sink[Out], make_logic: MakeLogic) -> Dataflow:
    """The dataflow between a source and a sink; `make_logic` makes the logic of a partition from its snapshot."""
    flow = Dataflow("notifications")
    records = op.input("payments", flow, source)
    # Record("payments.v1", 3, 41, b"fp_…", [("ce_type", b"transaction_completed"), …], b'{"sequence":4, …}', …)
    decoded = decode_step("decode", records, SOURCE)
    # (Record, Event("evt_…", "transaction_completed", …, TransactionCompleted(4, …)))
    completed = op.filter("completed", decoded.events, lambda item: kind_of(item[1].data) is not None)
    by_partition = op.key_on("partition", completed, lambda item: str(item[0].partition))
    # ("3", (Record, Event))
    notified = op.stateful_batch("tell", by_partition, make_logic)
    # ("3", Out("notifications.v1", b"pay_…", …, b'{"channel":"email","outcome":"delivered", …}'))
    recorded = op.key_rm("recorded", notified)
    op.output("written", op.merge("all", recorded, decoded.dead_letters), sink)
    return flow


class NotifyLogic(StatefulBatchLogic[tuple[Record, Event], Out, list[QueuedEvent]]):
    """The retry queue of one partition as Bytewax drives it; its state is the events that wait."""

    def __init__(self, queue: RetryQueue, loop_thread: LoopThread, waiting: Callable[[], None]) -> None:
        """`waiting` is called every half second while a batch takes long."""
        self._queue, self._loop_thread, self._waiting = queue, loop_thread, waiting

    def on_batch(self, values: list[tuple[Record, Event]]) -> tuple[list[Out], bool]:
        """Send the messages of these events and of those that are due."""
        return self._process(values)

    def on_notify(self) -> tuple[list[Out], bool]:
        """Send the messages that are due."""
        return self._process([])

    def notify_at(self) -> datetime | None:
        """When the next event is due."""
        return self._queue.due()

    def snapshot(self) -> list[QueuedEvent]:
        """The events that wait."""
        return self._queue.queued()

    def _process(self, values: list[tuple[Record, Event]]) -> tuple[list[Out], bool]:
        """The records to write, and whether the state can be discarded: nothing waits."""
        written = self._loop_thread.run(self._queue.process(values), self._waiting)
        return written, self._queue.due() is None


def get_flow() -> Dataflow:
    """The flow of `python -m bytewax.run flows.notifications.flow:get_flow`, wired by its settings."""
    settings = load(NotificationSettings)
    configure("notifications")
    heartbeat = Heartbeat(settings)
    source = KafkaSource(settings.bootstrap(), PAYMENTS.name, on_lag=heartbeat.beat, config=UNHURRIED)
    return build(source, KafkaSink(settings.bootstrap()), logic_maker(settings, heartbeat.repeat))


def logic_maker(settings: NotificationSettings, waiting: Callable[[], None]) -> MakeLogic:
    """What makes the logic of a partition. All partitions share one notifier, opened in the loop's thread."""
    loop_thread = LoopThread()
    notifier: Notifier = loop_thread.run(open_notifier(settings))
    patience = timedelta(seconds=settings.notification_patience_s)
    return lambda queued: NotifyLogic(RetryQueue(notifier, patience, queued or []), loop_thread, waiting)


async def open_notifier(settings: NotificationSettings) -> Notifier:
    """A notifier of the running loop. It connects with the first message. Raises `SecretMissing`."""
    secret = read_or_make(settings, SECRET_FILE, new_secret).decode().strip()
    return Notifier(
        Recipients(settings.gateway_url(), secret),
        settings.mailer(),
        settings.texter(),
        SentLog(settings.sent_log_path()),
        timedelta(seconds=settings.notification_age_max_s),
    )


class Heartbeat:
    """The flow's heartbeat, with the last known lag while a batch takes long."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._settings, self._lag = settings, 0

    def beat(self, lag: int) -> None:
        """Report that the flow is alive and `lag` records behind."""
        self._lag = lag
        self.repeat()

    def repeat(self) -> None:
        """Report it again."""
        beat(self._settings, "notifications", os.getpid(), self._lag)
