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
from flows.analytics.rows import Entry, entry_of
from flows.analytics.settings import AnalyticsSettings
from flows.analytics.warehouse import Warehouse
from schemas.settings import load
from schemas.topics import CONTROLS, DEAD_LETTER, TOPICS

NAME = "analytics"

# A commit costs the same for 1 row or 200: let the broker collect for a fifth of a second.
PATIENT: dict[str, Any] = {"fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 200}
GATHER_S = 0.02  # one answer of the broker comes in a piece per partition


def build(source: Source[Record], sink: Sink[Entry]) -> Dataflow:
    """The dataflow between a source of records and a sink that keeps entries and their offsets."""
    flow = Dataflow(NAME)

    records = op.input("topics", flow, source)
    # Record("payments.v1", 3, 1187, b"fp_9c…", [("ce_type", b"payment.captured"), …], b'{"sequence": 3, …}', …)

    entries = op.map("read", records, entry_of)
    # Entry(record, row=PaymentRow(id="pay_01k…", sequence=3, state="captured", amount=1999, …), letter=None)

    op.output("warehouse", entries, sink)
    return flow


class WarehouseSink(DynamicSink[Entry]):
    """Each batch is one transaction."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Entry]:
        """The writer. Raises `ValueError` for a second worker: the file has one writer."""
        if worker_count != 1:
            raise ValueError("the analytics flow has one worker: a DuckDB file has one writer")
        return _Writing(self._warehouse)


class _Writing(StatelessSinkPartition[Entry]):
    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def write_batch(self, items: list[Entry]) -> None:
        self._warehouse.write(items)


def get_flow() -> Dataflow:
    """The real flow, with the warehouse open and served."""
    sys.modules["pandas"] = None  # type: ignore[assignment]  # DuckDB looks for it: a second and 70 MB for nothing
    settings = load(AnalyticsSettings)
    logs.configure(NAME)
    letters = KafkaSink(settings.bootstrap()).build("letters", 0, 1)
    warehouse = Warehouse(settings, letters.write_batch)
    warehouse.serve()
    source = BroadcastSource(
        settings.bootstrap(),
        [topic.name for topic in TOPICS],
        start=warehouse.offsets(),
        on_lag=_beat(settings, warehouse),
        gather_s=GATHER_S,
        may_expire={CONTROLS.name, DEAD_LETTER.name},
        config=PATIENT,
    )
    return build(source, WarehouseSink(warehouse))


def _beat(settings: AnalyticsSettings, warehouse: Warehouse) -> Callable[[Mapping[Place, int]], None]:
    def tell(lag: Mapping[Place, int]) -> None:
        warehouse.checked(lag)
        heartbeat.beat(settings, NAME, os.getpid(), sum(lag.values()))

    return tell
