"""OAuth clients: services of ours and of merchants, and the apps in which people log in."""

from typing import Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    ForeignKeyConstraint,
    FromClause,
    Index,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from gateway.books.accounts import accounts
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, Micros, struct_of, table_of

ClientType = Literal["confidential", "public"]

AT_START = "start"  # made those that `gateway/seed.py` registers


class OAuthClient(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `clients`; times in microseconds UTC, `expires_at` by the steady clock.

    `account_id`: the merchant that it acts for; null for what is ours. `scopes`: separated by spaces, the most it
    may ask for. `redirect_uris` and `post_logout_redirect_uris`: JSON, compared character by character (RFC 9700
    §2.1). `created_by`: the account or the command that made it. `last_used_at` may be minutes old.
    """

    id: str
    account_id: str | None = None
    name: str = ""
    type: ClientType = "confidential"
    scopes: str
    redirect_uris: str = "[]"
    post_logout_redirect_uris: str = "[]"
    created_by: str = ""
    created_at: Micros
    expires_at: Micros | None = None
    revoked_at: Micros | None = None
    last_used_at: Micros | None = None

    def is_good(self, now: int) -> bool:
        """Whether it may do anything at `now` (steady clock)."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class ClientSecretRow(msgspec.Struct, frozen=True):
    """A row of `client_secrets`. `hash`: SHA-256 of 256 random bits, so there is nothing to guess.

    `expires_at`: by the steady clock; null for the newest one.
    """

    hash: bytes
    client_id: str
    expires_at: Micros | None


class ClientGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a living client may do right now, whatever was true when its token was signed.

    `account_id`: the merchant it acts for; None for a service of ours, which has none of what stands below it.
    `is_confirmed`: the merchant's e-mail address, where it has one.
    """

    scopes: str
    expires_at: int | None
    last_used_at: int | None
    account_id: str | None
    extra_scopes: str | None
    limit_class: str | None
    is_confirmed: bool


clients = table_of(
    "clients", OAuthClient, ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_clients_account")
)
Index("ix_clients_account_id", clients.c.account_id, clients.c.id)
_ends = clients.c.revoked_at.is_(None) & clients.c.expires_at.is_not(None)
Index("ix_clients_expires_at", clients.c.expires_at, sqlite_where=_ends, postgresql_where=_ends)
client_secrets = table_of(
    "client_secrets",
    ClientSecretRow,
    ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_client_secrets_client"),
    primary_key=("hash",),
)
Index("ix_client_secrets_client_id", client_secrets.c.client_id)

_by_id = Statement(select(clients).where(clients.c.id == bindparam("client_id")))
_is_good = clients.c.revoked_at.is_(None) & (
    clients.c.expires_at.is_(None) | (clients.c.expires_at > bindparam("now"))
)


def has_good_owner(owners: FromClause) -> ColumnElement[bool]:
    """Whether the merchant of a client, in `owners` (as joined from outside), lets it act; ours have none."""
    return owners.c.erased_at.is_(None) & owners.c.disabled_at.is_(None) & owners.c.suspended_at.is_(None)


_acts = has_good_owner(accounts)
_granted = Statement(
    select(
        clients.c.scopes,
        clients.c.expires_at,
        clients.c.last_used_at,
        clients.c.account_id,
        accounts.c.extra_scopes,
        accounts.c.limit_class,
        (accounts.c.email.is_(None) | accounts.c.email_confirmed_at.is_not(None)).label("is_confirmed"),
    )
    .outerjoin(accounts, accounts.c.id == clients.c.account_id)
    .where(clients.c.id == bindparam("client_id"), _is_good, _acts)
)
_secrets_of = Statement(
    select(client_secrets)
    .join(clients, clients.c.id == client_secrets.c.client_id)
    .outerjoin(accounts, accounts.c.id == clients.c.account_id)
    .where(client_secrets.c.client_id == bindparam("client_id"), _is_good, _acts)
)
_forget_expired = Statement(
    delete(client_secrets).where(
        client_secrets.c.client_id == bindparam("client_id"), client_secrets.c.expires_at <= bindparam("now")
    )
)
_forget_secrets = Statement(delete(client_secrets).where(client_secrets.c.client_id == bindparam("client_id")))
_has_secret = Statement(
    select(client_secrets.c.hash).where(
        client_secrets.c.client_id == bindparam("client_id"), client_secrets.c.hash == bindparam("hash")
    )
)
_insert = Statement(insert(clients))
_insert_secret = Statement(insert(client_secrets))
_to_change = Statement(
    select(clients).where(clients.c.id == bindparam("client_id")).with_for_update(key_share=True)
)
_page = select(clients).where(clients.c.id < bindparam("below")).order_by(clients.c.id.desc())
PAGES = {
    "all": Statement(_page.limit(bindparam("most"))),
    "of_account": Statement(
        _page.where(clients.c.account_id == bindparam("of_account_id")).limit(bindparam("most"))
    ),
}
_revoke = Statement(
    update(clients)
    .where(clients.c.id == bindparam("of_client_id"), clients.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_let_expire = Statement(
    update(client_secrets)
    .where(
        client_secrets.c.client_id == bindparam("of_client_id"),
        client_secrets.c.expires_at.is_(None) | (client_secrets.c.expires_at > bindparam("until")),
    )
    .values(expires_at=bindparam("until"))
)
_note_use = Statement(
    update(clients)
    .where(
        clients.c.id == bindparam("of_client_id"),
        clients.c.last_used_at.is_(None) | (clients.c.last_used_at < bindparam("before")),
    )
    .values(last_used_at=bindparam("now"))
)
_expiring = Statement(
    select(func.count().label("count")).where(
        _ends, clients.c.expires_at > bindparam("since"), clients.c.expires_at <= bindparam("until")
    )
)
_register = Statement(
    lambda insert: (put := insert(clients)).on_conflict_do_update(
        index_elements=["id"],
        set_={
            name: put.excluded[name]
            for name in ("name", "type", "scopes", "redirect_uris", "post_logout_redirect_uris")
        },
    )
)


def by_id(conn: Connection, client_id: str) -> OAuthClient | None:
    """The client, if we know it, whatever became of it."""
    row = _by_id(conn, client_id=client_id).first()
    return struct_of(OAuthClient, row) if row else None


def granted(conn: Connection, client_id: str, now: int) -> ClientGrant | None:
    """What a client may do at `now` (steady clock).

    None where it is unknown, was revoked or has expired, or its merchant is suspended, disabled or erased.
    """
    row = _granted(conn, client_id=client_id, now=now).first()
    return struct_of(ClientGrant, row) if row else None


def secrets_of(conn: Connection, client_id: str, now: int) -> list[bytes]:
    """The hashes of the secrets that are good at `now` (steady clock): more than one while it is rotated.

    None of a client that may do nothing, as `granted` says.
    """
    found = [ClientSecretRow(*row) for row in _secrets_of(conn, client_id=client_id, now=now)]
    return [row.hash for row in found if row.expires_at is None or row.expires_at > now]


def add(conn: Connection, client: OAuthClient, secret_hash: bytes | None) -> None:
    """Write a new client; `secret_hash`: None for a public one."""
    _insert(conn, **msgspec.structs.asdict(client))
    if secret_hash is not None:
        _insert_secret(conn, hash=secret_hash, client_id=client.id, expires_at=None)


def register(conn: Connection, client: OAuthClient, secret_hash: bytes) -> None:
    """Write a client of our own, or write it anew: its secret and scopes are what was last said.

    A secret that it has already changes nothing about its secrets: they may just be rotated.
    """
    _register(conn, **msgspec.structs.asdict(client))
    if _has_secret(conn, client_id=client.id, hash=secret_hash).first():
        return
    _forget_secrets(conn, client_id=client.id)
    _insert_secret(conn, hash=secret_hash, client_id=client.id, expires_at=None)


def to_change(conn: Connection, client_id: str) -> OAuthClient | None:
    """The client; until this transaction ends, nobody else changes it."""
    row = _to_change(conn, client_id=client_id).first()
    return struct_of(OAuthClient, row) if row else None


def list_clients(conn: Connection, account_id: str | None, after_id: str | None, most: int) -> list[OAuthClient]:
    """Up to `most` clients of a merchant (None: all there are), the newest first, after the one of `after_id`."""
    page = PAGES["all" if account_id is None else "of_account"]
    found = page(conn, of_account_id=account_id, below=after_id or ABOVE_ALL_IDS, most=most)
    return [struct_of(OAuthClient, row) for row in found]


def revoke(conn: Connection, client_id: str, now: int) -> bool:
    """End a client for good at `now` (microseconds UTC); False where it was ended before."""
    return _revoke(conn, of_client_id=client_id, now=now).rowcount == 1


def replace_secrets(conn: Connection, client_id: str, secret_hash: bytes, now: int, until: int) -> None:
    """Give a client a new secret at `now`; those of before are good until `until` (steady clock) at most."""
    _forget_expired(conn, client_id=client_id, now=now)
    _let_expire(conn, of_client_id=client_id, until=until)
    _insert_secret(conn, hash=secret_hash, client_id=client_id, expires_at=None)


def add_secret(conn: Connection, client_id: str, secret_hash: bytes, now: int, until: int) -> bool:
    """Give one of ours a new secret as `replace_secrets` does; False where it has that one already."""
    if _has_secret(conn, client_id=client_id, hash=secret_hash).first():
        return False
    replace_secrets(conn, client_id, secret_hash, now, until)
    return True


def note_use(conn: Connection, client_id: str, now: int, before: int) -> None:
    """Note that a client is used at `now`, unless it was after `before` (microseconds UTC)."""
    _note_use(conn, of_client_id=client_id, now=now, before=before)


def count_expiring(conn: Connection, since: int, until: int) -> int:
    """How many clients run out after `since`, and until `until` (steady clock)."""
    count: int = _expiring(conn, since=since, until=until).scalar()
    return count
