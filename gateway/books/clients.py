"""OAuth clients: services that ask the gateway in their own name."""

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, Table, Text, bindparam, delete, insert, select

from gateway.books.metadata import Micros, metadata
from gateway.books.statement import Statement

clients = Table(
    "clients",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),  # SHA-256 of 256 random bits: nothing to guess
    Column("scopes", Text, nullable=False),  # space-separated
    Column("created_at", Micros, nullable=False),
)


class Client(msgspec.Struct, frozen=True):
    """A row of `clients`."""

    id: str
    secret_hash: bytes
    scopes: str
    created_at: int


_by_id = Statement(select(clients).where(clients.c.id == bindparam("id")))
_delete = Statement(delete(clients).where(clients.c.id == bindparam("id")))
_insert = Statement(insert(clients))


def by_id(conn: Connection, id: str) -> Client | None:
    """The client, if we know it."""
    row = _by_id(conn, id=id).first()
    return Client(*row) if row else None


def put(conn: Connection, client: Client) -> None:
    """Write a client, or write it anew: its secret and scopes are what was last said."""
    _delete(conn, id=client.id)
    _insert(conn, **msgspec.structs.asdict(client))
