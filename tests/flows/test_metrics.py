"""What flows measure of their own work."""

from math import isnan

import pytest
from prometheus_client import CollectorRegistry

from flows.metrics import RiskMetrics, WarehouseMetrics
from schemas.times import now_micros


def test_the_warehouse_is_as_old_as_its_newest_record_until_nothing_waits() -> None:
    registry = CollectorRegistry()
    metrics = WarehouseMetrics(registry)

    def age_s() -> float:
        found = registry.get_sample_value("sluice_warehouse_age_seconds")
        assert found is not None
        return found

    assert isnan(age_s())
    metrics.wrote(3, now_micros() // 1000 - 90_000, 0.01)
    metrics.looked(5)
    assert age_s() == pytest.approx(90, abs=5)
    metrics.looked(0)
    assert age_s() < 5
    assert registry.get_sample_value("sluice_warehouse_rows_total") == 3


def test_a_verdict_by_two_clocks_never_takes_less_than_no_time() -> None:
    registry = CollectorRegistry()
    metrics = RiskMetrics(registry)
    metrics.count("allow", "model", -3.0, is_faulty=False)
    metrics.count("review", "rules", 0.02, is_faulty=True)
    assert registry.get_sample_value("sluice_fraud_seconds_sum") == pytest.approx(0.02)
    assert registry.get_sample_value("sluice_fraud_faults_total") == 1
