"""OAuth clients: services that ask the gateway in their own name."""

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select

from gateway.books.sql import Statement
from gateway.books.tables import Micros, table_of


class OAuthClient(msgspec.Struct, frozen=True):
    """A row of `clients`. `secret_hash`: SHA-256 of 256 random bits, so there is nothing to guess.

    `scopes`: separated by spaces; `created_at` in microseconds UTC.
    """

    id: str
    secret_hash: bytes
    scopes: str
    created_at: Micros


clients = table_of("clients", OAuthClient)
_by_id = Statement(select(clients).where(clients.c.id == bindparam("client_id")))
_delete = Statement(delete(clients).where(clients.c.id == bindparam("client_id")))
_insert = Statement(insert(clients))


def by_id(conn: Connection, client_id: str) -> OAuthClient | None:
    """The client, if we know it."""
    row = _by_id(conn, client_id=client_id).first()
    return OAuthClient(*row) if row else None


def put(conn: Connection, client: OAuthClient) -> None:
    """Write a client, or write it anew: its secret and scopes are what was last said."""
    _delete(conn, client_id=client.id)
    _insert(conn, **msgspec.structs.asdict(client))
