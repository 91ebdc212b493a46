"""HTTP below the routes: what is refused before any of them sees it, and answers where none can give one."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from quart import Quart, Request, request
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import MapAdapter

from gateway.csv_lines import CSV
from gateway.problems import CONTENT_TYPE, Problem
from schemas.ids import new_id

Send = Callable[[Any], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Send], Awaitable[None]]

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# A name of labels of 63 octets at most (RFC 1035 §2.3.4), or an address; maybe a port. It may be empty (RFC 9110
# §7.2).
HOST = re.compile(
    r"(?:(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?|\[[0-9a-f:.]+\])?(?::[0-9]{0,5})?", re.ASCII | re.IGNORECASE
)
FILE_MAX = 16 * 1024 * 1024  # bytes of a CSV: some 150,000 lines
FILES_MAX = {"/v1/lists": FILE_MAX, "/v1/labels": FILE_MAX}  # by path
HOST_MAX = 260  # characters: a name of 253 and a port

log = structlog.get_logger()


class GatewayRequest(Request):
    """Quart's request; one that brings a file may be as long as its route says."""

    def __init__(self, *args: Any, max_content_length: int | None = None, **more: Any) -> None:
        super().__init__(*args, max_content_length=max_content_length, **more)
        if self.mimetype == CSV and self.path in FILES_MAX:
            self.max_content_length = FILES_MAX[self.path]
            self.body = self.body_class(self.content_length, self.max_content_length)


class GatewayApp(Quart):
    """Quart, but for the Host header: no route goes by it, and no answer repeats it."""

    request_class = GatewayRequest

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """What finds the route of a request: by its path and method alone."""
        if request is None:
            return None
        return self.url_map.bind(
            self.name, url_scheme=request.scheme, default_method=request.method, path_info=request.path
        )


def check_hosts(app: Quart) -> None:
    """Refuse requests whose Host header is missing, no host, or there twice (RFC 9112 §3.2)."""

    @app.before_request
    async def check() -> None:
        hosts = request.headers.getlist("Host")
        if len(hosts) != 1 or len(hosts[0]) > HOST_MAX or not HOST.fullmatch(hosts[0]):
            raise Problem("malformed_request", "It needs one Host header with the name of a host.")


def answered(app: AsgiApp) -> AsgiApp:
    """`app`, but what it raises before it has begun an answer is one: the problem `internal`.

    `unavailable`, where the server ends and the request took longer than what is in hand is given.
    """

    async def asgi(scope: Any, receive: Any, send: Send) -> None:
        begun = False

        async def tell(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await app(scope, receive, tell)
        except (Exception, asyncio.CancelledError) as error:
            if begun or scope["type"] != "http":
                raise
            await _send_problem(send, _problem_of(error))

    return asgi


def _problem_of(error: BaseException) -> Problem:
    if isinstance(error, asyncio.CancelledError):
        log.warning("request.cut_off")
        return Problem(
            "unavailable", "This gateway is ending. Try again: with its Idempotency-Key, where it has one."
        )
    log.error("request.crashed", exc_info=error)
    return Problem("internal")


async def _send_problem(send: Send, problem: Problem) -> None:
    headers, body = bare_answer(problem)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def bare_answer(problem: Problem) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of a problem where there is no request that Quart knows."""
    request_id = new_id("req")
    body = problem.body(request_id)
    named = {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(body)), "Request-Id": request_id}
    headers = [
        (name.lower().encode(), value.encode()) for name, value in (named | HEADERS | problem.headers).items()
    ]
    return headers, body
