"""What every request gets: ids to find it by, one log line, one measurement. No query string, no body, no person.

`Request-Id` names one answer: its log lines and its problem have it too. The trace (W3C Trace Context) ties a
request to its events and what they cause, in other processes as well.
"""

from time import perf_counter

from quart import Quart, Response, g, request
from structlog.contextvars import bind_contextvars

from connectors.traces import TRACES
from gateway.log_lines import LogLine, given_traceparent, new_traceparent
from gateway.runtime import current_runtime
from schemas.events import trace_id
from schemas.ids import new_id
from schemas.times import now

UNMATCHED = ("any", "unmatched")  # never what was sent: a scanner's guesses would each make a time series


class RequestLine(LogLine, frozen=True, kw_only=True):
    """An access log line."""

    event: str = "request.answered"
    request_id: str
    method: str
    rule: str
    status: int
    milliseconds: float


def measure(app: Quart) -> None:
    """Name, measure and log every request of `app`, whatever becomes of it."""

    @app.before_request
    async def start() -> None:
        g.started = perf_counter()
        g.request_id = new_id("req")
        g.span = TRACES.begin("request", "server", given_traceparent(request.headers.getlist("traceparent")))
        g.traceparent = g.span.traceparent or new_traceparent()
        bind_contextvars(trace=trace_id(g.traceparent), request_id=g.request_id)

    @app.after_request
    async def finish(response: Response) -> Response:
        response.headers["Request-Id"] = g.request_id
        seconds = perf_counter() - g.started
        method, rule = (request.method, request.url_rule.rule) if request.url_rule else UNMATCHED
        runtime = current_runtime()
        runtime.request_metrics.observe(method, rule, response.status_code, seconds)
        line = RequestLine(
            timestamp=now(),
            trace=trace_id(g.traceparent),
            request_id=g.request_id,
            method=method,
            rule=rule,
            status=response.status_code,
            milliseconds=round(seconds * 1000, 2),
        )
        runtime.log_lines.add(line)
        told = {"http.request.method": method, "http.route": rule, "http.response.status_code": line.status}
        g.span.end(told, failed=line.status >= 500)
        return response
