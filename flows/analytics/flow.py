"""The analytics flow: every record of every topic into the warehouse, exactly once.

`python -m bytewax.run flows.analytics.flow:get_flow`: one worker and no recovery store; the offsets in the
warehouse, committed with the rows, are the only ones.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import DynamicSink, Sink, StatelessSinkPartition

from connectors import heartbeat, logs
from connectors.records import Place
from connectors.streams import BroadcastSource, KafkaSink, Record
from flows.analytics.ingest import IngestedRecord, ingest
from flows.analytics.settings import AnalyticsSettings
from flows.analytics.warehouse import Warehouse
from schemas.settings import load
from schemas.topics import CONTROLS, DEAD_LETTER, TOPICS

NAME = "analytics"

# A commit costs the same for 1 row and for 200: the broker collects records for a fifth of a second.
PATIENT: dict[str, Any] = {"fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 200}
GATHER_S = 0.02  # the broker's answer arrives in one piece per partition


def build(source: Source[Record], sink: Sink[IngestedRecord]) -> Dataflow:
    """The dataflow between a source of records and a sink that writes their rows and offsets."""
    flow = Dataflow(NAME)

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
    """The flow with the warehouse open and served, wired by its settings."""
    # DuckDB imports pandas if it can, which takes a second and 70 MB for nothing.
    sys.modules["pandas"] = None  # type: ignore[assignment]
    settings = load(AnalyticsSettings)
    logs.configure(NAME)
    letters = KafkaSink(settings.bootstrap()).build("letters", 0, 1)
    warehouse = Warehouse(settings, letters.write_batch)
    warehouse.serve()
    source = BroadcastSource(
        settings.bootstrap(),
        [topic.name for topic in TOPICS],
        start=warehouse.bookmarks(),
        on_lag=_beat(settings, warehouse),
        gather_s=GATHER_S,
        may_expire={CONTROLS.name, DEAD_LETTER.name},
        config=PATIENT,
    )
    return build(source, WarehouseSink(warehouse))


def _beat(settings: AnalyticsSettings, warehouse: Warehouse) -> Callable[[Mapping[Place, int]], None]:
    def report(lag: Mapping[Place, int]) -> None:
        warehouse.save_lag(lag)
        heartbeat.beat(settings, NAME, os.getpid(), sum(lag.values()))

    return report
