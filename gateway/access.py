"""One log line and one measurement for every request. No query string, no body, no person."""

import asyncio
import contextlib
import sys
from datetime import datetime
from time import perf_counter

import msgspec
from quart import Quart, Response, g, request
from structlog.contextvars import get_contextvars

from gateway.parts import parts
from schemas.times import now

TOGETHER_S = 0.05  # lines are written together: one write per request cost 0.1 ms, here and at the log's reader

UNMATCHED = ("any", "unmatched")  # never what was sent: a scanner's guesses would each make a time series


class Line(msgspec.Struct, frozen=True):
    """An access log line. Its fields cannot hold what was sent: it skips the redaction of other logs (80 µs)."""

    method: str
    rule: str
    status: int
    ms: float
    trace: str | None
    timestamp: datetime
    event: str = "request"
    level: str = "info"
    process: str = "gateway"


class Lines:
    """Lines on their way to standard output."""

    def __init__(self) -> None:
        self._waiting: list[Line] = []

    def add(self, line: Line) -> None:
        """Write `line`, with those that come meanwhile, in `TOGETHER_S`."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(TOGETHER_S, self.write)
        self._waiting.append(line)

    def write(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        with contextlib.suppress(OSError):  # a log that cannot be written must not stop payments
            sys.stdout.write(msgspec.json.Encoder().encode_lines(waiting).decode())
            sys.stdout.flush()


def measure(app: Quart) -> None:
    """Measure and log every request of `app`, whatever becomes of it."""
    lines = Lines()

    @app.before_request
    async def start() -> None:
        g.started = perf_counter()

    @app.after_request
    async def finish(response: Response) -> Response:
        seconds = perf_counter() - g.started
        method, rule = (request.method, request.url_rule.rule) if request.url_rule else UNMATCHED
        parts().requests.observe(method, rule, response.status_code, seconds)
        trace = get_contextvars().get("trace")
        lines.add(Line(method, rule, response.status_code, round(seconds * 1000, 2), trace, now()))
        return response

    @app.after_serving
    async def end() -> None:
        lines.write()
