"""What admins see and change of other people's accounts: their roles, and whether they may log in."""

from sqlalchemy import Connection, Index, bindparam, exists, literal_column, select, update

from gateway.books.accounts import Account, accounts, opened
from gateway.books.payments import payments
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS
from gateway.roles import Role

_c = accounts.c
Index("ix_accounts_role", _c.role, _c.id)
_is_unconfirmed = (
    (_c.role == literal_column("'customer'")) & _c.email_confirmed_at.is_(None) & _c.erased_at.is_(None)
)
Index("ix_accounts_unconfirmed", _c.id, sqlite_where=_is_unconfirmed, postgresql_where=_is_unconfirmed)

_set_rights = Statement(
    update(accounts)
    .where(_c.id == bindparam("of_account_id"), _c.erased_at.is_(None))
    .values(
        role=bindparam("to_role"),
        extra_scopes=bindparam("to_extra_scopes"),
        disabled_at=bindparam("to_disabled_at"),
        updated_at=bindparam("now"),
    )
)
_count_event = Statement(
    update(accounts).where(_c.id == bindparam("of_account_id")).values(events=_c.events + 1).returning(_c.events)
)
_untold = Statement(
    select(_c.id)
    .where(_c.role == bindparam("of_role"), _c.id > bindparam("past"), _c.events == 0, _c.erased_at.is_(None))
    .order_by(_c.id)
    .limit(bindparam("most"))
)
_newest_first = (
    select(accounts)
    .where(_c.id < bindparam("before_id"), _c.erased_at.is_(None))
    .order_by(_c.id.desc())
    .limit(bindparam("most"))
)
# One for each index that leads.
PAGES = {
    "id": Statement(_newest_first),
    "role": Statement(_newest_first.where(_c.role == bindparam("of_role"))),
}
_never_paid = ~exists().where(payments.c.customer_id == _c.id)
_unconfirmed = Statement(
    select(_c.id)
    .where(_is_unconfirmed, _c.id > bindparam("after_id"), _c.id < bindparam("before_id"), _never_paid)
    .order_by(_c.id)
    .limit(bindparam("most"))
)
_is_unconfirmed_still = Statement(
    select(_c.id).where(_c.id == bindparam("account_id"), _is_unconfirmed, _never_paid)
)


def select_accounts(conn: Connection, role: Role | None, before_id: str | None, most: int) -> list[Account]:
    """Up to `most` living accounts of a role (None: of all), made before that of an id, the newest first."""
    page = PAGES["role" if role else "id"]
    found = page(conn, of_role=role, before_id=before_id or ABOVE_ALL_IDS, most=most)
    return opened(conn, found)


def select_unconfirmed(conn: Connection, after_id: str, before_id: str, most: int) -> list[str]:
    """The ids, past one and before another, of `most` customers who neither confirmed an address nor paid."""
    return [row.id for row in _unconfirmed(conn, after_id=after_id, before_id=before_id, most=most)]


def is_unconfirmed(conn: Connection, account_id: str) -> bool:
    """Whether an account is such a customer's."""
    return _is_unconfirmed_still(conn, account_id=account_id).first() is not None


def set_rights(conn: Connection, account: Account, now: int) -> None:
    """Write an account's role, what is granted to it alone, and since when nobody logs in with it.

    `now` in microseconds UTC.
    """
    _set_rights(
        conn,
        of_account_id=account.id,
        to_role=account.role,
        to_extra_scopes=account.extra_scopes,
        to_disabled_at=account.disabled_at,
        now=now,
    )


def count_event(conn: Connection, account_id: str) -> int:
    """The sequence of the next event of an account, from 1 on."""
    return int(_count_event(conn, of_account_id=account_id).scalar())


def list_untold(conn: Connection, role: Role, past: str, most: int) -> list[str]:
    """The ids, past one, of `most` living accounts of a role that nothing on `accounts.v1` tells of."""
    return [row.id for row in _untold(conn, of_role=role, past=past, most=most)]
