"""Accounts: who logs in. E-mail, phone and name of a person stand here and nowhere else."""

from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, Table, Text, bindparam, case, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.books.metadata import Micros, metadata
from gateway.books.statement import Statement
from gateway.errors import EmailTaken
from gateway.identity.roles import Role

FAILURES_MAX = 10  # PCI DSS 8.3.4: locked after ten attempts, for thirty minutes
LOCK_US = 30 * 60 * 1_000_000

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("extra_scopes", Text, nullable=False),  # granted to this account alone, space-separated
    Column("limit_class", Text, nullable=False),  # empty: each route's own
    Column("email", Text),
    Column("email_key", Text, unique=True),  # the address without case: one account per mailbox
    Column("password_hash", Text),  # null: nobody can log in
    Column("name", Text, nullable=False),
    Column("phone", Text),  # E.164
    Column("locale", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("preferences", Text, nullable=False),  # JSON: kind of notification -> channels
    Column("quiet_hours", Text),  # JSON: {start, end}
    Column("return_origins", Text, nullable=False),  # JSON: where a payer may be sent back to
    Column("failures", Integer, nullable=False),  # wrong passwords since the last right one
    Column("locked_until", Micros, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Column("erased_at", Micros),
)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `accounts`, column by column; times in microseconds UTC."""

    id: str
    role: Role
    extra_scopes: str = ""
    limit_class: str = ""
    email: str | None = None
    email_key: str | None = None
    password_hash: str | None = None
    name: str
    phone: str | None = None
    locale: str = "en"
    time_zone: str = "UTC"
    preferences: str = "{}"
    quiet_hours: str | None = None
    return_origins: str = "[]"
    failures: int = 0
    locked_until: int = 0
    created_at: int
    updated_at: int
    erased_at: int | None = None


GONE: dict[str, str | None] = {  # what erasure leaves of a person
    "email": None,
    "email_key": None,
    "password_hash": None,
    "name": "",
    "phone": None,
    "preferences": "{}",
    "quiet_hours": None,
}

_columns = accounts.c
_insert = Statement(insert(accounts))
_by_id = Statement(select(accounts).where(_columns.id == bindparam("id"), _columns.erased_at.is_(None)))
_by_email = Statement(select(accounts).where(_columns.email_key == bindparam("email_key")))
OWN = ("name", "phone", "locale", "time_zone", "preferences", "quiet_hours", "updated_at")
_change = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_id"), _columns.erased_at.is_(None))
    .values({name: bindparam(name) for name in OWN})
)
_count_failure = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_id"))
    .values(
        failures=case((_columns.failures + 1 >= FAILURES_MAX, 0), else_=_columns.failures + 1),
        locked_until=case(
            (_columns.failures + 1 >= FAILURES_MAX, bindparam("lock_until")), else_=_columns.locked_until
        ),
    )
)
_forget_failures = Statement(
    update(accounts)
    .where(
        _columns.id == bindparam("of_id"), _columns.locked_until <= bindparam("now"), _columns.erased_at.is_(None)
    )
    .values(failures=0)
)
_erase = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_id"), _columns.erased_at.is_(None))
    .values(
        {name: bindparam(name) for name in GONE} | {"erased_at": bindparam("now"), "updated_at": bindparam("now")}
    )
)


def add(conn: Connection, account: Account) -> None:
    """Write a new account. Raises `EmailTaken`."""
    try:
        _insert(conn, **msgspec.structs.asdict(account))
    except IntegrityError:
        raise EmailTaken from None


def by_id(conn: Connection, id: str) -> Account | None:
    """The account, unless it was erased."""
    return _account(_by_id(conn, id=id).first())


def by_email(conn: Connection, email_key: str) -> Account | None:
    """The account of a mailbox; `email_key` as `gateway.identity.contacts.email_key` makes it."""
    return _account(_by_email(conn, email_key=email_key).first())


def change(conn: Connection, account: Account) -> None:
    """Write what owners may change of their own account: the columns of `OWN`."""
    _change(conn, of_id=account.id, **{name: getattr(account, name) for name in OWN})


def count_failure(conn: Connection, id: str, now: int) -> None:
    """Count a wrong password; the tenth locks the account for 30 minutes. One UPDATE, so none is lost."""
    _count_failure(conn, of_id=id, lock_until=now + LOCK_US)


def forget_failures(conn: Connection, id: str, now: int) -> bool:
    """The right password was given: False where that does not count, because the account is locked."""
    return _forget_failures(conn, of_id=id, now=now).rowcount == 1


def erase(conn: Connection, id: str, now: int) -> None:
    """Take everything personal out of the row; what it paid and was paid keeps its id."""
    _erase(conn, of_id=id, now=now, **GONE)


def _account(row: Any) -> Account | None:
    return Account(**row._asdict()) if row else None
