"""One log line and one measurement for every request. No query string, no body, no person."""

from time import perf_counter

import structlog
from quart import Quart, Response, g, request

from gateway.parts import parts

UNMATCHED = "unmatched"  # never the path: a scanner's guesses would each make a time series

log = structlog.get_logger("access")


def measure(app: Quart) -> None:
    """Measure and log every request of `app`, whatever becomes of it."""

    @app.before_request
    async def start() -> None:
        g.started = perf_counter()

    @app.after_request
    async def finish(response: Response) -> Response:
        seconds = perf_counter() - g.started
        rule = request.url_rule.rule if request.url_rule else UNMATCHED
        method = request.method if request.url_rule else "any"
        parts().requests.observe(method, rule, response.status_code, seconds)
        log.info("request", method=method, rule=rule, status=response.status_code, ms=round(seconds * 1000, 2))
        return response
