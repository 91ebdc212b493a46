"""The one way a route is declared: what it needs, takes, answers and refuses, and the checks in their order."""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from time import monotonic
from typing import Any, Literal

import msgspec
from quart import Response, request
from structlog.contextvars import bind_contextvars
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from gateway.bodies import convert, decode, parse
from gateway.books import idempotency
from gateway.errors import (
    CONTENT_TYPE,
    BodyTimeout,
    BodyTooLarge,
    FieldError,
    Forbidden,
    IdempotencyKeyMissing,
    InvalidRequest,
    Problem,
    RateLimited,
    Unauthenticated,
)
from gateway.fingerprint import fingerprint, material
from gateway.identity.callers import NOBODY, Caller, identify
from gateway.parts import Parts, parts
from gateway.traceparent import trace_id, traceparent
from schemas.cards import find_numbers
from schemas.times import now_micros

Keys = Literal["none", "accepted", "required"]
KEY = re.compile(r"[!-~]{1,255}")
JSON = "application/json"


class Call(msgspec.Struct, frozen=True):
    """One request, checked. `caller` is `NOBODY` on public routes. `body` and `query` are of the declared types.

    `key` is the Idempotency-Key, `fingerprint` what makes a repeat of it the same request (empty without key).
    """

    parts: Parts
    caller: Caller
    body: Any
    query: Any
    key: str | None
    fingerprint: bytes
    ip: str
    traceparent: str


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


Handler = Callable[..., Awaitable[Reply]]


class Rules(msgspec.Struct, frozen=True):
    """What a route declared; kept on its function as `rules` for OpenAPI and the completeness tests.

    `scope` None: public. `limit` None: unlimited (probes only). `digest`: who makes the fingerprint, the vault
    where a body holds a card number. `form`: the handler reads a form (OAuth), and there is no `body`.
    """

    scope: str | None
    limit: str | None
    body: type[Any] | None
    query: type[Any] | None
    answers: Mapping[int, Any]
    codes: tuple[str, ...]
    idempotency: Keys
    digest: Literal["gateway", "vault"]
    body_optional: bool
    form: bool


def endpoint(
    *,
    scope: str | None,
    limit: str | None = "default",
    body: type[Any] | None = None,
    query: type[Any] | None = None,
    answers: Mapping[int, Any],
    codes: tuple[str, ...] = (),
    idempotency: Keys = "none",
    digest: Literal["gateway", "vault"] = "gateway",
    form: bool = False,
) -> Callable[[Handler], Callable[..., Awaitable[Response]]]:
    """Declare a route; below it stands `async def handler(call: Call, **path) -> Reply`.

    In this order: authentication, rate limit, scope, body, query, Idempotency-Key, handler. `answers`: status to
    type (None: no body). `codes`: the problems it may answer with beyond those that follow from its rules.
    `idempotency`: "accepted" replays the first answer to a key; "required" leaves the claim to the handler.
    """
    decoder = msgspec.json.Decoder(body) if body else None
    rules = Rules(scope, limit, body, query, answers, codes, idempotency, digest, _takes_nothing(decoder), form)

    def declare(handler: Handler) -> Callable[..., Awaitable[Response]]:
        @wraps(handler)
        async def view(**path: str) -> Response:
            call = await _checked(rules, decoder, parts())
            if call.key and idempotency == "accepted":
                return _respond(await call.parts.shielded(_once(handler, call, path)))
            return _respond(await handler(call, **path))

        view.rules = rules  # type: ignore[attr-defined]
        return view

    return declare


def _takes_nothing(decoder: msgspec.json.Decoder[Any] | None) -> bool:
    try:
        return decoder is not None and decoder.decode(b"{}") is not None
    except msgspec.ValidationError:
        return False


async def _checked(rules: Rules, decoder: msgspec.json.Decoder[Any] | None, parts: Parts) -> Call:
    parent = traceparent(request.headers.get("traceparent"))
    bind_contextvars(trace=trace_id(parent))
    ip = request.remote_addr or ""
    caller = await _admit(rules, parts, ip)
    document, decoded = None, None
    if decoder:
        raw = await _raw() or (b"{}" if rules.body_optional else b"")
        document = parse(raw)
        decoded = decode(raw, decoder)
    query = convert(request.args.to_dict(), rules.query) if rules.query else None
    key = _key(rules.idempotency)
    made_of = await _fingerprint(rules, parts, document) if key else b""
    return Call(parts, caller, decoded, query, key, made_of, ip, parent)


async def _admit(rules: Rules, parts: Parts, ip: str) -> Caller:
    if rules.scope is None:
        spend(parts, rules.limit, ip)
        return NOBODY
    try:
        caller = await identify(parts, request.headers.get("Authorization"))
    except Unauthenticated:
        spend(parts, "refused", ip)
        raise
    spend(parts, caller.limit_class or rules.limit, caller.account)
    if rules.scope not in caller.scopes:
        raise Forbidden
    return caller


def spend(parts: Parts, limit: str | None, key: str) -> None:
    """Take one request of `key` off a limit (None: unlimited). Raises `RateLimited`."""
    if limit is None:
        return
    spent = parts.limits.spend(limit, key, monotonic())
    if spent.retry_after:
        refusal = RateLimited(retry_after=spent.retry_after)
        refusal.headers.update(spent.headers())
        raise refusal


async def _raw() -> bytes:
    try:
        raw = await request.get_data(cache=False, as_text=False)
    except RequestEntityTooLarge:
        raise BodyTooLarge from None
    except RequestTimeout:
        raise BodyTimeout from None
    assert isinstance(raw, bytes)
    return raw


def _key(rule: Keys) -> str | None:
    if rule == "none":
        return None
    key = request.headers.get("Idempotency-Key")
    if not key:
        if rule == "required":
            raise IdempotencyKeyMissing
        return None
    if not KEY.fullmatch(key):
        raise InvalidRequest(FieldError("Idempotency-Key", "1 to 255 visible ASCII characters."))
    if key in find_numbers(key):  # as a whole: parts of a UUID may look like one by chance
        raise InvalidRequest(FieldError("Idempotency-Key", "A card number is no key: it would be stored."))
    return key


async def _fingerprint(rules: Rules, parts: Parts, document: Any) -> bytes:
    made_of = material(request.method, request.path, document)
    if rules.digest == "vault":
        digest: bytes = await parts.vault.digest(made_of)
        return digest
    return fingerprint(parts.key, made_of)


async def _once(handler: Handler, call: Call, path: dict[str, str]) -> Reply:
    """The handler's answer to the first request with this key, and the same bytes to every other."""
    account, key = call.caller.account, call.key or ""
    now = now_micros()
    lease_until = now + int(call.parts.settings.lease_s * 1_000_000)
    claim = await call.parts.books.write(idempotency.claim, account, key, call.fingerprint, now, lease_until)
    if isinstance(claim, idempotency.Replay):
        return Reply(claim.status, claim.body, {"Idempotent-Replayed": "true"})
    try:
        reply = await handler(call, **path)
    except Exception:
        await call.parts.books.write(idempotency.release, account, key)
        raise
    await call.parts.books.write(idempotency.store_answer, account, key, reply.status, reply.encoded())
    return reply


def _respond(reply: Reply) -> Response:
    response = Response(reply.encoded(), reply.status, content_type=JSON)
    if reply.body is None:
        del response.headers["Content-Type"]
    for name, value in reply.headers.items():
        response.headers[name] = value
    return response


def refuse(problem: Problem) -> Response:
    """A problem as a response."""
    return _respond(Reply(problem.status, problem.body(), {"Content-Type": CONTENT_TYPE, **problem.headers}))
