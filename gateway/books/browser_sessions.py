"""Logins in browsers, on our own pages: a session is found by its cookie's hash, and ends when it is not used."""

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gateway.books import sessions
from gateway.books.sessions import SessionGrant, SessionRow, browser_session_tokens
from gateway.books.sql import Statement
from gateway.policy import HOUR_US, MINUTE_US

IDLE_US = 8 * HOUR_US  # a working day (docs/decisions/0043)
LONGEST_US = 24 * HOUR_US
USED_US = 5 * MINUTE_US  # how old what is known of its last use may be: a page does not write each time


class BrowserSession(msgspec.Struct, frozen=True):
    """A living login in a browser; `began_at` by the wall clock, the others as in `BrowserSessionToken`."""

    session_id: str
    began_at: int
    expires_at: int
    ends_at: int
    grant: SessionGrant


_tokens = browser_session_tokens.c
_insert_token = Statement(insert(browser_session_tokens))
_select = Statement(
    select(_tokens.session_id, _tokens.expires_at, _tokens.ends_at, sessions.sessions.c.created_at)
    .join(sessions.sessions, sessions.sessions.c.id == _tokens.session_id)
    .where(_tokens.hash == bindparam("of_hash"), _tokens.expires_at > bindparam("now"))
)
_of_session = _tokens.session_id == bindparam("of_session_id")
_extend = Statement(update(browser_session_tokens).where(_of_session).values(expires_at=bindparam("until")))
_renew = Statement(update(browser_session_tokens).where(_of_session).values(hash=bindparam("to_hash")))
_forget = Statement(delete(browser_session_tokens).where(_of_session))


def start(conn: Connection, session: SessionRow, token_hash: bytes, steady: int, lasts_us: int) -> None:
    """Write a new session that its cookie, by the hash, opens from `steady` (steady clock) on.

    It ends after `lasts_us`, or `LONGEST_US` if that is less.
    """
    sessions.add(conn, session)
    ends = {"expires_at": steady + IDLE_US, "ends_at": steady + min(lasts_us, LONGEST_US)}
    _insert_token(conn, hash=token_hash, session_id=session.id, **ends)


def by_hash(conn: Connection, token_hash: bytes, steady: int) -> BrowserSession | None:
    """The session that a cookie opens; None where it has ended, was revoked, or its account may not log in."""
    row = _select(conn, of_hash=token_hash, now=steady).first()
    grant = sessions.granted(conn, row.session_id) if row else None
    if row is None or grant is None:
        return None
    return BrowserSession(row.session_id, row.created_at, row.expires_at, row.ends_at, grant)


def is_due(session: BrowserSession, steady: int) -> bool:
    """Whether its use is to be written down, by `use`."""
    return min(steady + IDLE_US, session.ends_at) - session.expires_at >= USED_US


def use(conn: Connection, session: BrowserSession, steady: int) -> None:
    """It was used at `steady` (steady clock), and is open for as long again."""
    _extend(conn, of_session_id=session.session_id, until=min(steady + IDLE_US, session.ends_at))


def renew(conn: Connection, session_id: str, token_hash: bytes) -> None:
    """Another cookie opens the session from now on, by its hash: it is worth more than before."""
    _renew(conn, of_session_id=session_id, to_hash=token_hash)


def end(conn: Connection, session_id: str) -> None:
    """End a session, and those of the apps that began in it; its cookie opens nothing from now on."""
    sessions.revoke(conn, session_id)
    _forget(conn, of_session_id=session_id)
