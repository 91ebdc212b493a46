"""What people save under a name to find it again on any browser; name and text are sealed (`persons`)."""

from typing import Literal

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, Index, bindparam, delete, select

from gateway.books import persons
from gateway.books.persons import SAVED_TEXTS
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, Micros, struct_of, table_of

# `payments_view`: filters and columns of the page Payments. `sql_question`: a statement of the page SQL.
SavedKind = Literal["payments_view", "sql_question"]


class SavedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `saved`, opened; `updated_at` in microseconds UTC."""

    id: str
    account_id: str
    kind: SavedKind
    name: str
    content: str
    updated_at: Micros


saved = table_of("saved", SavedRow, ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_saved_account"))
_c = saved.c
Index("ix_saved_account_id", _c.account_id, _c.kind, _c.id)

_is_of_account = _c.account_id == bindparam("of_account_id")
_put = Statement(
    lambda insert: (put := insert(saved)).on_conflict_do_update(
        index_elements=["id"],
        set_={name: put.excluded[name] for name in ("name", "content", "updated_at")},
    )
)
_page = Statement(
    select(saved)
    .where(_is_of_account, _c.kind == bindparam("of_kind"), _c.id < bindparam("below"))
    .order_by(_c.id.desc())
    .limit(bindparam("most"))
)
_of_account = Statement(select(saved).where(_is_of_account))
_remove = Statement(delete(saved).where(_c.id == bindparam("of_id")))
_forget = Statement(delete(saved).where(_is_of_account))


def put(conn: Connection, row: SavedRow) -> None:
    """Write what is saved, in place of the row that has its id."""
    _put(conn, **msgspec.structs.asdict(persons.sealed_row(conn, SAVED_TEXTS, row)))


def list_saved(
    conn: Connection, account_id: str, kind: SavedKind, after_id: str | None, most: int
) -> list[SavedRow]:
    """Up to `most` of a kind of an account, what was saved first last, after the one of `after_id`."""
    found = _page(conn, of_account_id=account_id, of_kind=kind, below=after_id or ABOVE_ALL_IDS, most=most)
    return persons.opened_rows(conn, SAVED_TEXTS, [struct_of(SavedRow, row) for row in found])


def of_account(conn: Connection, account_id: str) -> list[SavedRow]:
    """All that an account saved."""
    found = _of_account(conn, of_account_id=account_id)
    return persons.opened_rows(conn, SAVED_TEXTS, [struct_of(SavedRow, row) for row in found])


def remove(conn: Connection, saved_id: str) -> None:
    """Keep one no more."""
    _remove(conn, of_id=saved_id)


def forget(conn: Connection, account_id: str) -> None:
    """Keep nothing that an account saved."""
    _forget(conn, of_account_id=account_id)
