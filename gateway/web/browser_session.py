"""The login of a browser on our own pages: a cookie that no script reads, and the session that it opens.

Each login makes a new cookie, so that nobody can hand somebody a session that they know (session fixation, OWASP
ASVS 5.0, 7.2.4). The session is in the books, by the cookie's hash: it ends there, whoever still has the cookie.
"""

from typing import Any

from quart import request
from sqlalchemy import Connection
from werkzeug.http import dump_cookie

from gateway.books import audit, browser_sessions
from gateway.books.audit import Act
from gateway.books.browser_sessions import BrowserSession
from gateway.identity.tokens import hash_secret
from gateway.runtime import current_runtime
from gateway.web.call import Call
from schemas.times import steady_micros

SESSION_COOKIE = "sluice_session"


async def current(call: Call[Any, Any]) -> BrowserSession | None:
    """The login of the browser that asks; None where it has none that is good now."""
    cookie = request.cookies.get(cookie_name(SESSION_COOKIE), "")
    if not cookie:
        return None
    steady, runtime = steady_micros(), call.runtime
    session = await runtime.books.read(browser_sessions.by_hash, hash_secret(cookie), steady)
    if session is None or call.only_looks:
        return session
    if runtime.session_uses.is_due(session.session_id, session.grant.last_used_at):
        runtime.go_on(runtime.session_uses.note(session.session_id))
    if browser_sessions.is_due(session, steady):
        await runtime.books.write(browser_sessions.use, session, steady)
    return session


async def end(call: Call[Any, Any], session: BrowserSession) -> str:
    """End the login of the browser that asks, and what began in it; the Set-Cookie that says so."""
    await call.runtime.books.write(_end, session)
    return browser_cookie(SESSION_COOKIE, "", 0)


def session_cookie(token: str) -> str:
    """The Set-Cookie of a login. `token`: 256 random bits, whose `hash_secret` the books have."""
    return browser_cookie(SESSION_COOKIE, token)


def browser_cookie(name: str, value: str, max_age_s: int | None = None) -> str:
    """The Set-Cookie of one of our pages' cookies (None: until the browser closes; 0: it is gone).

    No script reads it. It comes along with a link from elsewhere, which a login has to, and with no form from
    elsewhere (`SameSite=Lax`).
    """
    return dump_cookie(
        cookie_name(name),
        value,
        max_age_s,
        secure=current_runtime().settings.is_https(),
        httponly=True,
        sync_expires=False,
        samesite="Lax",
    )


def cookie_name(name: str) -> str:
    """How a cookie is called: `__Host-` where it can be, so that no other host of our domain sets or reads it."""
    return f"__Host-{name}" if current_runtime().settings.is_https() else name


def _end(conn: Connection, session: BrowserSession) -> None:
    browser_sessions.end(conn, session.session_id)
    audit.record(conn, Act("logout", session.grant.account_id, session.session_id))
