"""OAuth clients: services of ours and of merchants, and the apps in which people log in."""

from typing import Literal

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, Index, bindparam, delete, insert, select

from gateway.books.sql import Statement
from gateway.books.tables import Micros, struct_of, table_of

ClientType = Literal["confidential", "public"]


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


clients = table_of(
    "clients", OAuthClient, ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_clients_account")
)
Index("ix_clients_account_id", clients.c.account_id, clients.c.id)
client_secrets = table_of(
    "client_secrets",
    ClientSecretRow,
    ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_client_secrets_client"),
    primary_key=("hash",),
)
Index("ix_client_secrets_client_id", client_secrets.c.client_id)

_by_id = Statement(select(clients).where(clients.c.id == bindparam("client_id")))
_secrets_of = Statement(select(client_secrets).where(client_secrets.c.client_id == bindparam("client_id")))
_forget_secrets = Statement(delete(client_secrets).where(client_secrets.c.client_id == bindparam("client_id")))
_insert = Statement(insert(clients))
_insert_secret = Statement(insert(client_secrets))
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


def secrets_of(conn: Connection, client_id: str, now: int) -> list[bytes]:
    """The hashes of the secrets that are good at `now` (steady clock): more than one while it is rotated."""
    found = [ClientSecretRow(*row) for row in _secrets_of(conn, client_id=client_id)]
    return [row.hash for row in found if row.expires_at is None or row.expires_at > now]


def add(conn: Connection, client: OAuthClient, secret_hash: bytes | None) -> None:
    """Write a new client; `secret_hash`: None for a public one."""
    _insert(conn, **msgspec.structs.asdict(client))
    if secret_hash is not None:
        _insert_secret(conn, hash=secret_hash, client_id=client.id, expires_at=None)


def register(conn: Connection, client: OAuthClient, secret_hash: bytes) -> None:
    """Write a client of our own, or write it anew: its secret and scopes are what was last said."""
    _register(conn, **msgspec.structs.asdict(client))
    _forget_secrets(conn, client_id=client.id)
    _insert_secret(conn, hash=secret_hash, client_id=client.id, expires_at=None)
