"""What a flow measures of the topics it reads: records, what waits, how far behind it is. Prometheus metrics."""

from collections import Counter as Counts
from collections.abc import Iterable, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

from connectors.records import Place, Record
from schemas.times import now_micros

PARTITION = ("topic", "partition")


class FlowMetrics:
    """Of one consumer: what it read, and as of its last look, once a second, what it has not read yet."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Records read, those read again after a restart included."
        self.records = Counter("sluice_flow_records", about, ("topic",), registry=registry)
        about = "Records of a partition that wait to be read."
        self.waiting = Gauge("sluice_flow_lag_records", about, PARTITION, registry=registry)
        about = "Age of the last record read of a partition where others wait behind it; 0 where none do."
        self.behind = Gauge("sluice_flow_behind_seconds", about, PARTITION, registry=registry)
        about = "When the flow last knew what waits for it, in seconds since 1970 UTC."
        self.looked = Gauge("sluice_flow_looked_timestamp_seconds", about, registry=registry)

    def count(self, records: Iterable[Record]) -> None:
        """Count what was read."""
        for topic, count in Counts(record.topic for record in records).items():
            self.records.labels(topic).inc(count)

    def show(self, lag: Mapping[Place, int], read_ms: Mapping[Place, int | None]) -> None:
        """Show what waits by partition; `read_ms` is Kafka's time of the last record read of each (ms UTC)."""
        now = now_micros()
        for (topic, partition), waiting in lag.items():
            last_ms = read_ms.get((topic, partition))
            age_s = max(0.0, now / 1_000_000 - last_ms / 1_000) if waiting and last_ms is not None else 0.0
            self.waiting.labels(topic, partition).set(waiting)
            self.behind.labels(topic, partition).set(age_s)
        self.looked.set(now / 1_000_000)


FLOW = FlowMetrics(REGISTRY)
