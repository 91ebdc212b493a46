"""Refresh tokens: each is good once, and one that comes again ends its session (RFC 9700 §4.14.2).

An answer may be lost on its way, so the very same token is answered the same way for `GRACE_US` more, while its
successor was not used. For that the successor is made from it, by a key that only gateways have.
"""

from base64 import urlsafe_b64encode

import msgspec
from sqlalchemy import Connection

from gateway.books import audit, sessions
from gateway.books.audit import Act
from gateway.books.sessions import RefreshTokenRow, SessionGrant
from gateway.identity.tokens import hash_secret
from gateway.keyed_hashes import keyed_hash
from gateway.policy import SECOND_US
from schemas.times import steady_micros

GRACE_US = 10 * SECOND_US


class Rotated(msgspec.Struct, frozen=True):
    """A living session and its next refresh token."""

    session_id: str
    grant: SessionGrant
    refresh_token: str


def rotate(conn: Connection, key: bytes, token: str, client_id: str) -> Rotated | None:
    """Exchange a refresh token of that client (empty: of `POST /v1/login`); None where it is not good.

    The new one expires when the old one would have, so that no session goes on for ever (OWASP ASVS 5.0, 7.3.2).
    """
    now, old_hash, successor = steady_micros(), hash_secret(token), _successor(key, token)
    spent = sessions.spend(conn, old_hash, client_id, now)
    good = spent or _repeated(conn, old_hash, hash_secret(successor), client_id, now)
    grant = sessions.granted(conn, good.session_id) if good and good.expires_at > now else None
    if good is None or grant is None:
        return None
    if spent:
        sessions.add_refresh_token(conn, hash_secret(successor), good.session_id, good.expires_at)
    return Rotated(good.session_id, grant, successor)


def _repeated(
    conn: Connection, old_hash: bytes, next_hash: bytes, client_id: str, now: int
) -> RefreshTokenRow | None:
    """A token that was spent a moment ago and whose successor nobody used. Of any other its session ends."""
    known = sessions.refresh_token(conn, old_hash, client_id)
    if known is None or known.used_at is None:
        return None
    successor = sessions.refresh_token(conn, next_hash, client_id)
    if successor and successor.used_at is None and now - known.used_at <= GRACE_US:
        return known
    sessions.revoke(conn, known.session_id)
    audit.record(conn, Act("session_revoked", "", known.session_id, {"reason": "refresh_token_reused"}))
    return None


def _successor(key: bytes, token: str) -> str:
    return urlsafe_b64encode(keyed_hash(key, "refresh token", token)).rstrip(b"=").decode()
