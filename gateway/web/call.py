"""One request: who asks, what it is once it is checked, and the reply to it."""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any, Generic, Literal, TypeVar

import msgspec
from quart import Response, g

from gateway.books import clients, sessions
from gateway.books.idempotency import JSON, IdempotentAnswer, KeyedRequest
from gateway.identity.logins import scopes_granted, scopes_now
from gateway.identity.tokens import Claims, NotAuthenticated
from gateway.problems import CONTENT_TYPE, Problem
from gateway.roles import CLIENT_SCOPES, STAFF, MerchantRole, Role, is_reader, scopes_of
from gateway.runtime import Runtime
from schemas.times import steady_micros

BodyT = TypeVar("BodyT", covariant=True)
QueryT = TypeVar("QueryT", covariant=True)

PIECE = 64 * 1024  # bytes; a client that does not read holds up so much, not the whole body
REPLAYED = {"Idempotent-Replayed": "true"}


class Caller(msgspec.Struct, frozen=True):
    """`account_id`: whose objects these are, the merchant's for its people and clients. `actor_id`: who acts.

    The actor is a person's account, or a client: profile, sessions and second factor are theirs.
    `client_id`: the app of the session, empty after `POST /v1/login`; or the client itself. `merchant_role`: of a
    person who acts for a merchant. `second_factor`: the session proved one; `withheld`: the scopes that it will
    have once it did. `limit_class` empty: each route's own limit. `is_confirmed`: the e-mail address of the
    person, or of a client's merchant, where there is one. `is_reader`: an admin named this person one.
    """

    account_id: str
    actor_id: str
    role: Role | Literal["service", "nobody"]
    scopes: frozenset[str]
    withheld: frozenset[str] = frozenset()
    session_id: str = ""
    client_id: str = ""
    merchant_role: MerchantRole | Literal[""] = ""
    second_factor: bool = False
    limit_class: str = ""
    is_confirmed: bool = True
    is_reader: bool = False

    def must_be_confirmed(self) -> bool:
        """Whether it may do nothing before its address is confirmed: staff, and clients of merchants."""
        return self.role in STAFF or (self.role == "merchant" and not self.session_id)

    def login_id(self) -> str:
        """The session, if somebody gave their password for it; empty in an app, whose login began elsewhere."""
        return "" if self.client_id else self.session_id


NOBODY = Caller("", "", "nobody", frozenset())  # the caller of a public route


def bearer_token(authorization: list[str]) -> str:
    """The token of the one Authorization header (RFC 6750 §2.1); empty where it has none, or there are more."""
    kind, _, token = (authorization[0] if len(authorization) == 1 else "").partition(" ")
    return token if kind.lower() == "bearer" else ""


async def identify(runtime: Runtime, token: str) -> Caller:
    """The caller behind a bearer token, as the books know them now. Raises `NotAuthenticated`."""
    if not token:
        raise NotAuthenticated
    claims = runtime.tokens.verify(token)
    return await (_account(runtime, claims) if claims.sid else _client(runtime, claims))


async def _account(runtime: Runtime, claims: Claims) -> Caller:
    grant = await runtime.books.read(sessions.granted, claims.sid)
    if grant is None or grant.account_id != claims.sub:
        raise NotAuthenticated("The session has ended.")
    if runtime.session_uses.is_due(claims.sid, grant.last_used_at):
        runtime.go_on(runtime.session_uses.note(claims.sid))
    if grant.client_id:
        _note_use(runtime, grant.client_id, grant.client_used_at, grant.client_expires_at)
    scopes = scopes_now(grant, runtime.seeded_ids)
    withheld = scopes_granted(grant) - scopes
    if grant.client_id:  # of what the person allowed its app, what this token was asked for
        scopes &= frozenset(claims.scope.split())
    return Caller(
        account_id=grant.merchant_id or grant.account_id,
        actor_id=grant.account_id,
        role=grant.role,
        scopes=scopes,
        withheld=withheld,
        session_id=claims.sid,
        client_id=grant.client_id,
        merchant_role=grant.merchant_role or ("owner" if grant.role == "merchant" else ""),
        second_factor=grant.second_factor_at is not None,
        limit_class=grant.limit_class or ("staff" if grant.role in STAFF else ""),
        is_confirmed=grant.is_confirmed,
        is_reader=is_reader(grant.role, grant.extra_scopes),
    )


async def _client(runtime: Runtime, claims: Claims) -> Caller:
    """A client in its own name: a merchant's acts for that merchant, with no more than the merchant has now."""
    grant = await runtime.books.read(clients.granted, claims.sub, steady_micros())
    if grant is None:
        raise NotAuthenticated
    _note_use(runtime, claims.sub, grant.last_used_at, grant.expires_at)
    scopes = frozenset(claims.scope.split()) & frozenset(grant.scopes.split())
    if grant.account_id is None:
        return Caller(claims.sub, claims.sub, "service", scopes, client_id=claims.sub, limit_class="service")
    return Caller(
        account_id=grant.account_id,
        actor_id=claims.sub,
        role="merchant",
        scopes=scopes & CLIENT_SCOPES["merchant"] & scopes_of("merchant", grant.extra_scopes or "", None),
        client_id=claims.sub,
        limit_class=grant.limit_class or "",
        is_confirmed=grant.is_confirmed,
    )


def _note_use(runtime: Runtime, client_id: str, last_used_at: int | None, expires_at: int | None) -> None:
    runtime.client_uses.warn(client_id, expires_at)
    if runtime.client_uses.is_due(client_id, last_used_at):
        runtime.go_on(runtime.client_uses.note(client_id))


class Call(msgspec.Struct, Generic[BodyT, QueryT], frozen=True):
    """One request, checked. `caller` is `NOBODY` on public routes; `body` and `query` are of the declared types.

    `path` is that of its URL. `ip` is canonical, empty where the connection has none. `key` is the
    Idempotency-Key, `fingerprint` what makes a repeat of it the same request (empty without key). `only_looks`: it
    must change nothing, whatever its route does (RFC 9110 §9.2.1): HEAD, or what a browser fetches ahead or as a
    part of a page. `file`: the pieces of a CSV, where the route takes one and it came; then `body` is None.
    """

    runtime: Runtime
    caller: Caller
    body: BodyT
    query: QueryT
    key: str | None
    fingerprint: bytes
    ip: str
    traceparent: str
    path: str = ""
    only_looks: bool = False
    file: AsyncIterator[bytes] | None = None

    def keyed(self) -> KeyedRequest:
        """The request under its Idempotency-Key; a route that asks must require one."""
        request = self.keyed_or_not()
        assert request is not None
        return request

    def keyed_or_not(self) -> KeyedRequest | None:
        """The request under its Idempotency-Key; None where it came without."""
        if self.key is None:
            return None
        caller = self.caller
        return KeyedRequest(caller.account_id, self.key, self.fingerprint, caller.role, caller.actor_id)


class Reply(msgspec.Struct, frozen=True):
    """An answer. `body`: a struct or dict (sent as JSON), bytes sent as they are, or None for no body.

    Of pieces that come one by one each is sent as it comes; what they hold is opened already.
    `cookies`: a Set-Cookie each.
    """

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}
    cookies: tuple[str, ...] = ()

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
    headers = ({"Content-Type": answer.media_type} if answer.body else {}) | (REPLAYED if replayed else {})
    return Reply(answer.status, answer.body or None, headers)


def respond(reply: Reply) -> Response:
    """A reply as Quart sends it: a large body piece by piece, as its client reads it."""
    if isinstance(reply.body, AsyncIterator):
        return _streamed(reply, reply.body)
    body = reply.encoded()
    response = Response(_pieces(body) if len(body) > PIECE else body, reply.status, content_type=JSON)
    if len(body) > PIECE:
        response.content_length = len(body)
    if reply.body is None:
        del response.headers["Content-Type"]
    if reply.status == HTTPStatus.NO_CONTENT:
        del response.headers["Content-Length"]  # RFC 9110 §8.6
    for name, value in reply.headers.items():
        response.headers[name] = value
    for cookie in reply.cookies:
        response.headers.add("Set-Cookie", cookie)
    return response


def _streamed(reply: Reply, pieces: AsyncIterator[bytes]) -> Response:
    response = Response(pieces, reply.status, dict(reply.headers), content_type=reply.media_type())
    response.timeout = None  # as long as its client reads
    return response


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def refuse(problem: Problem) -> Response:
    """A problem as a response."""
    body = problem.body(g.get("request_id"))
    return respond(Reply(problem.status, body, {"Content-Type": CONTENT_TYPE, **problem.headers}))
