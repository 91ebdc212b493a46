"""Login with a password, the refresh tokens that follow it, and logout."""

from secrets import token_urlsafe
from typing import Literal

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import accounts, sessions
from gateway.books.accounts import Account
from gateway.books.sessions import SessionGrant
from gateway.free_text import Unstored
from gateway.identity import contacts
from gateway.identity.tokens import LIFETIME_S, hash_secret
from gateway.problems import Problem
from gateway.roles import scopes_of
from gateway.runtime import Runtime
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint, spend
from schemas.ids import new_id
from schemas.times import now_micros, steady_micros

blueprint = Blueprint("login", __name__)

SESSION_US = 30 * 24 * 60 * 60 * 1_000_000


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """E-mail and password. `otp` can only be null or empty: no account has a second factor yet."""

    email: Unstored
    password: Unstored
    otp: Literal[""] | None = None


class RefreshRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest refresh token of a session."""

    refresh_token: Unstored


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for `expires_in` seconds, and the refresh token to get the next one with, once.

    A session ends 30 days after its login.
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
    codes=("invalid_credentials", "unavailable"),
)
async def login(call: Call[LoginRequest, None]) -> Reply:
    """Begin a session.

    An unknown address, a wrong password and a locked account (30 minutes after ten wrong passwords) are the
    same 401, after the same work.
    """
    body = call.body
    key = contacts.email_key(body.email.strip())
    spend(call.runtime, "login_email", key)
    account = await call.runtime.books.read(accounts.by_email, key)
    stored = account.password_hash if account else None
    if not await call.runtime.passwords.verify(stored, body.password):
        if account:
            # Not awaited: the wait for the disk would tell that the account exists.
            call.runtime.go_on(call.runtime.books.write(accounts.count_failure, account.id, steady_micros()))
        raise Problem("invalid_credentials")
    assert account is not None
    return await _begin(call.runtime, account)


@blueprint.post("/v1/login/refresh")
@endpoint(scope=None, limit="public", body=RefreshRequest, answers={200: TokenPair}, codes=("unauthenticated",))
async def refresh(call: Call[RefreshRequest, None]) -> Reply:
    """Exchange a refresh token for new tokens. One that was used before ends its session: somebody has a copy."""
    fresh = token_urlsafe(32)
    spent = hash_secret(call.body.refresh_token)
    session_id = await call.runtime.books.write(sessions.rotate, spent, hash_secret(fresh), steady_micros())
    grant = await call.runtime.books.read(sessions.granted, session_id) if session_id else None
    if not session_id or not grant:
        raise Problem("unauthenticated", "The refresh token is not good any more.")
    return Reply(200, _token_pair(call.runtime, grant, session_id, fresh))


@blueprint.post("/v1/logout")
@endpoint(scope="account", answers={204: None})
async def logout(call: Call[None, None]) -> Reply:
    """End the session at once, with every token of it."""
    await call.runtime.books.write(sessions.revoke, call.caller.session_id)
    return Reply(204)


async def _begin(runtime: Runtime, account: Account) -> Reply:
    session_id, fresh = new_id("ses"), token_urlsafe(32)
    if not await runtime.books.write(_start, account.id, session_id, hash_secret(fresh)):
        raise Problem("invalid_credentials")
    is_confirmed = account.email_confirmed_at is not None
    grant = SessionGrant(account.id, account.role, account.extra_scopes, account.limit_class, is_confirmed)
    return Reply(200, _token_pair(runtime, grant, session_id, fresh))


def _start(conn: Connection, account_id: str, session_id: str, token_hash: bytes) -> bool:
    """Begin the session; False if the account is locked.

    Checked in the writer's transaction, where every earlier wrong password is counted.
    """
    steady = steady_micros()
    if not accounts.forget_failures(conn, account_id, steady):
        return False
    sessions.start(conn, session_id, account_id, token_hash, steady + SESSION_US, now_micros())
    return True


def _token_pair(runtime: Runtime, grant: SessionGrant, session_id: str, refresh_token: str) -> TokenPair:
    scopes = scopes_of(grant.role, grant.extra_scopes)
    token = runtime.tokens.sign(grant.account_id, grant.role, scopes, session_id)
    return TokenPair(access_token=token, refresh_token=refresh_token)
