"""A merchant's people: who logs in under an account of their own and acts for it.

A row stays when its person is taken out, so that an old decision can still be laid at somebody's door.
"""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, Index, bindparam, func, literal_column, select, update

from gateway.books.accounts import accounts
from gateway.books.sql import Statement
from gateway.books.tables import Micros, struct_of, table_of
from gateway.roles import MerchantRole


class MerchantPerson(msgspec.Struct, frozen=True):
    """A row of `merchant_people`: a person acts for one merchant, until `removed_at` (microseconds UTC)."""

    account_id: str
    merchant_id: str
    role: MerchantRole
    created_at: Micros
    removed_at: Micros | None = None


merchant_people = table_of(
    "merchant_people",
    MerchantPerson,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_merchant_people_account"),
    ForeignKeyConstraint(["merchant_id"], ["accounts.id"], name="fk_merchant_people_merchant"),
    primary_key=("account_id",),
)
_c = merchant_people.c
_acts = _c.removed_at.is_(None)
Index("ix_merchant_people_merchant_id", _c.merchant_id, _c.account_id, sqlite_where=_acts, postgresql_where=_acts)

_by_account = Statement(select(merchant_people).where(_c.account_id == bindparam("account_id")))
_between = Statement(
    select(_c.account_id, _c.merchant_id).where(
        _c.account_id >= bindparam("first_id"), _c.account_id <= bindparam("last_id")
    )
)
_put = Statement(
    lambda insert: (put := insert(merchant_people)).on_conflict_do_update(
        index_elements=["account_id"],
        set_={name: put.excluded[name] for name in ("merchant_id", "role", "created_at", "removed_at")},
    )
)
_change_role = Statement(
    update(merchant_people).where(_c.account_id == bindparam("of_account_id")).values(role=bindparam("to_role"))
)
_remove = Statement(
    update(merchant_people).where(_c.account_id == bindparam("of_account_id")).values(removed_at=bindparam("now"))
)
_set_disabled = Statement(
    update(accounts)
    .where(accounts.c.id == bindparam("of_account_id"))
    .values(disabled_at=bindparam("to_disabled_at"))
)
PAGES = Statement(
    select(merchant_people)
    .where(_acts, _c.merchant_id == bindparam("of_merchant_id"), _c.account_id > bindparam("above"))
    .order_by(_c.account_id)
    .limit(bindparam("most"))
)
# Who was invited and never set a password may not be there tomorrow: whoever can log in keeps a merchant going.
_owners = Statement(
    select(func.count().label("count"))
    .select_from(merchant_people)
    .join(accounts, accounts.c.id == _c.account_id)
    .where(
        _acts,
        _c.merchant_id == bindparam("of_merchant_id"),
        _c.role == literal_column("'owner'"),
        _c.account_id != bindparam("but_account_id"),
        accounts.c.password_hash.is_not(None),
        accounts.c.disabled_at.is_(None),
        accounts.c.erased_at.is_(None),
    )
)


def by_account(conn: Connection, account_id: str) -> MerchantPerson | None:
    """For whom an account acts, or did, and as what; None: for itself."""
    row = _by_account(conn, account_id=account_id).first()
    return struct_of(MerchantPerson, row) if row else None


def acted_for(conn: Connection, account_ids: Collection[str]) -> dict[str, str]:
    """For which merchant each person acts, or did, of a page of merchants' accounts; without who is one itself."""
    if not account_ids:
        return {}
    found = _between(conn, first_id=min(account_ids), last_id=max(account_ids))
    return {row.account_id: row.merchant_id for row in found}


def put(conn: Connection, person: MerchantPerson) -> None:
    """A person acts for a merchant from now on; for another one no more."""
    _put(conn, **msgspec.structs.asdict(person))


def change_role(conn: Connection, account_id: str, role: MerchantRole) -> None:
    """What a person acts as from now on."""
    _change_role(conn, of_account_id=account_id, to_role=role)


def remove(conn: Connection, account_id: str, now: int) -> None:
    """A person acts for nobody any more, from `now` on (microseconds UTC)."""
    _remove(conn, of_account_id=account_id, now=now)


def set_disabled(conn: Connection, account_id: str, disabled_at: int | None) -> None:
    """Nobody logs in with a person's account since then (microseconds UTC); None: they do again."""
    _set_disabled(conn, of_account_id=account_id, to_disabled_at=disabled_at)


def list_people(conn: Connection, merchant_id: str, after_id: str | None, most: int) -> list[MerchantPerson]:
    """Up to `most` people of a merchant, the first one first, after the account `after_id`."""
    found = PAGES(conn, of_merchant_id=merchant_id, above=after_id or "", most=most)
    return [struct_of(MerchantPerson, row) for row in found]


def other_owners(conn: Connection, merchant_id: str, account_id: str) -> int:
    """How many owners beside an account can log in and act for a merchant."""
    count: int = _owners(conn, of_merchant_id=merchant_id, but_account_id=account_id).scalar()
    return count
