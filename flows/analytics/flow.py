"""Every record of every topic into a warehouse, exactly once.

`python -m bytewax.run flows.analytics.flow:get_flow` keeps the warehouse of our own readers, `…:get_sql_flow` a
copy for everybody else's statements, which may end its process. Each has one worker and no recovery store; the
offsets in its file, committed with the rows, are the only ones.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import DynamicSink, Sink, StatelessSinkPartition

from connectors import heartbeat, logs
from connectors.kafka import log_in
from connectors.kafka_login import Bootstrap
from connectors.keyfiles import refusals_logged
from connectors.metrics_server import serve_metrics
from connectors.private_files import keep_private
from connectors.records import Place
from connectors.secret_files import secret_file
from connectors.sql_tokens import SECRET_FILE, SqlTokens, new_secret
from connectors.streams import BroadcastSource, KafkaSink, Record
from connectors.warehouse import SQL_READERS, WRITERS_READERS, tokens
from flows.analytics.ingest import FOLLOWED, MAY_EXPIRE, IngestedRecord, ingest
from flows.analytics.own_process import bound_memory, do_without_pandas
from flows.analytics.readers import Readers
from flows.analytics.settings import AnalyticsSettings, SqlSettings
from flows.analytics.upkeep import NightlyExport
from flows.analytics.warehouse import Warehouse
from schemas.settings import Settings, load

# A commit costs about the same for 1 row and for 500: the broker collects records for so long. Who asks sees a
# payment a second after its commit at the latest, of which half is left for a machine that is busy.
PATIENT: dict[str, Any] = {"fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 400}
GATHER_S = 0.02  # the broker's answer arrives in one piece per partition


S = TypeVar("S", bound=Settings)


def build(name: str, source: Source[Record], sink: Sink[IngestedRecord]) -> Dataflow:
    """The dataflow between a source of records and a sink that writes their rows and offsets."""
    flow = Dataflow(name)

    records = op.input("topics", flow, source)
    # Record("payments.v1", 3, 1187, b"fp_9c…", [("ce_type", b"payment.captured"), …], b'{"sequence": 3, …}', …)

    ingested = op.map("read", records, ingest)
    # IngestedRecord(record, rows=(WarehousePayment(id="pay_01k…", sequence=3, state="captured", …),), letter=None)

    op.output("warehouse", ingested, sink)
    return flow


class WarehouseSink(DynamicSink[IngestedRecord]):
    """Each batch is one transaction."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[IngestedRecord]:
        """The writer. Raises `ValueError` for a second worker: the file has one writer."""
        if worker_count != 1:
            raise ValueError("the analytics flow has one worker: a DuckDB file has one writer")
        return WarehousePartition(self._warehouse)


class WarehousePartition(StatelessSinkPartition[IngestedRecord]):
    """The only writer of the warehouse."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def write_batch(self, items: list[IngestedRecord]) -> None:
        """Write one batch, as one transaction."""
        self._warehouse.write(items)


def get_flow() -> Dataflow:
    """`analytics`: the warehouse, open and served to our own readers, wired by its settings."""
    with refusals_logged():
        return _analytics()


def _analytics() -> Dataflow:
    settings = _begin(AnalyticsSettings, "analytics")
    known = tokens(settings, WRITERS_READERS)
    bootstrap = log_in(settings, "analytics")
    letters = KafkaSink(bootstrap).build("letters", 0, 1)
    exporting = NightlyExport(settings.warehouse_night) if settings.warehouse_exports else None
    warehouse = Warehouse(settings.file(), letters.write_batch, tell=letters.write_batch, exporting=exporting)
    warehouse.serve(_address(settings, "warehouse"), known)
    return build("analytics", _topics(settings, bootstrap, "analytics", warehouse), WarehouseSink(warehouse))


def get_sql_flow() -> Dataflow:
    """`sql`: a copy of the warehouse, made from the same topics, served to whoever asks what they like.

    What cannot be read is a dead letter already: the process `analytics` sends it.
    """
    with refusals_logged():
        return _sql()


def _sql() -> Dataflow:
    settings = _begin(SqlSettings, "sql")
    secret_file(settings, SECRET_FILE, new_secret)  # persons' tokens are not taken without it
    known = tokens(settings, SQL_READERS)
    bootstrap = log_in(settings, "sql")
    copy = Warehouse(settings.file(), lambda letters: None)
    readers = Readers(known, SqlTokens(settings))
    copy.serve_guarded(_address(settings, "sql"), readers, settings)
    bound_memory(settings.sql_process_mb)
    return build("sql", _topics(settings, bootstrap, "sql", copy), WarehouseSink(copy))


def _begin(kind: type[S], name: str) -> S:
    do_without_pandas()
    logs.configure(name)
    settings = load(kind)
    keep_private(settings.data)
    serve_metrics(settings, f"{name}_metrics")
    return settings


def _address(settings: Settings, port: str) -> str:
    return f"quack:{settings.host}:{settings.port(port)}"


def _topics(settings: Settings, bootstrap: Bootstrap, name: str, warehouse: Warehouse) -> BroadcastSource:
    return BroadcastSource(
        bootstrap,
        FOLLOWED,
        start=warehouse.bookmarks(),
        on_lag=_beat(settings, name, warehouse),
        gather_s=GATHER_S,
        may_expire=MAY_EXPIRE,
        config=PATIENT,
    )


def _beat(settings: Settings, name: str, warehouse: Warehouse) -> Callable[[Mapping[Place, int]], None]:
    def report(lag: Mapping[Place, int]) -> None:
        warehouse.save_lag(lag)
        heartbeat.beat(settings, name, os.getpid(), sum(lag.values()))

    return report
