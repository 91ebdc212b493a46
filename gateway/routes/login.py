"""Login with a password, the refresh tokens that follow it, and logout."""

from secrets import token_urlsafe
from typing import Annotated, Literal

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import accounts, sessions
from gateway.books.accounts import Account
from gateway.books.sessions import Standing
from gateway.endpoint import Call, Reply, endpoint, spend
from gateway.errors import InvalidCredentials, Unauthenticated
from gateway.identity import contacts
from gateway.identity.roles import scopes_of
from gateway.identity.tokens import LIFETIME_S, hash_secret
from gateway.parts import Parts
from schemas.ids import new_id
from schemas.times import now_micros

blueprint = Blueprint("login", __name__)

SESSION_US = 30 * 24 * 60 * 60 * 1_000_000
Text = Annotated[str, msgspec.Meta(max_length=512)]


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """E-mail and password. `otp` can only be null: no account has a second factor yet."""

    email: Text
    password: Text
    otp: None = None


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest refresh token of a session."""

    refresh_token: Text


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for `expires_in` seconds, and the refresh token to get the next one with, once.

    A session ends 30 days after its login.
    """

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = LIFETIME_S
    refresh_token: str


@blueprint.post("/v1/login")
@endpoint(
    scope=None, limit="login", body=Login, answers={200: Grant}, codes=("invalid_credentials", "unavailable")
)
async def login(call: Call) -> Reply:
    """Begin a session.

    An unknown address, a wrong password and a locked account (30 minutes after ten wrong passwords) are the
    same 401, after the same work.
    """
    body: Login = call.body
    key = contacts.email_key(body.email.strip())
    spend(call.parts, "login_email", key)
    account = await call.parts.books.read(accounts.by_email, key)
    stored = account.password_hash if account else None
    if not await call.parts.passwords.verify(stored, body.password):
        if account:
            # Not awaited: the wait for the disk would tell that the account exists.
            call.parts.go_on(call.parts.books.write(accounts.count_failure, account.id, now_micros()))
        raise InvalidCredentials
    assert account is not None
    return await _begin(call.parts, account)


@blueprint.post("/v1/login/refresh")
@endpoint(scope=None, limit="public", body=Refresh, answers={200: Grant}, codes=("unauthenticated",))
async def refresh(call: Call) -> Reply:
    """Trade a refresh token for new tokens. One that was used before ends its session: somebody has a copy."""
    fresh = token_urlsafe(32)
    spent = hash_secret(call.body.refresh_token)
    session = await call.parts.books.write(sessions.rotate, spent, hash_secret(fresh), now_micros())
    standing = await call.parts.books.read(sessions.standing, session) if session else None
    if not session or not standing:
        raise Unauthenticated("The refresh token is not good any more.")
    return Reply(200, _grant(call.parts, standing, session, fresh))


@blueprint.post("/v1/logout")
@endpoint(scope="account", answers={204: None})
async def logout(call: Call) -> Reply:
    """End the session at once, with every token of it."""
    await call.parts.books.write(sessions.revoke, call.caller.session, now_micros())
    return Reply(204)


async def _begin(parts: Parts, account: Account) -> Reply:
    session, fresh = new_id("ses"), token_urlsafe(32)
    if not await parts.books.write(_start, account.id, session, hash_secret(fresh), now_micros()):
        raise InvalidCredentials
    standing = Standing(account.id, account.role, account.extra_scopes, account.limit_class)
    return Reply(200, _grant(parts, standing, session, fresh))


def _start(conn: Connection, account: str, session: str, token_hash: bytes, now: int) -> bool:
    """Begin the session unless the account is locked: read here, where no wrong password is still uncounted."""
    if not accounts.forget_failures(conn, account, now):
        return False
    sessions.start(conn, session, account, token_hash, now + SESSION_US, now)
    return True


def _grant(parts: Parts, standing: Standing, session: str, refresh_token: str) -> Grant:
    scopes = scopes_of(standing.role, standing.extra_scopes)
    token = parts.tokens.sign(standing.account, standing.role, scopes, session)
    return Grant(access_token=token, refresh_token=refresh_token)
