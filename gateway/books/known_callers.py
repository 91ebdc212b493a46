"""Known callers: devices and networks from which an account's owner logged in; each has tries of its own.

Neither a cookie nor an address stands here, only keyed hashes, which are bound to the account.
"""

from typing import Literal

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, Index, bindparam, case, delete, select, update

from gateway.books.accounts import LOCK_US, Tries, one_failure_more
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, table_of
from gateway.policy import DAY_US, MINUTE_US

CallerKind = Literal["device", "address"]

KEPT_US: dict[CallerKind, int] = {"device": 365 * DAY_US, "address": 30 * DAY_US}
RETIRED_US = 10 * MINUTE_US  # an answer with a new cookie is lost, or two logins go out with the old one
KEPT_MAX = 20  # of a kind and account; the longest unused go


class KnownCaller(msgspec.Struct, frozen=True):
    """A row of `known_callers`; times by the steady clock. `failures`: since the last right password."""

    hash: bytes
    account_id: str
    kind: CallerKind
    expires_at: Micros
    failures: Int32 = 0
    locked_until: Micros = 0


known_callers = table_of(
    "known_callers",
    KnownCaller,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_known_callers_account"),
    primary_key=("hash",),
)
Index("ix_known_callers_account_id", known_callers.c.account_id, known_callers.c.kind, known_callers.c.expires_at)

_columns = known_callers.c
_this = _columns.hash == bindparam("of_hash")
_of_account = _columns.account_id == bindparam("of_account_id")
_select = Statement(select(known_callers).where(_this, _columns.expires_at > bindparam("now")))
_count_failure = Statement(
    update(known_callers).where(_this).values(one_failure_more(known_callers, bindparam("lock_until")))
)
_admit = Statement(
    update(known_callers)
    .where(_this)
    .values(failures=case((_columns.locked_until <= bindparam("now"), 0), else_=_columns.failures))
    .returning(_columns.locked_until)
)
_remember = Statement(
    lambda insert: (put := insert(known_callers)).on_conflict_do_update(
        index_elements=["hash"], set_={"expires_at": put.excluded.expires_at}
    )
)
_others = known_callers.alias("others")
_newest = (
    select(_others.c.hash)
    .where(_others.c.account_id == bindparam("of_account_id"), _others.c.kind == bindparam("of_kind"))
    .order_by(_others.c.expires_at.desc())
    .limit(bindparam("most"))
)
_forget_oldest = Statement(
    delete(known_callers).where(
        _of_account, _columns.kind == bindparam("of_kind"), _columns.hash.not_in(_newest.scalar_subquery())
    )
)
_retire = Statement(
    update(known_callers)
    .where(_this, _columns.expires_at > bindparam("until"))
    .values(expires_at=bindparam("until"))
)
_forget_all = Statement(delete(known_callers).where(_of_account))


def by_hash(conn: Connection, of_hash: bytes, now: int) -> KnownCaller | None:
    """The known caller with that keyed hash, unless it expired by `now` (steady clock)."""
    row = _select(conn, of_hash=of_hash, now=now).first()
    return KnownCaller(*row) if row else None


def tries(conn: Connection, of_hash: bytes, now: int) -> Tries:
    """Its wrong passwords, at `now` (steady clock); none where it is not there."""
    found = by_hash(conn, of_hash, now)
    return Tries(found.failures, found.locked_until) if found else Tries()


def count_failure(conn: Connection, of_hash: bytes, now: int) -> None:
    """Count a wrong password; the tenth locks this caller, and nobody else, for 30 minutes from `now`."""
    _count_failure(conn, of_hash=of_hash, lock_until=now + LOCK_US)


def admit(conn: Connection, of_hash: bytes, now: int) -> bool | None:
    """The right password was given: False where the caller is locked at `now`, None where it is not there."""
    row = _admit(conn, of_hash=of_hash, now=now).first()
    return None if row is None else bool(row.locked_until <= now)


def remember(conn: Connection, account_id: str, kind: CallerKind, of_hash: bytes, now: int) -> None:
    """Know it from `now` on for `KEPT_US`; one that is known already keeps its failures and its lock."""
    row = KnownCaller(of_hash, account_id, kind, now + KEPT_US[kind])
    _remember(conn, **msgspec.structs.asdict(row))
    _forget_oldest(conn, of_account_id=account_id, of_kind=kind, most=KEPT_MAX)


def retire(conn: Connection, of_hash: bytes, now: int) -> None:
    """Know it no longer than `RETIRED_US` from `now` on: something else took its place."""
    _retire(conn, of_hash=of_hash, until=now + RETIRED_US)


def forget_all(conn: Connection, account_id: str) -> None:
    """Know nobody of an account any longer."""
    _forget_all(conn, of_account_id=account_id)
