"""Merchants: the accounts that sell, their addresses, and the switch that stops one with all it has."""

from sqlalchemy import Connection, bindparam, select, update

from gateway.books import accounts, merchant_people
from gateway.books.accounts import Account, NoVerdictChoice
from gateway.books.sql import Statement

_columns = accounts.accounts.c
_change = Statement(
    update(accounts.accounts)
    .where(_columns.id == bindparam("of_account_id"), _columns.erased_at.is_(None))
    .values(
        return_origins=bindparam("to_origins"),
        return_urls=bindparam("to_urls"),
        suspended_at=bindparam("to_suspended_at"),
        suspended_reason=bindparam("to_reason"),
        on_no_verdict=bindparam("to_no_verdict"),
    )
)
_no_verdict = Statement(select(_columns.on_no_verdict).where(_columns.id == bindparam("of_account_id")))


def by_id(conn: Connection, merchant_id: str) -> Account | None:
    """The account of a merchant; None for any other account, and for a person who acts for one."""
    return _if_merchant(conn, accounts.by_id(conn, merchant_id))


def bare_by_id(conn: Connection, merchant_id: str) -> Account | None:
    """The same, bare: what sells has a name that a payment does not need."""
    return _if_merchant(conn, accounts.bare_by_id(conn, merchant_id))


def to_change(conn: Connection, merchant_id: str) -> Account | None:
    """The same; until this transaction ends, nobody else changes it."""
    return _if_merchant(conn, accounts.to_change(conn, merchant_id))


def change(conn: Connection, merchant: Account) -> None:
    """Write a merchant's name, addresses and suspension."""
    accounts.change(conn, merchant)
    _change(
        conn,
        of_account_id=merchant.id,
        to_origins=merchant.return_origins,
        to_urls=merchant.return_urls,
        to_suspended_at=merchant.suspended_at,
        to_reason=merchant.suspended_reason,
        to_no_verdict=merchant.on_no_verdict,
    )


def no_verdict_choice(conn: Connection, merchant_id: str) -> NoVerdictChoice:
    """What a merchant wants for a payment of which no verdict comes in time."""
    found: NoVerdictChoice | None = _no_verdict(conn, of_account_id=merchant_id).scalar()
    return found or "stand_in"


def is_merchant(conn: Connection, account: Account) -> bool:
    """Whether an account is a merchant's own, and not that of a person who acts for one, or did."""
    return account.role == "merchant" and merchant_people.by_account(conn, account.id) is None


def _if_merchant(conn: Connection, account: Account | None) -> Account | None:
    return account if account is not None and is_merchant(conn, account) else None
