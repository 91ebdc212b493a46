"""Second factors: setting one up, and telling whether a code is right. `logins` says no to a login.

An account's own: a code of an authenticator app (`totp`), or one of the ten recovery codes that were shown when it
was set up. The books keep the secret sealed and the recovery codes hashed (docs/decisions/0044).
"""

import secrets
from collections.abc import Mapping
from typing import Literal

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, audit, second_factors, sessions
from gateway.books.accounts import AccountGone
from gateway.books.audit import Act
from gateway.books.second_factors import SecondFactorRow
from gateway.identity import totp
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.letters import tell_of_change
from gateway.identity.login_tries import LoginCaller, admit_code
from gateway.keyed_hashes import keyed_hash
from gateway.refusals import Refusal
from schemas.ids import ALPHABET
from schemas.times import now_micros, steady_micros

RECOVERY_CODES = 10
GROUPS, GROUP = 4, 4  # sixteen letters of five bits: nobody guesses one, however often they try
MISREAD = str.maketrans("ilo", "110")  # Crockford's base 32: what people take for 1 and 0


class OtpRequired(Refusal):
    """A code of the second factor is needed, or the one that came is wrong."""


class SecondFactorIsSet(Refusal):
    """There is a second factor already, or none where one is needed."""


class NewSecondFactor(msgspec.Struct, frozen=True):
    """What an account is shown once."""

    secret: bytes
    recovery_codes: list[str]

    def __repr__(self) -> str:
        return "NewSecondFactor(…)"

    __str__ = __repr__


class GivenCode(msgspec.Struct, frozen=True):
    """What a code turned out to be: of a time `step`, or a recovery code with this hash; neither: it is wrong."""

    step: int | None = None
    recovery_hash: bytes | None = None

    def is_right(self) -> bool:
        """Whether it is either."""
        return self.step is not None or self.recovery_hash is not None


def new_second_factor() -> NewSecondFactor:
    """A random one."""
    return NewSecondFactor(totp.new_secret(), [_new_recovery_code() for _ in range(RECOVERY_CODES)])


def set_up(conn: Connection, key: bytes, account_id: str, new: NewSecondFactor) -> str:
    """Write a second factor that counts once it is confirmed; its account's e-mail address.

    One that was set up before and not confirmed is forgotten. Raises `AccountGone`, and `SecondFactorIsSet` where
    there is a confirmed one.
    """
    account = accounts.to_change(conn, account_id)
    if account is None:
        raise AccountGone
    row = SecondFactorRow(
        account_id=account_id, sealed=totp.seal(key, account_id, new.secret), created_at=now_micros()
    )
    hashes = [recovery_hash(key, account_id, code) for code in new.recovery_codes]
    if not second_factors.put(conn, row, hashes):
        raise SecondFactorIsSet("There is a second factor. Remove it first, with a code of it.")
    return account.email or ""


def confirm(conn: Connection, rules: ConfirmationRules, account_id: str, session_id: str, otp: str) -> None:
    """The first code came: from now on the second factor counts, and this session has proved it.

    Every other session ends, and the owner is told. Raises `SecondFactorIsSet` where none waits, `OtpRequired`
    for a wrong code.
    """
    accounts.to_change(conn, account_id)  # a login that begins meanwhile is seen by `revoke_others`, or sees this
    row = second_factors.by_account(conn, account_id)
    if row is None or row.confirmed_at is not None:
        raise SecondFactorIsSet("No second factor waits to be confirmed.")
    step = _step_of(rules.key, row, otp)
    if step is None or not second_factors.confirm(conn, row, step, now_micros()):
        raise OtpRequired
    sessions.prove(conn, session_id, now_micros())
    sessions.revoke_others(conn, account_id, session_id)
    _record(conn, rules, account_id, "second_factor_set")


def remove(conn: Connection, rules: ConfirmationRules, account_id: str, session_id: str) -> None:
    """An account has no second factor any more, and no session has proved one; every other session ends.

    The owner is told. Raises `SecondFactorIsSet` where it had none.
    """
    if not second_factors.forget(conn, account_id):
        raise SecondFactorIsSet("There is no second factor.")
    sessions.prove(conn, session_id, None)
    sessions.revoke_others(conn, account_id, session_id)
    _record(conn, rules, account_id, "second_factor_removed")


def read_code(conn: Connection, key: bytes, caller: LoginCaller, otp: str) -> GivenCode:
    """What a code is to the account of a caller. Nothing is used, and as much is looked up where there is none."""
    row, given = caller.second_factor, _plain(otp)
    hashed = recovery_hash(key, caller.account_id(), given)
    is_recovery = second_factors.owner_of_unused(conn, hashed) is not None
    if row is None:
        return GivenCode()
    return GivenCode(_step_of(key, row, given), hashed if is_recovery else None)


def use_code(conn: Connection, rules: ConfirmationRules, caller: LoginCaller, code: GivenCode) -> bool:
    """Use a right code, which nobody does a second time: False where it was used, or none is taken at this moment.

    A recovery code is taken at any moment, for nobody guesses one, and its owner is told.
    """
    account_id = caller.account_id()
    if code.recovery_hash is not None:
        return _use_recovery_code(conn, rules, account_id, code.recovery_hash)
    if code.step is None or not second_factors.take_step(conn, account_id, code.step):
        return False
    return admit_code(conn, caller, steady_micros())


def recovery_hash(key: bytes, account_id: str, code: str) -> bytes:
    """What the books keep of a recovery code."""
    return keyed_hash(key, "recovery code", account_id, _plain(code).translate(MISREAD))


def _use_recovery_code(conn: Connection, rules: ConfirmationRules, account_id: str, code_hash: bytes) -> bool:
    if not second_factors.use_code(conn, code_hash, now_micros()):
        return False
    left = second_factors.unused_codes(conn, account_id)
    _record(conn, rules, account_id, "recovery_code_used", {"left": str(left)})
    return True


def _record(
    conn: Connection,
    rules: ConfirmationRules,
    account_id: str,
    kind: Literal["second_factor_set", "second_factor_removed", "recovery_code_used"],
    detail: Mapping[str, str] = {},
) -> None:
    audit.record(conn, Act(kind, account_id, account_id, detail))
    account = accounts.by_id(conn, account_id)
    if account is not None:
        tell_of_change(conn, rules, account, kind)


def _step_of(key: bytes, row: SecondFactorRow, otp: str) -> int | None:
    secret = totp.unseal(key, row.account_id, row.sealed)
    return None if secret is None else totp.step_of(secret, _plain(otp), now_micros(), row.used_step)


def _plain(otp: str) -> str:
    """A code without what people type between its parts."""
    return "".join(otp.split()).replace("-", "").lower()


def _new_recovery_code() -> str:
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))
