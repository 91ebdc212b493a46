"""Sessions: one login each, with the refresh tokens that keep it alive, of which only the newest is good."""

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    LargeBinary,
    Table,
    Text,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)

from gateway.books.accounts import accounts
from gateway.books.metadata import Micros, metadata
from gateway.books.statement import Statement
from gateway.identity.roles import Role

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("created_at", Micros, nullable=False),
    Column("revoked_at", Micros),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", LargeBinary, primary_key=True),  # SHA-256 of 256 random bits: nothing to guess
    Column("session", Text, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("expires_at", Micros, nullable=False),
    Column("used_at", Micros),
)


class Standing(msgspec.Struct, frozen=True):
    """What a living session may do right now, whatever was true when its token was signed."""

    account: str
    role: Role
    extra_scopes: str
    limit_class: str


_standing = Statement(
    select(accounts.c.id, accounts.c.role, accounts.c.extra_scopes, accounts.c.limit_class)
    .join(sessions, sessions.c.account == accounts.c.id)
    .where(sessions.c.id == bindparam("id"), sessions.c.revoked_at.is_(None), accounts.c.erased_at.is_(None))
)
_insert = Statement(insert(sessions))
_insert_token = Statement(insert(refresh_tokens))
_spend_token = Statement(
    update(refresh_tokens)
    .where(refresh_tokens.c.hash == bindparam("of_hash"), refresh_tokens.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
    .returning(refresh_tokens.c.session, refresh_tokens.c.expires_at)
)
_session_of = Statement(select(refresh_tokens.c.session).where(refresh_tokens.c.hash == bindparam("hash")))
_revoke = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("of_id"), sessions.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_revoke_all = Statement(
    update(sessions)
    .where(sessions.c.account == bindparam("of_account"), sessions.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_forget_tokens = Statement(delete(refresh_tokens).where(refresh_tokens.c.expires_at <= bindparam("now")))
_forget_sessions = Statement(delete(sessions).where(~exists().where(refresh_tokens.c.session == sessions.c.id)))


def standing(conn: Connection, id: str) -> Standing | None:
    """Who is behind a session and what they may do; None where it was revoked or the account erased."""
    row = _standing(conn, id=id).first()
    return Standing(*row) if row else None


def start(conn: Connection, id: str, account: str, token_hash: bytes, expires_at: int, now: int) -> None:
    """Write a new session with its first refresh token."""
    _insert(conn, id=id, account=account, created_at=now, revoked_at=None)
    _insert_token(conn, hash=token_hash, session=id, expires_at=expires_at, used_at=None)


def rotate(conn: Connection, old_hash: bytes, new_hash: bytes, now: int) -> str | None:
    """Spend a refresh token for a new one; the session's id, or None where it is not good.

    The new one expires when the old one would have, so that no session goes on for ever (OWASP ASVS 5.0, 7.3.2).
    A token that was spent before was stolen, or its successor was: the session ends (RFC 9700 §4.14.2).
    """
    spent = _spend_token(conn, of_hash=old_hash, now=now).first()
    if spent is None:
        known = _session_of(conn, hash=old_hash).scalar()
        if known:
            revoke(conn, known, now)
        return None
    if spent.expires_at <= now or standing(conn, spent.session) is None:
        return None
    _insert_token(conn, hash=new_hash, session=spent.session, expires_at=spent.expires_at, used_at=None)
    return str(spent.session)


def revoke(conn: Connection, id: str, now: int) -> None:
    """End a session at once: its access tokens are refused from the next request on."""
    _revoke(conn, of_id=id, now=now)


def revoke_all(conn: Connection, account: str, now: int) -> None:
    """End every session of an account."""
    _revoke_all(conn, of_account=account, now=now)


def forget_expired(conn: Connection, now: int) -> None:
    """Delete refresh tokens past their time, and the sessions that have none left."""
    _forget_tokens(conn, now=now)
    _forget_sessions(conn)
