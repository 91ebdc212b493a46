"""SQL tokens: what a person asks the warehouse with. Only hashes stand here, and names, sealed (`persons`).

What a token sees is nowhere: it follows from what its owner is at the moment that somebody asks.
"""

import msgspec
from sqlalchemy import (
    Connection,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from gateway.books import persons
from gateway.books.accounts import accounts
from gateway.books.merchant_people import merchant_people
from gateway.books.persons import SQL_TOKEN_TEXTS
from gateway.books.second_factors import second_factors
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, Micros, struct_of, table_of
from gateway.roles import Role


class SqlTokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `sql_tokens`; times in microseconds UTC, `expires_at` by the steady clock.

    `hash`: SHA-256 of a token with 256 random bits, so there is nothing to guess. `created_by`: the account or the
    command that made it. `expires_at`: when it ends or ended, by itself or because it was revoked.
    `last_used_at` may be an hour old.
    """

    id: str
    account_id: str
    hash: bytes
    name: str
    created_by: str
    created_at: Micros
    expires_at: Micros
    revoked_at: Micros | None = None
    last_used_at: Micros | None = None


class SqlGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A living token, and what its owner is right now.

    `merchant_id`: for whom a person acts; null for everybody else, a merchant's own account too.
    """

    token_id: str
    last_used_at: int | None
    account_id: str
    role: Role
    extra_scopes: str
    is_confirmed: bool  # the owner's e-mail address
    has_second_factor: bool
    merchant_id: str | None


sql_tokens = table_of(
    "sql_tokens",
    SqlTokenRow,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sql_tokens_account"),
    UniqueConstraint("hash"),
)
_c = sql_tokens.c
Index("ix_sql_tokens_account_id", _c.account_id, _c.id)

_merchants = accounts.alias("merchants")
_is_living = _c.revoked_at.is_(None) & (_c.expires_at > bindparam("now"))
_granted = Statement(
    select(
        _c.id,
        _c.last_used_at,
        accounts.c.id.label("account_id"),
        accounts.c.role,
        accounts.c.extra_scopes,
        accounts.c.email_confirmed_at.is_not(None).label("is_confirmed"),
        second_factors.c.confirmed_at.is_not(None).label("has_second_factor"),
        merchant_people.c.merchant_id,
    )
    .join(accounts, accounts.c.id == _c.account_id)
    .outerjoin(second_factors, second_factors.c.account_id == accounts.c.id)
    .outerjoin(
        merchant_people,
        (merchant_people.c.account_id == accounts.c.id) & (accounts.c.role == literal_column("'merchant'")),
    )
    .outerjoin(_merchants, _merchants.c.id == merchant_people.c.merchant_id)
    .where(
        _c.hash == bindparam("of_hash"),
        _is_living,
        accounts.c.erased_at.is_(None),
        accounts.c.disabled_at.is_(None),
        accounts.c.suspended_at.is_(None),
        merchant_people.c.removed_at.is_(None),
        _merchants.c.suspended_at.is_(None),
        _merchants.c.erased_at.is_(None),
    )
)
_insert = Statement(insert(sql_tokens))
_living = Statement(
    select(func.count().label("count")).where(_c.account_id == bindparam("of_account_id"), _is_living)
)
_to_change = Statement(select(sql_tokens).where(_c.id == bindparam("token_id")).with_for_update())
_revoke = Statement(
    update(sql_tokens)
    .where(_c.id == bindparam("of_id"), _c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"), expires_at=bindparam("to_expires_at"))
)
_note_use = Statement(
    update(sql_tokens)
    .where(_c.id == bindparam("of_id"), _c.last_used_at.is_(None) | (_c.last_used_at < bindparam("before")))
    .values(last_used_at=bindparam("now"))
)
_page = select(sql_tokens).where(_c.id < bindparam("below")).order_by(_c.id.desc()).limit(bindparam("most"))
PAGES = {
    "all": Statement(_page),
    "of_account": Statement(_page.where(_c.account_id == bindparam("of_account_id"))),
}
_forget = Statement(delete(sql_tokens).where(_c.account_id == bindparam("of_account_id")))


def add(conn: Connection, token: SqlTokenRow) -> None:
    """Write a new token."""
    _insert(conn, **msgspec.structs.asdict(persons.sealed_row(conn, SQL_TOKEN_TEXTS, token)))


def granted(conn: Connection, token_hash: bytes, now: int) -> SqlGrant | None:
    """Whose a token is that is good at `now` (steady clock), by one look at an index.

    None where it is unknown, has ended, or its owner may not even log in: was erased or disabled, taken out of a
    merchant's people, or their merchant is suspended.
    """
    row = _granted(conn, of_hash=token_hash, now=now).first()
    return struct_of(SqlGrant, row) if row else None


def count_living(conn: Connection, account_id: str, now: int) -> int:
    """How many tokens of an account are good at `now` (steady clock)."""
    count: int = _living(conn, of_account_id=account_id, now=now).scalar()
    return count


def bare_to_change(conn: Connection, token_id: str) -> SqlTokenRow | None:
    """The token without its name; until this transaction ends, nobody else changes it."""
    row = _to_change(conn, token_id=token_id).first()
    return msgspec.structs.replace(struct_of(SqlTokenRow, row), **SQL_TOKEN_TEXTS.gone) if row else None


def list_tokens(conn: Connection, account_id: str | None, after_id: str | None, most: int) -> list[SqlTokenRow]:
    """Up to `most` tokens of an account (None: of all), the newest first, after the one of `after_id`."""
    page = PAGES["all" if account_id is None else "of_account"]
    found = page(conn, of_account_id=account_id, below=after_id or ABOVE_ALL_IDS, most=most)
    return persons.opened_rows(conn, SQL_TOKEN_TEXTS, [struct_of(SqlTokenRow, row) for row in found])


def revoke(conn: Connection, token_id: str, now: int, steady: int) -> bool:
    """End a token for good at `now` (wall clock; `steady` by the other one); False where that was done before."""
    return _revoke(conn, of_id=token_id, now=now, to_expires_at=steady).rowcount == 1


def note_use(conn: Connection, token_id: str, now: int, before: int) -> None:
    """Note that a token is used at `now`, unless it was after `before` (microseconds UTC)."""
    _note_use(conn, of_id=token_id, now=now, before=before)


def forget(conn: Connection, account_id: str) -> None:
    """Keep no token of an account."""
    _forget(conn, of_account_id=account_id)
