"""A small OpenTelemetry collector: it keeps the spans that processes send it by OTLP over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.throughput import collector


class KeptSpan(msgspec.Struct, frozen=True):
    """A span as it came: of which service, and which one caused it."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]
    is_error: bool


class Collector:
    """What was sent to `url`."""

    url: str

    def __init__(self) -> None:
        self.spans: list[KeptSpan] = []

    def trace_of(self, payment: str) -> list[KeptSpan]:
        """All spans of the trace in which a payment is named."""
        ids = {span.trace_id for span in self.spans if span.attributes.get("sluice.payment_id") == payment}
        return [span for span in self.spans if span.trace_id in ids]

    def take(self, body: bytes) -> None:
        """Keep the spans of a request."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            known = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    KeptSpan(
                        known["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        {each.key: each.value.string_value for each in span.attributes},
                        span.status.code == span.status.STATUS_CODE_ERROR,
                    )
                    for span in scope.spans
                ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collected = Collector()
    with collector(collected.take) as collected.url:
        yield collected
