"""`payments.v1` → mails and short messages → `notifications.v1`."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import Sink

from connectors.heartbeat import beat
from connectors.logs import configure
from connectors.streams import KafkaSink, KafkaSource, Out, Record, decode_step
from flows.notifications.background import Background
from flows.notifications.backlog import Backlog, Job
from flows.notifications.courier import KIND, SOURCE, Courier
from flows.notifications.settings import NotificationSettings
from flows.notifications.wiring import open_courier
from schemas.events import Event
from schemas.settings import load
from schemas.topics import PAYMENTS

# Messages may be a little late: the broker answers fewer, fuller fetches (a quarter less work per payment).
UNHURRIED = {"fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 200}

Logics = Callable[[list[Job] | None], "Telling"]


def build(source: Source[Record], sink: Sink[Out], telling: Logics) -> Dataflow:
    """The dataflow between a source and a sink; `telling` makes the logic of one partition from its last state."""
    flow = Dataflow("notifications")
    records = op.input("payments", flow, source)
    # Record("payments.v1", 3, 41, b"fp_…", [("ce_type", b"transaction_completed"), …], b'{"sequence":4, …}', …)
    decoded = decode_step("decode", records, SOURCE)
    # (Record, Event("evt_…", "transaction_completed", …, TransactionCompleted(4, …)))
    completed = op.filter("completed", decoded.events, lambda item: item[1].type == KIND)
    by_partition = op.key_on("partition", completed, lambda item: str(item[0].partition))
    # ("3", (Record, Event))
    told = op.stateful_batch("tell", by_partition, telling)
    # ("3", Out("notifications.v1", b"pay_…", …, b'{"channel":"email","outcome":"delivered", …}'))
    recorded = op.key_rm("recorded", told)
    op.output("written", op.merge("all", recorded, decoded.dead_letters), sink)
    return flow


class Telling(StatefulBatchLogic[tuple[Record, Event], Out, list[Job]]):
    """The backlog of one partition, worked off in the background loop; its state is the jobs left."""

    def __init__(self, backlog: Backlog, background: Background, waiting: Callable[[], None]) -> None:
        """`waiting` is called every half second while a batch takes long."""
        self._backlog, self._background, self._waiting = backlog, background, waiting

    def on_batch(self, values: list[tuple[Record, Event]]) -> tuple[list[Out], bool]:
        """Tell these, and what is due."""
        return self._work(values)

    def on_notify(self) -> tuple[list[Out], bool]:
        """Try again what is due."""
        return self._work([])

    def notify_at(self) -> datetime | None:
        """When the next job is due."""
        return self._backlog.due()

    def snapshot(self) -> list[Job]:
        """The jobs left."""
        return self._backlog.jobs()

    def _work(self, values: list[tuple[Record, Event]]) -> tuple[list[Out], bool]:
        written = self._background.run(self._backlog.work(values), self._waiting)
        return written, self._backlog.due() is None


def get_flow() -> Dataflow:
    """The flow of `python -m bytewax.run flows.notifications.flow:get_flow`, wired by its settings."""
    settings = load(NotificationSettings)
    configure("notifications")
    heart = Heart(settings)
    source = KafkaSource(settings.bootstrap(), PAYMENTS.name, on_lag=heart.beat, config=UNHURRIED)
    return build(source, KafkaSink(settings.bootstrap()), wire(settings, heart.again))


def wire(settings: NotificationSettings, waiting: Callable[[], None]) -> Logics:
    """What makes the logic of a partition: one courier for all of them, opened in the background loop."""
    background = Background()
    courier: Courier = background.run(open_courier(settings))
    patience = timedelta(seconds=settings.notification_patience_s)
    return lambda jobs: Telling(Backlog(courier, patience, jobs or []), background, waiting)


class Heart:
    """The flow's heartbeat: it goes on with the last lag known while a batch takes long."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._settings, self._lag = settings, 0

    def beat(self, lag: int) -> None:
        """Say that the flow lives, `lag` records behind."""
        self._lag = lag
        self.again()

    def again(self) -> None:
        """Say it once more."""
        beat(self._settings, "notifications", os.getpid(), self._lag)
