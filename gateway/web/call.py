"""One request, checked, and the reply to it."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
from quart import Response, g

from gateway.books.idempotency import JSON, IdempotentAnswer, KeyedRequest
from gateway.problems import CONTENT_TYPE, Problem
from gateway.runtime import Runtime
from gateway.web.callers import Caller

BodyT = TypeVar("BodyT", covariant=True)
QueryT = TypeVar("QueryT", covariant=True)

REPLAYED = {"Idempotent-Replayed": "true"}


class Call(msgspec.Struct, Generic[BodyT, QueryT], frozen=True):
    """One request, checked. `caller` is `NOBODY` on public routes; `body` and `query` are of the declared types.

    `key` is the Idempotency-Key, `fingerprint` what makes a repeat of it the same request (empty without key).
    """

    runtime: Runtime
    caller: Caller
    body: BodyT
    query: QueryT
    key: str | None
    fingerprint: bytes
    ip: str
    traceparent: str

    def keyed(self) -> KeyedRequest:
        """The request under its Idempotency-Key; a route that asks must require one."""
        assert self.key is not None
        return KeyedRequest(self.caller.account_id, self.key, self.fingerprint, self.caller.role)


class Reply(msgspec.Struct, frozen=True):
    """An answer. `body`: a struct or dict (sent as JSON), bytes sent as they are, or None for no body."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}

    def encoded(self) -> bytes:
        """The body as sent."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)

    def media_type(self) -> str:
        """The Content-Type as sent."""
        return self.headers.get("Content-Type", JSON)


def replied(answer: IdempotentAnswer, *, replayed: bool = False) -> Reply:
    """A stored answer as a reply, with its bytes and media type; `replayed`: to a repeat of its request."""
    headers = {"Content-Type": answer.media_type} | (REPLAYED if replayed else {})
    return Reply(answer.status, answer.body, headers)


def respond(reply: Reply) -> Response:
    """A reply as Quart sends it."""
    response = Response(reply.encoded(), reply.status, content_type=JSON)
    if reply.body is None:
        del response.headers["Content-Type"]
    for name, value in reply.headers.items():
        response.headers[name] = value
    return response


def refuse(problem: Problem) -> Response:
    """A problem as a response."""
    body = problem.body(g.get("request_id"))
    return respond(Reply(problem.status, body, {"Content-Type": CONTENT_TYPE, **problem.headers}))
