"""Spans go to a collector where one is named, each a child of what caused it; without one nothing is loaded."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from connectors.traces import CURRENT, Traces, outgoing
from schemas.settings import Settings
from tests.end_to_end.collector import Collector, collecting

CAUSE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def test_a_span_is_a_child_of_its_cause_and_causes_what_carries_its_own(collector: Collector) -> None:
    traces = Traces()
    traces.open(Settings(traces=collector.url), "test")
    request = traces.begin("request", "server", CAUSE)
    call = traces.begin("call", "client", request.traceparent)
    call.end({"sluice.payment_id": "pay_1"})
    request.end(failed=True)
    assert traces.begin("first", "server", None).traceparent not in (None, CAUSE)
    traces.close()
    called, requested = sorted(collector.trace_of("pay_1"), key=lambda span: span.name)
    assert (requested.trace_id, requested.parent_id) == tuple(CAUSE.split("-")[1:3])
    assert (called.parent_id, called.service) == (requested.span_id, "sluice-test")


def test_without_a_collector_what_came_goes_on_and_nothing_is_loaded() -> None:
    traces = Traces()
    traces.open(Settings(), "test")
    span = traces.begin("request", "server", CAUSE)
    span.end({"x": 1})
    assert (span.traceparent, traces.begin("request", "server", None).traceparent) == (CAUSE, None)
    code = "import gateway.app, flows.fraud.codec, sys; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_a_task_sends_belongs_to_the_trace_it_works_on() -> None:
    assert outgoing() == {}
    token = CURRENT.set(CAUSE)
    assert outgoing() == {"traceparent": CAUSE}
    CURRENT.reset(token)
