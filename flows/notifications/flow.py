"""`payments.v1` → mails and short messages → `notifications.v1`.

Nothing is sent in the line: an event is on disk when its step ends, and what became of its messages comes back by
a source. The names of the steps are keys of the recovery store: under another name a step would start without its
state.
"""

import os
import threading
from collections.abc import Callable
from datetime import timedelta

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, Source, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from connectors.heartbeat import beat
from connectors.kafka import log_in
from connectors.kafka_login import Bootstrap
from connectors.keyfiles import refusals_logged
from connectors.logs import configure
from connectors.loop_thread import LoopThread
from connectors.metrics_server import serve_metrics
from connectors.private_files import keep_private
from connectors.recovery_store import drop_unfinished
from connectors.secret_files import secret_file
from connectors.streams import KafkaSink, KafkaSource, Out, Record, decode_step, write_step
from connectors.traces import TRACES
from flows.notifications.allowance import Allowance
from flows.notifications.delivery import SOURCE, Deliverer
from flows.notifications.earlier_queue import QueuedEvent
from flows.notifications.preferences import kind_of
from flows.notifications.recall import told_since
from flows.notifications.recipients import SECRET_FILE, Recipients, new_secret
from flows.notifications.sent_log import SentLog
from flows.notifications.settings import NotificationSettings
from flows.notifications.teller import Teller, TellerPolicy
from schemas.events import Event
from schemas.settings import load
from schemas.times import now
from schemas.topics import PAYMENTS

# Messages may be a little late: the broker answers fewer, fuller fetches (a quarter less work per payment).
UNHURRIED = {"fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 200}
PUBLISHED_AT_ONCE = 500
KEY_MAX = 64  # bytes of a BLAKE2b key

NumberedOut = tuple[int, Out]


class TellerThread:
    """A teller in its own thread, as the steps of all workers of this process use it."""

    def __init__(self, teller: Teller, loop_thread: LoopThread, waiting: Callable[[], None]) -> None:
        """`waiting` is called every half second while events cannot be taken in."""
        self._teller, self._loop_thread, self._waiting = teller, loop_thread, waiting

    def keep(self, items: list[tuple[Record, Event]]) -> None:
        """Take in events; returns once they are on disk."""
        self._loop_thread.run(self._teller.keep(items), self._waiting)

    def outcomes(self, after: int) -> list[NumberedOut]:
        """What became of messages, beyond the number `after`."""
        if not self._teller.has_outcomes:
            return []
        return self._loop_thread.run(self._teller.outcomes(after, PUBLISHED_AT_ONCE))

    def published(self, numbers: list[int]) -> None:
        """Kafka has acknowledged these outcomes."""
        self._loop_thread.run(self._teller.published(numbers))


def build(source: Source[Record], sink: DynamicSink[Out], teller: TellerThread) -> Dataflow:
    """The dataflow from a source to a sink; between them the `teller` has what it tells."""
    flow = Dataflow("notifications")
    records = op.input("payments", flow, source)
    # Record("payments.v1", 3, 41, b"fp_…", [("ce_type", b"transaction_completed"), …], b'{"sequence":4, …}', …)
    decoded = decode_step("decode", records, SOURCE)
    # (Record, Event("evt_…", "transaction_completed", …, TransactionCompleted(4, …)))
    completed = op.filter("completed", decoded.events, lambda item: kind_of(item[1].data) is not None)
    by_partition = op.key_on("partition", completed, lambda item: str(item[0].partition))
    # ("3", (Record, Event))
    nothing = op.key_rm("recorded", op.stateful_batch("tell", by_partition, lambda q: KeepLogic(teller, q or [])))
    write_step("written", op.merge("all", nothing, decoded.dead_letters), sink)

    told = op.input("told", flow, OutcomeSource(teller))
    # (1187, Out("notifications.v1", b"pay_…", …, b'{"channel":"email","outcome":"delivered", …}'))
    op.output("published", told, OutcomeSink(sink, teller))
    return flow


class KeepLogic(StatefulBatchLogic[tuple[Record, Event], Out, list[QueuedEvent]]):
    """Events of one partition are taken in. No state is left; that of earlier releases is taken in as well."""

    def __init__(self, teller: TellerThread, queued: list[QueuedEvent]) -> None:
        self._teller = teller
        if queued:
            teller.keep([(item.record, item.event) for item in queued])

    def on_batch(self, values: list[tuple[Record, Event]]) -> tuple[list[Out], bool]:
        """Take in these events. Returns nothing to write."""
        self._teller.keep(values)
        return [], StatefulBatchLogic.DISCARD

    def snapshot(self) -> list[QueuedEvent]:
        """Nothing."""
        return []


class OutcomeSource(DynamicSource[NumberedOut]):
    """The outcomes of a process's teller, read by the first of its workers."""

    def __init__(self, teller: TellerThread) -> None:
        self._teller, self._first = teller, threading.Lock()

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_Outcomes":
        """The reader of this worker."""
        return _Outcomes(self._teller if self._first.acquire(blocking=False) else None)


class _Outcomes(StatelessSourcePartition[NumberedOut]):
    def __init__(self, teller: TellerThread | None) -> None:
        self._teller, self._last = teller, 0

    def next_batch(self) -> list[NumberedOut]:
        # No `next_awake`: the other source waits in its poll, so an idle worker does not spin.
        outcomes = self._teller.outcomes(self._last) if self._teller else []
        if outcomes:
            self._last = outcomes[-1][0]
        return outcomes


class OutcomeSink(DynamicSink[NumberedOut]):
    """Writes outcomes and tells the teller which ones Kafka has."""

    def __init__(self, sink: DynamicSink[Out], teller: TellerThread) -> None:
        self._sink, self._teller = sink, teller

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_OutcomeWriter":
        """The writer of this worker."""
        return _OutcomeWriter(self._sink.build(step_id, worker_index, worker_count), self._teller)


class _OutcomeWriter(StatelessSinkPartition[NumberedOut]):
    def __init__(self, writer: StatelessSinkPartition[Out], teller: TellerThread) -> None:
        self._writer, self._teller = writer, teller

    def write_batch(self, items: list[NumberedOut]) -> None:
        self._writer.write_batch([record for _, record in items])
        self._teller.published([number for number, _ in items])


def get_flow() -> Dataflow:
    """The flow of `python -m bytewax.run flows.notifications.flow:get_flow`, wired by its settings."""
    configure("notifications")
    with refusals_logged():
        settings = load(NotificationSettings)
        keep_private(settings.data)
        check_secrets(settings)
        serve_metrics(settings, "notifications_metrics")
        TRACES.open(settings, "notifications")
    drop_unfinished(settings.data / "notifications")
    heartbeat = Heartbeat(settings)
    bootstrap = log_in(settings, "notifications")
    source = KafkaSource(bootstrap, PAYMENTS.name, on_lag=heartbeat.beat, config=UNHURRIED)
    sent_log = complete_log(settings, bootstrap)
    loop_thread = LoopThread()
    teller = loop_thread.run(open_teller(settings, sent_log))
    return build(source, KafkaSink(bootstrap), TellerThread(teller, loop_thread, heartbeat.repeat))


def check_secrets(settings: NotificationSettings) -> None:
    """Raises `SecretMissing` before Kafka is waited for."""
    secret_file(settings, SECRET_FILE, new_secret)
    settings.mail_password()
    settings.sms_token()


def complete_log(settings: NotificationSettings, bootstrap: Bootstrap) -> SentLog:
    """The log of what was told; a new one learns it from Kafka. Raises `KafkaException` where that is away."""
    sent_log = open_log(settings)
    if not sent_log.is_complete():
        with sent_log.transaction(durable=True):
            sent_log.complete(told_since(bootstrap, now() - settings.horizon()))
    return sent_log


def open_log(settings: NotificationSettings) -> SentLog:
    """The log of what was told, as its file has it."""
    return SentLog(settings.sent_log_path(), settings.horizon())


async def open_teller(settings: NotificationSettings, sent_log: SentLog) -> Teller:
    """A teller of the running loop. It connects with the first message. Raises `SecretMissing`."""
    secret = secret_file(settings, SECRET_FILE, new_secret)
    recipients = Recipients(settings.gateway_url(), secret)
    policy = TellerPolicy(
        timedelta(seconds=settings.notification_patience_s), timedelta(seconds=settings.notification_age_max_s)
    )
    allowance = Allowance(sent_log, settings.limits(), secret.text().encode()[:KEY_MAX], settings.may_text)
    return Teller(sent_log, recipients, Deliverer(settings.mailer(), settings.texter()), allowance, policy)


class Heartbeat:
    """The flow's heartbeat, with the last known lag while events cannot be taken in."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._settings, self._lag = settings, 0

    def beat(self, lag: int) -> None:
        """Report that the flow is alive and `lag` records behind."""
        self._lag = lag
        self.repeat()

    def repeat(self) -> None:
        """Report it again."""
        beat(self._settings, "notifications", os.getpid(), self._lag)
