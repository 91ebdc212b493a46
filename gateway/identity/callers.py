"""Who is asking: from an `Authorization` header to an account and its scopes."""

from typing import Literal

import msgspec

from gateway.books import clients, sessions
from gateway.errors import Unauthenticated
from gateway.identity.roles import Role, scopes_of
from gateway.identity.tokens import Claims
from gateway.parts import Parts


class Caller(msgspec.Struct, frozen=True):
    """`account` is an account's id, or a service client's. `limit_class` empty: each route's own limit."""

    account: str
    role: Role | Literal["service", "nobody"]
    scopes: frozenset[str]
    session: str = ""
    limit_class: str = ""


NOBODY = Caller("", "nobody", frozenset())  # the caller of a public route


async def identify(parts: Parts, authorization: str | None) -> Caller:
    """The caller behind a bearer token, as the books know them now. Raises `Unauthenticated`."""
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise Unauthenticated
    claims = parts.tokens.verify(token)
    return await (_account(parts, claims) if claims.sid else _service(parts, claims))


async def _account(parts: Parts, claims: Claims) -> Caller:
    now = await parts.books.read(sessions.standing, claims.sid)
    if now is None or now.account != claims.sub:
        raise Unauthenticated("The session has ended.")
    return Caller(now.account, now.role, scopes_of(now.role, now.extra_scopes), claims.sid, now.limit_class)


async def _service(parts: Parts, claims: Claims) -> Caller:
    client = await parts.books.read(clients.by_id, claims.sub)
    if client is None:
        raise Unauthenticated
    return Caller(client.id, "service", frozenset(claims.scope.split()) & frozenset(client.scopes.split()))
