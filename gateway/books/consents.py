"""Consents: which scopes a person allowed a client that is not ours, so that they are asked once."""

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, bindparam, delete, select

from gateway.books.sql import Statement
from gateway.books.tables import Micros, struct_of, table_of


class Consent(msgspec.Struct, frozen=True):
    """A row of `consents`. `scopes`: separated by spaces; `given_at` in microseconds UTC."""

    account_id: str
    client_id: str
    scopes: str
    given_at: Micros


consents = table_of(
    "consents",
    Consent,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_consents_account"),
    ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_consents_client"),
    primary_key=("account_id", "client_id"),
)
_c = consents.c
_scopes = Statement(
    select(_c.scopes).where(_c.account_id == bindparam("account_id"), _c.client_id == bindparam("client_id"))
)
_put = Statement(
    lambda insert: (put := insert(consents)).on_conflict_do_update(
        index_elements=["account_id", "client_id"],
        set_={"scopes": put.excluded.scopes, "given_at": put.excluded.given_at},
    )
)
_of_account = Statement(select(consents).where(_c.account_id == bindparam("account_id")).order_by(_c.client_id))
_forget = Statement(delete(consents).where(_c.account_id == bindparam("account_id")))


def allowed(conn: Connection, account_id: str, client_id: str) -> frozenset[str]:
    """The scopes that the account allowed the client so far."""
    return frozenset((_scopes(conn, account_id=account_id, client_id=client_id).scalar() or "").split())


def of_account(conn: Connection, account_id: str) -> list[Consent]:
    """All that the account allowed."""
    return [struct_of(Consent, row) for row in _of_account(conn, account_id=account_id)]


def give(conn: Connection, account_id: str, client_id: str, scopes: frozenset[str], now: int) -> None:
    """Allow the client these scopes, beside what was allowed before."""
    every = scopes | allowed(conn, account_id, client_id)
    row = Consent(account_id, client_id, " ".join(sorted(every)), now)
    _put(conn, **msgspec.structs.asdict(row))


def forget(conn: Connection, account_id: str) -> None:
    """Remove what an account allowed."""
    _forget(conn, account_id=account_id)
