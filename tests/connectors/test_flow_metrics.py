"""What waits for a flow, and how old what it has read is, by partition."""

import pytest
from prometheus_client import CollectorRegistry

from connectors.flow_metrics import FlowMetrics
from connectors.records import Record
from schemas.times import now_micros

PLACE = {"topic": "payments.v1", "partition": "3"}


def record(topic: str) -> Record:
    return Record(topic, 3, 1, None, [], b"", 0)


def test_records_are_counted_by_topic() -> None:
    registry = CollectorRegistry()
    FlowMetrics(registry).count([record("payments.v1"), record("labels.v1"), record("payments.v1")])
    assert registry.get_sample_value("sluice_flow_records_total", {"topic": "payments.v1"}) == 2
    assert registry.get_sample_value("sluice_flow_records_total", {"topic": "labels.v1"}) == 1


def test_a_flow_is_behind_only_while_records_wait() -> None:
    registry, now_ms = CollectorRegistry(), now_micros() // 1000
    metrics, place = FlowMetrics(registry), ("payments.v1", 3)
    metrics.show({place: 7}, {place: now_ms - 60_000})
    assert registry.get_sample_value("sluice_flow_lag_records", PLACE) == 7
    assert registry.get_sample_value("sluice_flow_behind_seconds", PLACE) == pytest.approx(60, abs=5)
    assert registry.get_sample_value("sluice_flow_looked_timestamp_seconds") == pytest.approx(now_ms / 1e3, abs=5)
    metrics.show({place: 0}, {place: now_ms - 60_000})
    assert registry.get_sample_value("sluice_flow_behind_seconds", PLACE) == 0
    metrics.show({place: 9}, {place: None})  # nothing was read of it yet: nobody knows
    assert registry.get_sample_value("sluice_flow_behind_seconds", PLACE) == 0
