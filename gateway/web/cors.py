"""Browsers of other origins: which pages may call the API and read what it answers (docs/decisions/0050).

By the Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol. A preflight carries no token: the origin
of any merchant passes. An answer to the token of a client is readable for its merchant's origins alone. No answer
may be read together with cookies: `Access-Control-Allow-Credentials` is never sent.
"""

from quart import Quart, Response, g, request

from gateway.runtime import current_runtime
from gateway.web.call import Caller

PREFIXES = ("/v1/", "/.well-known/")
PATHS = frozenset({"/oauth/token", "/oauth/revoke", "/oauth/jwks"})

PREFLIGHT = {
    "Access-Control-Allow-Methods": "DELETE, GET, PATCH, POST, PUT",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, traceparent",
    "Access-Control-Max-Age": "600",  # seconds: an origin that is taken away is soon asked for again
}
EXPOSED = {"Access-Control-Expose-Headers": "Idempotent-Replayed, Request-Id, Retry-After"}


def allow_origins(app: Quart) -> None:
    """Answer preflights, and say on every answer whose pages may read it."""

    @app.before_request
    async def answer_preflight() -> Response | None:
        if not is_preflight() or not await current_runtime().origins.knows(request.headers["Origin"]):
            return None
        response = Response(status=204)
        del response.headers["Content-Type"], response.headers["Content-Length"]
        response.headers.update(PREFLIGHT)
        return response

    @app.after_request
    async def allow(response: Response) -> Response:
        if not is_open(request.path):
            return response
        response.vary.add("Origin")
        given = request.headers.getlist("Origin")
        if len(given) == 1 and await _may_read(given[0]):
            response.headers["Access-Control-Allow-Origin"] = given[0]
            if request.method != "OPTIONS":
                response.headers.update(EXPOSED)
        return response


def is_open(path: str) -> bool:
    """Whether pages of other origins may call what is at a path."""
    return path in PATHS or path.startswith(PREFIXES)


def is_preflight() -> bool:
    """Whether a browser asks what a page may send; anything else of OPTIONS is a method we do not know."""
    asks = "Access-Control-Request-Method" in request.headers and len(request.headers.getlist("Origin")) == 1
    return request.method == "OPTIONS" and asks and is_open(request.path)


async def _may_read(origin: str) -> bool:
    origins = current_runtime().origins
    caller: Caller | None = g.get("caller")
    if caller is not None and caller.client_id:
        return await origins.knows_of(origin, caller.client_id)
    return await origins.knows(origin)
