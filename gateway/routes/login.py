"""Login with a password, the refresh tokens that follow it, and logout."""

from secrets import token_urlsafe
from typing import Literal

import msgspec
from quart import Blueprint, request
from sqlalchemy import Connection
from werkzeug.http import dump_cookie

from gateway.addresses import network_of
from gateway.books import sessions
from gateway.books.sessions import SessionGrant, SessionRow
from gateway.free_text import Unstored
from gateway.identity import contacts
from gateway.identity.login_tries import COOKIE, COOKIE_AGE_S, LoginCaller, Whence, admit, find_caller, remember
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

    An unknown address, a wrong password and a lock are the same 401, after the same work. Ten wrong passwords
    lock the account for 30 minutes for callers whom it does not know; who is known (by the cookie `sluice_device`,
    which each login sets, or an address that logged in within 30 days) has ten tries of their own.
    """
    runtime, body = call.runtime, call.body
    email_key = contacts.email_key(body.email.strip())
    whence = Whence(request.cookies.get(COOKIE, ""), network_of(call.ip))
    caller = await runtime.books.read(find_caller, runtime.key, email_key, whence)
    _spend(runtime, caller, email_key)
    stored = caller.account.password_hash if caller.account else None
    known, customer = caller.known is not None, caller.account is None or caller.account.role == "customer"
    right = await runtime.passwords.verify(stored, body.password, known=known, customer=customer)
    tries, now = await runtime.login_tries.of(caller), steady_micros()
    if right and not tries.are_used_up(now):
        await runtime.login_tries.counted(caller)
        return await _begin(runtime, caller, whence.network)
    if not right and not tries.are_locked(now) and caller.account:
        # Not awaited: the wait for the disk would tell that the account exists.
        runtime.go_on(runtime.login_tries.count(caller))
    raise Problem("invalid_credentials")


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


def _spend(runtime: Runtime, caller: LoginCaller, email_key: str) -> None:
    """Take a login off its limits, before anything is hashed. A flood of strangers is not in a known one's way."""
    if caller.known:
        spend(runtime, "login_known", caller.known.hash.hex())
        return
    spend(runtime, "login_email", email_key)
    spend(runtime, "strangers", "")


async def _begin(runtime: Runtime, caller: LoginCaller, network: str) -> Reply:
    session_id, fresh, device = new_id("ses"), token_urlsafe(32), token_urlsafe(32)
    whence = Whence(device, network)
    account = caller.account
    assert account is not None
    if not await runtime.books.write(_start, runtime.key, caller, whence, session_id, hash_secret(fresh)):
        raise Problem("invalid_credentials")
    is_confirmed = account.email_confirmed_at is not None
    grant = SessionGrant(
        account_id=account.id,
        role=account.role,
        extra_scopes=account.extra_scopes,
        limit_class=account.limit_class,
        is_confirmed=is_confirmed,
    )
    cookie = _cookie(device, secure=runtime.settings.public_url.startswith("https:"))
    return Reply(200, _token_pair(runtime, grant, session_id, fresh), {"Set-Cookie": cookie})


def _start(
    conn: Connection, key: bytes, caller: LoginCaller, whence: Whence, session_id: str, token_hash: bytes
) -> bool:
    """Begin the session, and know the device and the address from now on; False if the caller is locked out."""
    steady, account = steady_micros(), caller.account
    assert account is not None
    if account.disabled_at is not None or not admit(conn, caller, steady):
        return False
    now = now_micros()
    session = SessionRow(id=session_id, account_id=account.id, created_at=now, last_used_at=now)
    sessions.start(conn, session, token_hash, steady + SESSION_US)
    remember(conn, key, caller, whence, steady)
    return True


def _cookie(device: str, *, secure: bool) -> str:
    """It opens nothing without the password; no script reads it, and no other site's page sends it (RFC 6265)."""
    return dump_cookie(
        COOKIE, device, COOKIE_AGE_S, secure=secure, httponly=True, sync_expires=False, samesite="Strict"
    )


def _token_pair(runtime: Runtime, grant: SessionGrant, session_id: str, refresh_token: str) -> TokenPair:
    scopes = scopes_of(grant.role, grant.extra_scopes)
    token = runtime.tokens.sign(grant.account_id, grant.role, scopes, session_id)
    return TokenPair(access_token=token, refresh_token=refresh_token)
