"""Login with a password and a second factor, the refresh tokens that follow it, and logout."""

from typing import Literal

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import audit, sessions
from gateway.books.audit import Act
from gateway.books.sessions import SessionGrant
from gateway.free_text import Unstored
from gateway.identity.logins import log_in, scopes_now
from gateway.identity.refreshing import rotate
from gateway.identity.tokens import LIFETIME_S
from gateway.problems import Problem
from gateway.runtime import Runtime
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.known_device import device_cookie, whence_of

blueprint = Blueprint("login", __name__)


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """E-mail and password. `otp`: a code of the second factor, or a recovery code; null or empty: none."""

    email: Unstored
    password: Unstored
    otp: Unstored | None = None


class RefreshRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest refresh token of a session."""

    refresh_token: Unstored


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for `expires_in` seconds, and the refresh token to get the next one with, once.

    A session ends 30 days after its login; of staff after 12 hours, and after 15 minutes without a request.
    """

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = LIFETIME_S
    refresh_token: str


@blueprint.post("/v1/login")
@endpoint(
    scope=None,
    limit="login",
    body=LoginRequest,
    answers={200: TokenPair},
    codes=("invalid_credentials", "otp_required", "unavailable"),
)
async def login(call: Call[LoginRequest, None]) -> Reply:
    """Begin a session.

    An unknown address, a wrong password and a lock are the same 401, after the same work. Ten wrong passwords
    lock the account for 30 minutes for callers whom it does not know; who is known (by the cookie `sluice_device`,
    which each login sets, or an address that logged in within 30 days) has ten tries of their own. With a second
    factor and the right password, no code or a wrong one is 401 `otp_required`; a right one opens a lock of the
    password. Ten wrong codes lock the codes of callers without the cookie for 30 minutes, each time for twice as
    long as the last; a recovery code is taken all the same.
    """
    runtime, body = call.runtime, call.body
    begun = await log_in(runtime, body.email, body.password, (body.otp or "").strip(), whence_of(call.ip))
    pair = _token_pair(runtime, begun.grant, begun.session_id, begun.token)
    return Reply(200, pair, {"Set-Cookie": device_cookie(runtime, begun.device)})


@blueprint.post("/v1/login/refresh")
@endpoint(scope=None, limit="public", body=RefreshRequest, answers={200: TokenPair}, codes=("unauthenticated",))
async def refresh(call: Call[RefreshRequest, None]) -> Reply:
    """Exchange a refresh token for new tokens. One that was used before ends its session: somebody has a copy.

    An answer may be lost: for ten seconds the very same token is answered the same way, while its successor is not
    used.
    """
    runtime = call.runtime
    rotated = await runtime.books.write(rotate, runtime.key, call.body.refresh_token, "")
    if rotated is None:
        raise Problem("unauthenticated", "The refresh token is not good any more.")
    return Reply(200, _token_pair(runtime, rotated.grant, rotated.session_id, rotated.refresh_token))


@blueprint.post("/v1/logout")
@endpoint(scope="account", answers={204: None})
async def logout(call: Call[None, None]) -> Reply:
    """End the session at once, with every token of it."""
    await call.runtime.books.write(_end, call.caller.actor_id, call.caller.session_id)
    return Reply(204)


def _end(conn: Connection, actor_id: str, session_id: str) -> None:
    sessions.revoke(conn, session_id)
    audit.record(conn, Act("logout", actor_id, session_id))


def _token_pair(runtime: Runtime, grant: SessionGrant, session_id: str, refresh_token: str) -> TokenPair:
    token = runtime.tokens.sign(grant.account_id, grant.role, scopes_now(grant, runtime.seeded_ids), session_id)
    return TokenPair(access_token=token, refresh_token=refresh_token)
