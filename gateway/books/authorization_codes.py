"""Authorization codes: what a person allowed a client in a browser, for the client to fetch once and soon."""

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, bindparam, insert, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Micros, struct_of, table_of


class AuthorizationCode(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `authorization_codes`; `expires_at` by the steady clock, `auth_time` in seconds by the wall clock.

    `hash`: SHA-256 of 256 random bits. `parent_id`: the browser session in which it was allowed. `session_id`:
    what it gives, once somebody brought it. `amr`: how the person logged in, separated by spaces (RFC 8176).
    `code_challenge`: by S256 (RFC 7636 §4.2).
    """

    hash: bytes
    client_id: str
    account_id: str
    parent_id: str
    redirect_uri: str
    scopes: str
    nonce: str
    code_challenge: str
    auth_time: Micros
    amr: str
    expires_at: Micros
    session_id: str | None = None


authorization_codes = table_of(
    "authorization_codes",
    AuthorizationCode,
    ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_authorization_codes_client"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_authorization_codes_account"),
    primary_key=("hash",),
)
_c = authorization_codes.c
_insert = Statement(insert(authorization_codes))
_redeem = Statement(
    update(authorization_codes)
    .where(_c.hash == bindparam("of_hash"), _c.session_id.is_(None))
    .values(session_id=bindparam("gives"))
    .returning(*_c)
)
_gave = Statement(select(_c.session_id).where(_c.hash == bindparam("of_hash")))


def add(conn: Connection, code: AuthorizationCode) -> None:
    """Write a new code."""
    _insert(conn, **msgspec.structs.asdict(code))


def redeem(conn: Connection, code_hash: bytes, session_id: str, now: int) -> AuthorizationCode | None:
    """Take a code, once: it gives the session of that id. None where it is not good at `now` (steady clock).

    One statement decides, so that of two who come at once one gets it. Its row stays until it is pruned, to know
    a code that comes again (RFC 6749 §4.1.2).
    """
    row = _redeem(conn, of_hash=code_hash, gives=session_id).first()
    code = struct_of(AuthorizationCode, row) if row else None
    return code if code and code.expires_at > now else None


def gave(conn: Connection, code_hash: bytes) -> str | None:
    """The id that the session got, or would have got, of a code that was redeemed before; None for no code."""
    found: str | None = _gave(conn, of_hash=code_hash).scalar()
    return found
