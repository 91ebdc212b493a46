"""Second factors: an account's sealed TOTP secret, which of its codes were used, and its recovery codes.

Wrong codes of callers whom the account does not know by a device are counted here; each lock lasts twice as long
as the one before, up to `LOCK_MAX_US`: whoever comes so far knows the password.
"""

import msgspec
from sqlalchemy import (
    Connection,
    ForeignKeyConstraint,
    Index,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from gateway.books.accounts import FAILURES_MAX, LOCK_US, Tries, one_failure_more
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Int64, Micros, struct_of, table_of

LOCK_MAX_US = 32 * LOCK_US  # 16 hours


class SecondFactorRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `second_factors`; times by the wall clock, `locked_until` by the steady one, `next_lock_us` lasts.

    `sealed`: see `gateway.identity.totp`. `confirmed_at`: null until a first code was right; until then it counts
    for nothing. `used_step`: the newest time step whose code was taken.
    """

    account_id: str
    sealed: bytes
    created_at: Micros
    confirmed_at: Micros | None = None
    used_step: Int64 = 0
    failures: Int32 = 0
    locked_until: Micros = 0
    next_lock_us: Int64 = LOCK_US


class RecoveryCodeRow(msgspec.Struct, frozen=True):
    """A row of `recovery_codes`. `hash`: keyed, and bound to the account. `used_at`: by the wall clock."""

    hash: bytes
    account_id: str
    used_at: Micros | None = None


second_factors = table_of(
    "second_factors",
    SecondFactorRow,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_second_factors_account"),
    primary_key=("account_id",),
)
recovery_codes = table_of(
    "recovery_codes",
    RecoveryCodeRow,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_recovery_codes_account"),
    primary_key=("hash",),
)
Index("ix_recovery_codes_account_id", recovery_codes.c.account_id)

_c, _codes = second_factors.c, recovery_codes.c
_of_account = _c.account_id == bindparam("of_account_id")
_is_active = _c.confirmed_at.is_not(None)
_codes_of_account = _codes.account_id == bindparam("of_account_id")
_by_account = Statement(select(second_factors).where(_c.account_id == bindparam("account_id")))
_put = Statement(
    lambda insert: (put := insert(second_factors)).on_conflict_do_update(
        index_elements=["account_id"],
        set_={name: put.excluded[name] for name in SecondFactorRow.__struct_fields__ if name != "account_id"},
        where=_c.confirmed_at.is_(None),
    )
)
_confirm = Statement(
    update(second_factors)
    .where(_of_account, _c.confirmed_at.is_(None), _c.sealed == bindparam("as_sealed"))
    .values(confirmed_at=bindparam("now"), used_step=bindparam("step"))
)
_take_step = Statement(
    update(second_factors)
    .where(_of_account, _is_active, _c.used_step < bindparam("step"))
    .values(used_step=bindparam("step"))
)
_tries = Statement(select(_c.failures, _c.locked_until).where(_c.account_id == bindparam("account_id")))
_locks_again = (_c.failures + 1 >= FAILURES_MAX) & (_c.next_lock_us < LOCK_MAX_US)
_count_failure = Statement(
    update(second_factors)
    .where(_of_account, _is_active, _c.locked_until <= bindparam("now"))
    .values(
        one_failure_more(second_factors, _c.next_lock_us + bindparam("now"))
        | {"next_lock_us": case((_locks_again, _c.next_lock_us * 2), else_=_c.next_lock_us)}
    )
    .returning(_c.locked_until)
)
_forget_failures = Statement(
    update(second_factors)
    .where(_of_account, _c.locked_until <= bindparam("now"))
    .values(failures=0, next_lock_us=LOCK_US)
)
_forget = Statement(delete(second_factors).where(_of_account))
_insert_code = Statement(insert(recovery_codes))
_forget_codes = Statement(delete(recovery_codes).where(_codes_of_account))
_unused = Statement(select(_codes.account_id).where(_codes.hash == bindparam("of_hash"), _codes.used_at.is_(None)))
_use_code = Statement(
    update(recovery_codes)
    .where(_codes.hash == bindparam("of_hash"), _codes.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_count_unused = Statement(select(func.count()).where(_codes_of_account, _codes.used_at.is_(None)))


def by_account(conn: Connection, account_id: str) -> SecondFactorRow | None:
    """The second factor of an account, confirmed or not."""
    row = _by_account(conn, account_id=account_id).first()
    return struct_of(SecondFactorRow, row) if row else None


def active(conn: Connection, account_id: str) -> SecondFactorRow | None:
    """The second factor that an account logs in with; None where it has none, or has not confirmed it."""
    found = by_account(conn, account_id)
    return found if found and found.confirmed_at is not None else None


def put(conn: Connection, row: SecondFactorRow, code_hashes: list[bytes]) -> bool:
    """Write one that is to be confirmed, with its recovery codes; False where there is a confirmed one."""
    if not _put(conn, **msgspec.structs.asdict(row)).rowcount:
        return False
    _forget_codes(conn, of_account_id=row.account_id)
    codes = [RecoveryCodeRow(code_hash, row.account_id) for code_hash in code_hashes]
    _insert_code.many(conn, map(msgspec.structs.asdict, codes))
    return True


def confirm(conn: Connection, row: SecondFactorRow, step: int, now: int) -> bool:
    """It counts from `now` on, its code of `step` is used; False where it was confirmed or changed meanwhile."""
    found = _confirm(conn, of_account_id=row.account_id, as_sealed=row.sealed, step=step, now=now)
    return found.rowcount == 1


def take_step(conn: Connection, account_id: str, step: int) -> bool:
    """Use the code of a step: False where it, or a later one, was used. One UPDATE, so no code is taken twice."""
    return _take_step(conn, of_account_id=account_id, step=step).rowcount == 1


def tries(conn: Connection, account_id: str) -> Tries:
    """The wrong codes; none where there is no second factor."""
    row = _tries(conn, account_id=account_id).first()
    return Tries(*row) if row else Tries()


def count_failure(conn: Connection, account_id: str, now: int) -> bool:
    """Count a wrong code; the tenth locks, from `now` (steady clock) on: True. During a lock none counts."""
    locked_until = _count_failure(conn, of_account_id=account_id, now=now).scalar()
    return locked_until is not None and locked_until > now


def forget_failures(conn: Connection, account_id: str, now: int) -> bool:
    """A right code was given: False where codes are locked at `now` (steady clock)."""
    return _forget_failures(conn, of_account_id=account_id, now=now).rowcount == 1


def owner_of_unused(conn: Connection, code_hash: bytes) -> str | None:
    """Whose recovery code it is; None where it is nobody's, or was used."""
    found: str | None = _unused(conn, of_hash=code_hash).scalar()
    return found


def use_code(conn: Connection, code_hash: bytes, now: int) -> bool:
    """Use a recovery code at `now` (wall clock): False where it was used."""
    return _use_code(conn, of_hash=code_hash, now=now).rowcount == 1


def unused_codes(conn: Connection, account_id: str) -> int:
    """How many recovery codes are left."""
    return int(_count_unused(conn, of_account_id=account_id).scalar())


def state(conn: Connection, account_id: str) -> tuple[bool, int]:
    """Whether an account has a second factor, and how many recovery codes are left of it."""
    is_set = active(conn, account_id) is not None
    return is_set, unused_codes(conn, account_id) if is_set else 0


def forget(conn: Connection, account_id: str) -> bool:
    """An account has no second factor any more; False where it had none."""
    _forget_codes(conn, of_account_id=account_id)
    return _forget(conn, of_account_id=account_id).rowcount == 1
