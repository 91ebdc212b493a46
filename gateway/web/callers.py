"""Who is asking: from an `Authorization` header to an account and its scopes."""

from typing import Literal

import msgspec

from gateway.books import clients, sessions
from gateway.identity.tokens import Claims, NotAuthenticated
from gateway.roles import Role, scopes_of
from gateway.runtime import Runtime


class Caller(msgspec.Struct, frozen=True):
    """`account_id` is an account's, or a service client's. `limit_class` empty: each route's own limit."""

    account_id: str
    role: Role | Literal["service", "nobody"]
    scopes: frozenset[str]
    session_id: str = ""
    limit_class: str = ""


NOBODY = Caller("", "nobody", frozenset())  # the caller of a public route


async def identify(runtime: Runtime, authorization: str | None) -> Caller:
    """The caller behind a bearer token, as the books know them now. Raises `NotAuthenticated`."""
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise NotAuthenticated
    claims = runtime.tokens.verify(token)
    return await (_account(runtime, claims) if claims.sid else _service(runtime, claims))


async def _account(runtime: Runtime, claims: Claims) -> Caller:
    grant = await runtime.books.read(sessions.granted, claims.sid)
    if grant is None or grant.account_id != claims.sub:
        raise NotAuthenticated("The session has ended.")
    scopes = scopes_of(grant.role, grant.extra_scopes)
    return Caller(grant.account_id, grant.role, scopes, claims.sid, grant.limit_class)


async def _service(runtime: Runtime, claims: Claims) -> Caller:
    client = await runtime.books.read(clients.by_id, claims.sub)
    if client is None:
        raise NotAuthenticated
    return Caller(client.id, "service", frozenset(claims.scope.split()) & frozenset(client.scopes.split()))
