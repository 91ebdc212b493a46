"""Spans of traces, for an OTLP collector where `SLUICE_TRACES` names one; else nothing is loaded, and little done.

A span covers what one process does about a request or an event. It is a child of the `traceparent` that came with
that, and what goes out carries the span's own (https://www.w3.org/TR/trace-context/). Spans leave in a thread of
their own; where the collector is slow or away they are dropped, and nobody waits.
"""

import atexit
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any, Literal

from schemas.settings import Settings

Kind = Literal["server", "client", "consumer"]
Attributes = dict[str, str | int | float]

EXPORTED_WITHIN_S = 5.0
CLOSED_WITHIN_S = 1.0  # a process that ends is started again only once it has
HEADER = "traceparent"
# The `traceparent` of what this task works on: requests that it sends carry it.
CURRENT: ContextVar[str | None] = ContextVar("traceparent", default=None)


class Span:
    """Something under way. `traceparent`: what it causes carries this; that of its cause while all is off."""

    __slots__ = ("_open", "traceparent")

    def __init__(self, traceparent: str | None, opened: Any = None) -> None:
        self.traceparent, self._open = traceparent, opened

    def end(self, attributes: Attributes | None = None, *, failed: bool = False) -> None:
        """It is over. `failed`: nothing came of it, or nobody knows what did."""
        if self._open is None:
            return
        from opentelemetry.trace import StatusCode

        if attributes:
            self._open.set_attributes(attributes)
        if failed:
            self._open.set_status(StatusCode.ERROR)
        self._open.end()


class Traces:
    """What this process tells of its part in traces."""

    def __init__(self) -> None:
        self._tracer: Any = None
        self._batches: Any = None

    def open(self, settings: Settings, process: str) -> None:
        """Tell the collector that the settings name, if any, for this `process`."""
        if not settings.traces or self._tracer is not None:
            return
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        known = {"service.name": f"sluice-{process}", "service.version": version("sluice")}
        address = f"{settings.traces.rstrip('/')}/v1/traces"
        # Its own end waits half a minute for a collector that hangs: `close` is what ends it.
        provider = TracerProvider(resource=Resource.create(known), shutdown_on_exit=False)
        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=EXPORTED_WITHIN_S))
        provider.add_span_processor(processor)
        self._batches, self._tracer = processor._batch_processor, provider.get_tracer("sluice")
        atexit.register(self.close)

    def begin(self, name: str, kind: Kind, traceparent: str | None, began_ns: int | None = None) -> Span:
        """A span that `traceparent` caused, or a trace's first; it began now, or then (nanoseconds since 1970)."""
        if self._tracer is None:
            return Span(traceparent)
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        cause = TraceContextTextMapPropagator().extract({HEADER: traceparent} if traceparent else {})
        opened = self._tracer.start_span(name, cause, SpanKind[kind.upper()], start_time=began_ns)
        known = opened.get_span_context()
        if not known.is_valid:  # `OTEL_SDK_DISABLED`
            return Span(traceparent)
        return Span(f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags:02x}", opened)

    def close(self) -> None:
        """Send what waits, for `CLOSED_WITHIN_S` at most; so ends every process that has them open."""
        if self._batches is not None:
            self._batches.shutdown(timeout_millis=int(CLOSED_WITHIN_S * 1000))
        self._tracer = self._batches = None


TRACES = Traces()  # of this process


def outgoing() -> dict[str, str]:
    """The header by which a request that this task sends belongs to its trace."""
    traceparent = CURRENT.get()
    return {HEADER: traceparent} if traceparent else {}
