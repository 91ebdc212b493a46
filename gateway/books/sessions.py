"""Sessions: one login each, with the refresh tokens that keep it alive, of which only the newest is good.

Staff's end once they idle: nobody else finds them open (PCI DSS 8.2.8, docs/decisions/0044).
"""

from typing import Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    ForeignKeyConstraint,
    Index,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from gateway.books.accounts import accounts
from gateway.books.clients import clients, has_good_owner
from gateway.books.merchant_people import merchant_people
from gateway.books.sql import Statement
from gateway.books.tables import Micros, struct_of, table_of
from gateway.policy import MINUTE_US
from gateway.roles import STAFF, MerchantRole, Role
from schemas.times import now_micros, steady_micros

SessionKind = Literal["login", "browser", "app"]

IDLE_MAX_US = 15 * MINUTE_US  # PCI DSS 8.2.8
NOTED_US = MINUTE_US  # between two notes that a session is used


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `sessions`. Times in microseconds UTC, by the wall clock, `last_used_at` by the steady one.

    `kind`: a login by `POST /v1/login`, one in a browser on our own pages, or an app's, which began in the browser
    session `parent_id` and ends with it. `client_id`: the OAuth client, empty for `POST /v1/login`. `scopes`: what
    the client was granted, separated by spaces; empty: all of the account's. `device`: a word for people, as
    "Firefox on Linux". `second_factor_at`: when one was proved. `last_used_at` may be `NOTED_US` old.
    """

    id: str
    account_id: str
    created_at: Micros
    revoked_at: Micros | None = None
    kind: SessionKind = "login"
    client_id: str = ""
    scopes: str = ""
    device: str = ""
    parent_id: str | None = None
    second_factor_at: Micros | None = None
    last_used_at: Micros = 0  # `start` writes it


class RefreshTokenRow(msgspec.Struct, frozen=True):
    """A row of `refresh_tokens`; times by the steady clock. `hash`: SHA-256 of 256 random bits."""

    hash: bytes
    session_id: str
    expires_at: Micros
    used_at: Micros | None


class BrowserSessionToken(msgspec.Struct, frozen=True):
    """A row of `browser_session_tokens`: the cookie of a browser session, hashed; times by the steady clock.

    `expires_at`: when it ends unless it is used; `ends_at`: when it ends anyway.
    """

    hash: bytes
    session_id: str
    expires_at: Micros
    ends_at: Micros


class SessionGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a living session may do right now, whatever was true when its token was signed.

    `merchant_id` and `merchant_role`: for whom its person acts, and as what; null where for nobody else.
    """

    account_id: str
    role: Role
    extra_scopes: str
    limit_class: str
    is_confirmed: bool  # its e-mail address
    kind: SessionKind = "login"
    client_id: str = ""
    scopes: str = ""
    second_factor_at: int | None = None
    last_used_at: int = 0
    client_used_at: int | None = None
    client_expires_at: int | None = None
    merchant_id: str | None = None
    merchant_role: MerchantRole | None = None


sessions = table_of(
    "sessions", SessionRow, ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sessions_account")
)
_is_living = sessions.c.revoked_at.is_(None)
Index(
    "ix_sessions_living",
    sessions.c.account_id,
    sessions.c.id,
    sqlite_where=_is_living,
    postgresql_where=_is_living,
)
# The ended ones too, for whoever exports what is kept of them.
Index("ix_sessions_account_id", sessions.c.account_id)
Index("ix_sessions_parent_id", sessions.c.parent_id)
refresh_tokens = table_of(
    "refresh_tokens",
    RefreshTokenRow,
    ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_refresh_tokens_session"),
    primary_key=("hash",),
)
Index("ix_refresh_tokens_session_id", refresh_tokens.c.session_id)

browser_session_tokens = table_of(
    "browser_session_tokens",
    BrowserSessionToken,
    ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_browser_session_tokens_session"),
    primary_key=("hash",),
)
Index("ix_browser_session_tokens_session_id", browser_session_tokens.c.session_id)

# Whom one acts for; whose app it is; the browser session that an app's began in.
_merchants, _apps, _parents = accounts.alias("merchants"), accounts.alias("apps"), sessions.alias("parents")
_merchant: ColumnElement[str] = literal_column("'merchant'")
_staff: list[ColumnElement[str]] = [literal_column(f"'{role}'") for role in sorted(STAFF)]
_granted = Statement(
    select(
        accounts.c.id,
        accounts.c.role,
        accounts.c.extra_scopes,
        accounts.c.limit_class,
        accounts.c.email_confirmed_at.is_not(None).label("is_confirmed"),
        sessions.c.kind,
        sessions.c.client_id,
        sessions.c.scopes,
        sessions.c.second_factor_at,
        sessions.c.last_used_at,
        clients.c.last_used_at.label("client_used_at"),
        clients.c.expires_at.label("client_expires_at"),
        merchant_people.c.merchant_id,
        merchant_people.c.role.label("merchant_role"),
    )
    .join(sessions, sessions.c.account_id == accounts.c.id)
    .outerjoin(merchant_people, (merchant_people.c.account_id == accounts.c.id) & (accounts.c.role == _merchant))
    .outerjoin(_merchants, _merchants.c.id == merchant_people.c.merchant_id)
    .outerjoin(clients, clients.c.id == sessions.c.client_id)
    .outerjoin(_apps, _apps.c.id == clients.c.account_id)
    .outerjoin(_parents, _parents.c.id == sessions.c.parent_id)
    .where(
        sessions.c.id == bindparam("session_id"),
        sessions.c.revoked_at.is_(None),
        accounts.c.erased_at.is_(None),
        accounts.c.disabled_at.is_(None),
        accounts.c.suspended_at.is_(None),
        merchant_people.c.removed_at.is_(None),
        _merchants.c.suspended_at.is_(None),
        accounts.c.role.not_in(_staff) | (sessions.c.last_used_at > bindparam("idle_since")),
        _merchants.c.erased_at.is_(None),
        clients.c.revoked_at.is_(None),
        clients.c.expires_at.is_(None) | (clients.c.expires_at > bindparam("now")),
        clients.c.account_id.is_(None) | (accounts.c.role == literal_column("'customer'")),
        has_good_owner(_apps),
        _parents.c.revoked_at.is_(None),  # one that began while its parent ended
    )
)
_insert = Statement(insert(sessions))
_insert_token = Statement(insert(refresh_tokens))
_tokens = refresh_tokens.c
_is_of_client = (
    exists()
    .where(sessions.c.id == _tokens.session_id, sessions.c.client_id == bindparam("of_client_id"))
    .correlate(refresh_tokens)
)
_spend_token = Statement(
    update(refresh_tokens)
    .where(_tokens.hash == bindparam("of_hash"), _tokens.used_at.is_(None), _is_of_client)
    .values(used_at=bindparam("now"))
    .returning(*_tokens)
)
_token = Statement(select(refresh_tokens).where(_tokens.hash == bindparam("of_hash"), _is_of_client))
_by_token = Statement(
    select(sessions)
    .join(refresh_tokens, _tokens.session_id == sessions.c.id)
    .where(_tokens.hash == bindparam("of_hash"))
)
_by_id = Statement(select(sessions).where(sessions.c.id == bindparam("session_id")))
_revoke = Statement(
    update(sessions)
    .where(
        (sessions.c.id == bindparam("of_session_id")) | (sessions.c.parent_id == bindparam("of_session_id")),
        sessions.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
)
_revoke_all = Statement(
    update(sessions)
    .where(sessions.c.account_id == bindparam("of_account_id"), sessions.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_root = func.coalesce(sessions.c.parent_id, sessions.c.id)
_family = (sessions.c.id == bindparam("root_id")) | (sessions.c.parent_id == bindparam("root_id"))
_root_of = Statement(select(_root).where(sessions.c.id == bindparam("session_id")))
_revoke_others = Statement(
    update(sessions)
    .where(sessions.c.account_id == bindparam("of_account_id"), _is_living, _root != bindparam("root_id"))
    .values(revoked_at=bindparam("now"))
)
_prove = Statement(
    update(sessions)
    .where(_family, sessions.c.revoked_at.is_(None))
    .values(second_factor_at=bindparam("proved_at"))
)
_use = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("of_session_id"), sessions.c.last_used_at < bindparam("now"))
    .values(last_used_at=bindparam("now"))
)


def granted(conn: Connection, session_id: str) -> SessionGrant | None:
    """Whose a session is and what it may do.

    None where it was revoked, the account was erased or disabled, or the merchant it acts for suspended; of staff,
    where nobody used it for `IDLE_MAX_US`; where its app may do nothing any more; and in a merchant's app for
    anybody but customers: what staff and merchants may is no app's of others.
    """
    now = steady_micros()
    row = _granted(conn, session_id=session_id, now=now, idle_since=now - IDLE_MAX_US).first()
    return struct_of(SessionGrant, row) if row else None


def start(conn: Connection, session: SessionRow, token_hash: bytes, expires_at: int) -> None:
    """Write a new session with its first refresh token, which is good until `expires_at` (steady clock)."""
    add(conn, session)
    _insert_token(conn, hash=token_hash, session_id=session.id, expires_at=expires_at, used_at=None)


def add(conn: Connection, session: SessionRow) -> None:
    """Write a new session, which something else than a refresh token opens."""
    _insert(conn, **msgspec.structs.asdict(session) | {"last_used_at": steady_micros()})


def by_id(conn: Connection, session_id: str) -> SessionRow | None:
    """The session, whatever became of it."""
    row = _by_id(conn, session_id=session_id).first()
    return struct_of(SessionRow, row) if row else None


def by_refresh_token(conn: Connection, token_hash: bytes) -> SessionRow | None:
    """The session that a refresh token is of, whatever became of either."""
    row = _by_token(conn, of_hash=token_hash).first()
    return struct_of(SessionRow, row) if row else None


def spend(conn: Connection, token_hash: bytes, client_id: str, now: int) -> RefreshTokenRow | None:
    """Use up a refresh token of a session of that client at `now` (steady clock); None where it was, or is none.

    One statement decides, so that of two who come at once one gets it.
    """
    row = _spend_token(conn, of_hash=token_hash, of_client_id=client_id, now=now).first()
    return RefreshTokenRow(*row) if row else None


def refresh_token(conn: Connection, token_hash: bytes, client_id: str) -> RefreshTokenRow | None:
    """A refresh token of a session of that client, used or not."""
    row = _token(conn, of_hash=token_hash, of_client_id=client_id).first()
    return RefreshTokenRow(*row) if row else None


def add_refresh_token(conn: Connection, token_hash: bytes, session_id: str, expires_at: int) -> None:
    """Write a session's next refresh token."""
    _insert_token(conn, hash=token_hash, session_id=session_id, expires_at=expires_at, used_at=None)


def revoke(conn: Connection, session_id: str) -> None:
    """End a session at once, and those that began in it: their tokens are refused from the next request on."""
    _revoke(conn, of_session_id=session_id, now=now_micros())


def revoke_all(conn: Connection, account_id: str) -> None:
    """End every session of an account."""
    _revoke_all(conn, of_account_id=account_id, now=now_micros())


def revoke_others(conn: Connection, account_id: str, session_id: str) -> None:
    """End every session of an account but one, the browser session that it began in, and what else began there."""
    root_id = _root_of(conn, session_id=session_id).scalar()
    _revoke_others(conn, of_account_id=account_id, now=now_micros(), root_id=root_id)


def prove(conn: Connection, session_id: str, proved_at: int | None) -> None:
    """A session, and those of the same browser session, proved a second factor then (wall clock); None: none."""
    _prove(conn, proved_at=proved_at, root_id=_root_of(conn, session_id=session_id).scalar())


def use(conn: Connection, session_id: str, now: int) -> None:
    """Note that a session is used at `now` (steady clock)."""
    _use(conn, of_session_id=session_id, now=now)
