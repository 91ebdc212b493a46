"""What came over Kafka and was not obeyed: all of it is counted, and a flood of it is logged in few lines."""

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gateway.metrics import InboxMetrics


def test_a_flood_is_counted_and_logged_once_a_second_per_field(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, registry = 1_000.0, CollectorRegistry()
    monkeypatch.setattr("connectors.logs.monotonic", lambda: moment)
    refused = InboxMetrics(registry)
    with capture_logs() as lines:
        for _ in range(3):
            refused.refuse_verdict("payment")
            refused.refuse_verdict("score")
            refused.refuse_control("payment")
        moment += 1
        refused.refuse_verdict("payment")
    logged = [(line["event"], line["field"]) for line in lines]
    first = [("verdict.refused", "payment"), ("verdict.refused", "score"), ("control.refused", "payment")]
    assert logged == [*first, ("verdict.refused", "payment")]
    assert registry.get_sample_value("sluice_verdicts_refused_total", {"field": "payment"}) == 4
