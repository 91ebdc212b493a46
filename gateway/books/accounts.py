"""Accounts: who logs in. E-mail, phone and name of a person stand here and nowhere else, sealed (`persons`).

What a function returns is opened. What shows nothing of a person takes a *bare* account, which needs no key.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    Connection,
    Index,
    Table,
    UniqueConstraint,
    bindparam,
    case,
    insert,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from gateway.books import persons
from gateway.books.persons import ACCOUNT_TEXTS
from gateway.books.sql import Result, Statement
from gateway.books.tables import Int32, Micros, struct_of, table_of
from gateway.refusals import Refusal
from gateway.roles import Role

FAILURES_MAX = 10  # PCI DSS 8.3.4: locked after ten attempts, for thirty minutes
LOCK_US = 30 * 60 * 1_000_000


class EmailTaken(Refusal):
    """An account with this e-mail address exists."""


class AccountGone(Refusal):
    """The account was erased since its owner asked."""


class Tries(msgspec.Struct, frozen=True):
    """Wrong passwords since the last right one, and until when (steady clock) no more are taken."""

    failures: int = 0
    locked_until: int = 0

    def are_locked(self, now: int) -> bool:
        """Whether, at `now` (steady clock), no password is taken, and none counts."""
        return self.locked_until > now

    def are_used_up(self, now: int) -> bool:
        """Whether not even the right password helps any more."""
        return self.are_locked(now) or self.failures >= FAILURES_MAX


NoVerdictChoice = Literal["stand_in", "review", "decline"]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `accounts`; times in microseconds UTC, `locked_until` by the steady clock.

    `extra_scopes`: granted to this account alone, separated by spaces. `limit_class`: empty for each route's own.
    `email_key`: the address without case, one account per mailbox; what is read is its hash. `email_domain_hash`:
    of its domain, unless anybody can have a mailbox there; none in a row of before 0031. `new_email`: takes the
    place of `email` once it is confirmed. `password_hash`: null where nobody can log in. `phone`: E.164. JSON:
    `preferences` (kind of notification to channels), `quiet_hours` ({start, end}); of a merchant `return_origins`
    (whose pages may call the API, and be gone back to by payers) and `return_urls` (single addresses to go back
    to). `failures`: wrong passwords since the last right one, of callers whom the account does not know
    (`known_callers`). `disabled_at`: nobody logs in with it. `suspended_at`: of a merchant, with all it has.
    `on_no_verdict`: what a merchant wants where no verdict comes in time; null: `stand_in`.
    `events`: how many stand on `accounts.v1`.
    """

    id: str
    role: Role
    extra_scopes: str = ""
    limit_class: str = ""
    email: str | None = None
    email_key: str | None = None
    email_domain_hash: str | None = None
    email_confirmed_at: Micros | None = None
    new_email: str | None = None
    password_hash: str | None = None
    name: str
    phone: str | None = None
    phone_confirmed_at: Micros | None = None
    locale: str = "en"
    time_zone: str = "UTC"
    preferences: str = "{}"
    quiet_hours: str | None = None
    return_origins: str = "[]"
    return_urls: str = "[]"
    failures: Int32 = 0
    locked_until: Micros = 0
    created_at: Micros
    updated_at: Micros
    erased_at: Micros | None = None
    disabled_at: Micros | None = None
    suspended_at: Micros | None = None
    suspended_reason: str | None = None
    on_no_verdict: NoVerdictChoice | None = None
    events: Int32 = 0


accounts = table_of("accounts", Account, UniqueConstraint("email_key"))

ERASED_VALUES: dict[str, str | None] = {  # what erasure leaves of a person
    **ACCOUNT_TEXTS.gone,
    "email_key": None,
    "email_domain_hash": None,
    "email_confirmed_at": None,
    "password_hash": None,
    "phone_confirmed_at": None,
    "preferences": "{}",
    "quiet_hours": None,
    "return_origins": "[]",
    "return_urls": "[]",
}


def one_failure_more(table: Table, lock_until: Any) -> dict[str, Any]:
    """The values of an UPDATE that counts a wrong password or code; the last one allowed locks `lock_until`."""
    is_last = table.c.failures + 1 >= FAILURES_MAX
    return {
        "failures": case((is_last, 0), else_=table.c.failures + 1),
        "locked_until": case((is_last, lock_until), else_=table.c.locked_until),
    }


_columns = accounts.c
_is_admin = (_columns.role == literal_column("'admin'")) & _columns.erased_at.is_(None)
Index("ix_accounts_admins", _columns.id, sqlite_where=_is_admin, postgresql_where=_is_admin)

_has_origins = (_columns.return_origins != literal_column("'[]'")) & _columns.suspended_at.is_(None)
Index("ix_accounts_origins", _columns.id, sqlite_where=_has_origins, postgresql_where=_has_origins)

_insert = Statement(insert(accounts))
_origins = Statement(select(_columns.id, _columns.return_origins).where(_has_origins).order_by(_columns.id))
_by_id = Statement(select(accounts).where(_columns.id == bindparam("account_id"), _columns.erased_at.is_(None)))
# SQLite has one writer, and is not asked. In PostgreSQL who holds an account is in the way of its erasure alone: a
# merchant who is paid all the time logs in and changes its details meanwhile.
_living = select(accounts).where(_columns.id == bindparam("account_id"), _columns.erased_at.is_(None))
_to_change = Statement(_living.with_for_update(key_share=True))
_to_erase = Statement(_living.with_for_update())
_two = [bindparam(name, type_=_columns.id.type) for name in ("one_id", "other_id")]
_to_forbid_erasure = Statement(
    select(_columns.erased_at).where(_columns.id.in_(_two)).with_for_update(read=True, key_share=True)
)
_admins = Statement(select(_columns.id, _columns.disabled_at).where(_is_admin).with_for_update())
# Rows of before 0021 have the address itself, until `sealing` has come to them.
_is_of_email = _columns.email_key.in_(
    [bindparam(name, type_=_columns.email_key.type) for name in ("of_email_key", "of_plain_key")]
)
_by_email = Statement(select(accounts).where(_is_of_email))
_email_domain_hash = Statement(select(_columns.email_domain_hash).where(_columns.id == bindparam("account_id")))
OWNER_COLUMNS = (
    "name",
    "new_email",
    "phone",
    "phone_confirmed_at",
    "locale",
    "time_zone",
    "preferences",
    "quiet_hours",
    "updated_at",
)
_change = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_account_id"), _columns.erased_at.is_(None))
    .values({name: bindparam(name) for name in OWNER_COLUMNS})
)
_release_email = Statement(
    update(accounts)
    .where(
        _is_of_email,
        _columns.id != bindparam("by_account_id"),
        _columns.email_confirmed_at.is_(None),
    )
    .values(email=null(), email_key=null(), email_domain_hash=null())
)
_confirm_email = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_account_id"), _columns.erased_at.is_(None))
    .values(
        email=bindparam("sealed_email"),
        email_key=bindparam("to_email_key"),
        email_domain_hash=bindparam("to_domain_hash"),
        new_email=null(),
        email_confirmed_at=bindparam("now"),
        updated_at=bindparam("now"),
    )
)
_confirm_phone = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_account_id"), _columns.erased_at.is_(None))
    .values(phone_confirmed_at=bindparam("now"), updated_at=bindparam("now"))
)
_set_password = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_account_id"), _columns.erased_at.is_(None))
    .values(password_hash=bindparam("to_hash"), failures=0, locked_until=0, updated_at=bindparam("now"))
)
_tries = Statement(select(_columns.failures, _columns.locked_until).where(_columns.id == bindparam("account_id")))
_count_failure = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_account_id"))
    .values(one_failure_more(accounts, bindparam("lock_until")))
)
_forget_failures = Statement(
    update(accounts)
    .where(
        _columns.id == bindparam("of_account_id"),
        _columns.locked_until <= bindparam("now"),
        _columns.erased_at.is_(None),
    )
    .values(failures=0)
)
_erase = Statement(
    update(accounts)
    .where(_columns.id == bindparam("of_account_id"), _columns.erased_at.is_(None))
    .values(
        {name: bindparam(name) for name in ERASED_VALUES}
        | {"erased_at": bindparam("now"), "updated_at": bindparam("now")}
    )
)


def add(conn: Connection, account: Account) -> None:
    """Write a new account. Raises `EmailTaken`."""
    kept = persons.sealed_row(conn, ACCOUNT_TEXTS, account)
    if account.email_key is not None:
        _check_free(conn, account.email_key, account.id)
        kept = msgspec.structs.replace(
            kept,
            email_key=persons.lookup(conn, account.email_key),
            email_domain_hash=persons.lookup_domain(conn, account.email_key),
        )
    try:
        _insert(conn, **msgspec.structs.asdict(kept))
    except IntegrityError:
        raise EmailTaken from None


def by_id(conn: Connection, account_id: str) -> Account | None:
    """The account, unless it was erased."""
    return _account(conn, _by_id(conn, account_id=account_id).first())


def bare_by_id(conn: Connection, account_id: str) -> Account | None:
    """The account without what is sealed, unless it was erased."""
    return _bare(_by_id(conn, account_id=account_id).first())


def email_domain_hash(conn: Connection, account_id: str) -> str | None:
    """The hash of the domain of an account's e-mail address; None where there is none to tell."""
    found: str | None = _email_domain_hash(conn, account_id=account_id).scalar()
    return found


def to_change(conn: Connection, account_id: str) -> Account | None:
    """The account, unless it was erased; until this transaction ends, nobody else changes it."""
    return _account(conn, _to_change(conn, account_id=account_id).first())


def bare_to_change(conn: Connection, account_id: str) -> Account | None:
    """The same, bare."""
    return _bare(_to_change(conn, account_id=account_id).first())


def to_erase(conn: Connection, account_id: str) -> Account | None:
    """The bare account, unless it was erased; until this transaction ends, nobody changes it or forbids that."""
    return _bare(_to_erase(conn, account_id=account_id).first())


def forbid_erasure(conn: Connection, one_id: str, other_id: str) -> None:
    """Let neither account be erased before this transaction ends. Raises `AccountGone` where one was."""
    if any(row.erased_at is not None for row in _to_forbid_erasure(conn, one_id=one_id, other_id=other_id)):
        raise AccountGone


def list_origins(conn: Connection) -> list[tuple[str, str]]:
    """Every merchant that has origins and is not suspended, and these as JSON."""
    return [tuple(row) for row in _origins(conn)]


def admins(conn: Connection) -> list[str]:
    """The ids of all admins who are not disabled; until this transaction ends, they stay what they are."""
    return [row.id for row in _admins(conn) if row.disabled_at is None]


def by_email(conn: Connection, email_key: str) -> Account | None:
    """The account of a mailbox; `email_key` as `gateway.identity.contacts.email_key` makes it."""
    return _account(conn, _of_email(conn, email_key).first())


def bare_by_email(conn: Connection, email_key: str) -> Account | None:
    """The account of a mailbox without what is sealed: a login needs no person's key."""
    return _bare(_of_email(conn, email_key).first())


def opened(conn: Connection, rows: Iterable[Any]) -> list[Account]:
    """The accounts in rows of the table, such as a list's: their keys are fetched at once."""
    return persons.opened_rows(conn, ACCOUNT_TEXTS, [struct_of(Account, row) for row in rows])


def change(conn: Connection, account: Account) -> None:
    """Write what owners may change of their own account: the columns of `OWNER_COLUMNS`."""
    kept = persons.sealed_row(conn, ACCOUNT_TEXTS, account)
    _change(conn, of_account_id=account.id, **{name: getattr(kept, name) for name in OWNER_COLUMNS})


def confirm_email(conn: Connection, account_id: str, address: str, email_key: str, now: int) -> bool:
    """An account's e-mail address, or the one that takes its place, is confirmed; False where it has neither.

    Who never confirmed the address loses it. Raises `EmailTaken` where somebody did.
    """
    account, hashed = to_change(conn, account_id), persons.lookup(conn, email_key)
    if account is None or address not in (account.email, account.new_email):
        return False
    _release_email(conn, of_email_key=hashed, of_plain_key=email_key, by_account_id=account_id)
    _check_free(conn, email_key, account_id)
    values = {
        "sealed_email": persons.seal(conn, account_id, "accounts", "email", account_id, address),
        "to_email_key": hashed,
        "to_domain_hash": persons.lookup_domain(conn, email_key),
    }
    try:
        _confirm_email(conn, of_account_id=account_id, now=now, **values)
    except IntegrityError:
        raise EmailTaken from None
    return True


def confirm_phone(conn: Connection, account_id: str, number: str, now: int) -> bool:
    """An account's phone is confirmed; False where it has another one, or none."""
    account = to_change(conn, account_id)
    if account is None or account.phone != number:
        return False
    return _confirm_phone(conn, of_account_id=account_id, now=now).rowcount == 1


def set_password(conn: Connection, account_id: str, password_hash: str, now: int) -> None:
    """An account's owner has another password; whoever was locked out for wrong ones is not any more."""
    _set_password(conn, of_account_id=account_id, to_hash=password_hash, now=now)


def tries(conn: Connection, account_id: str) -> Tries:
    """The wrong passwords of callers whom the account does not know; none where there is no account."""
    row = _tries(conn, account_id=account_id).first()
    return Tries(*row) if row else Tries()


def count_failure(conn: Connection, account_id: str, now: int) -> None:
    """Count a wrong password of an unknown caller; the tenth locks all of them out.

    For 30 minutes from `now` (steady clock). One UPDATE, so none is lost.
    """
    _count_failure(conn, of_account_id=account_id, lock_until=now + LOCK_US)


def forget_failures(conn: Connection, account_id: str, now: int) -> bool:
    """An unknown caller gave the right password: False where they are locked out at `now` (steady clock)."""
    return _forget_failures(conn, of_account_id=account_id, now=now).rowcount == 1


def erase(conn: Connection, account_id: str, now: int) -> None:
    """Take everything personal out of the row; what it paid and was paid keeps its id."""
    _erase(conn, of_account_id=account_id, now=now, **ERASED_VALUES)


def _account(conn: Connection, row: Any) -> Account | None:
    return opened(conn, [row])[0] if row else None


def _bare(row: Any) -> Account | None:
    return msgspec.structs.replace(struct_of(Account, row), **ACCOUNT_TEXTS.gone) if row else None


def _of_email(conn: Connection, email_key: str) -> Result:
    return _by_email(conn, of_email_key=persons.lookup(conn, email_key), of_plain_key=email_key)


def _check_free(conn: Connection, email_key: str, account_id: str) -> None:
    """Raise `EmailTaken` where an account has the address that is not sealed yet: no unique index tells that."""
    if any(row.id != account_id for row in _of_email(conn, email_key)):
        raise EmailTaken
