"""Persons' keys that the vault has to destroy: their accounts are erased, and no copy of them is to open.

The rows stay: a copy of the vault's file that is put back has keys that were destroyed since.
"""

import msgspec
from sqlalchemy import Connection, Index, bindparam, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Micros, table_of


class Destruction(msgspec.Struct, frozen=True):
    """A row of `destructions`, written with the erasure; times in microseconds UTC. `done_at`: the key is gone."""

    account_id: str
    asked_at: Micros
    done_at: Micros | None = None


destructions = table_of("destructions", Destruction, primary_key=("account_id",))
_c = destructions.c
_is_due = _c.done_at.is_(None)
Index("ix_destructions_due", _c.account_id, sqlite_where=_is_due, postgresql_where=_is_due)

_ask = Statement(lambda insert: insert(destructions).on_conflict_do_nothing())
_due = Statement(select(_c.account_id).where(_is_due).order_by(_c.account_id).limit(bindparam("most")))
_after = Statement(
    select(_c.account_id)
    .where(_c.account_id > bindparam("after_id", type_=_c.account_id.type))
    .order_by(_c.account_id)
    .limit(bindparam("most"))
)
_end = Statement(
    update(destructions).where(_c.account_id == bindparam("of_account_id")).values(done_at=bindparam("now"))
)


def ask(conn: Connection, account_id: str, now: int) -> None:
    """Have a person's key destroyed, however often the gateway is killed before it was."""
    _ask(conn, account_id=account_id, asked_at=now, done_at=None)


def due(conn: Connection, most: int) -> list[str]:
    """Up to `most` accounts whose keys are still to be destroyed."""
    return [row.account_id for row in _due(conn, most=most)]


def asked_after(conn: Connection, after_id: str, most: int) -> list[str]:
    """Up to `most` accounts past `after_id` whose keys are, or are to be, destroyed."""
    return [row.account_id for row in _after(conn, after_id=after_id, most=most)]


def end(conn: Connection, account_id: str, now: int) -> None:
    """The key is destroyed."""
    _end(conn, of_account_id=account_id, now=now)
