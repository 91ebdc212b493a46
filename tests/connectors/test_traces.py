"""Spans go to a collector where one is named, each a child of what caused it; without one nothing is loaded."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from time import monotonic

import pytest

from connectors.traces import CURRENT, EXPORTED_WITHIN_S, Traces, outgoing
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
    assert (called.is_error, requested.is_error) == (False, True)


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


def test_a_collector_that_hangs_holds_up_neither_a_span_nor_the_end_of_a_process() -> None:
    traces = Traces()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        traces.open(Settings(traces=f"http://127.0.0.1:{silent.getsockname()[1]}"), "test")
        began = monotonic()
        for _ in range(1_000):  # the second batch waits while the first one is on its way
            traces.begin("request", "server", None).end()
        ended = monotonic()
        traces.close()
        assert (ended - began < EXPORTED_WITHIN_S, monotonic() - ended < EXPORTED_WITHIN_S) == (True, True)


def test_where_the_sdk_is_switched_off_what_came_goes_on(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    traces = Traces()
    traces.open(Settings(traces=collector.url), "test")
    begun = [traces.begin("request", "server", cause).traceparent for cause in (CAUSE, None)]
    traces.close()
    assert begun == [CAUSE, None]
