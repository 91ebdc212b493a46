"""The one login, by `POST /v1/login` and on our own pages: a password, a second factor, the session that begins.

A wrong password, an unknown address, a lock and a disabled account are one answer after the same work
(docs/decisions/0006, 0038). Only who gives the right password, and is not locked out, learns that a code is
wanted.
"""

import asyncio
from collections.abc import Coroutine
from secrets import token_urlsafe
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, audit, browser_sessions, sessions
from gateway.books import second_factors as second_factor_rows
from gateway.books.accounts import Account
from gateway.books.audit import Act
from gateway.books.engine import Books
from gateway.books.sessions import SessionGrant, SessionKind, SessionRow
from gateway.identity import contacts, second_factors
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.login_tries import LoginCaller, LoginTries, Whence, admit, caller_of, find_caller, remember
from gateway.identity.passwords import Passwords
from gateway.identity.second_factors import OtpRequired
from gateway.identity.tokens import hash_secret
from gateway.policy import DAY_US, HOUR_US, MINUTE_US
from gateway.rate_limits import RateLimits, take
from gateway.refusals import Refusal
from gateway.roles import OWN_SCOPES, STAFF, Role, scopes_of
from schemas.ids import earliest_id, new_id
from schemas.times import now_micros, steady_micros

SESSION_US = 30 * DAY_US
FRESH_US = 10 * MINUTE_US
LOGIN_TOO_OLD = "Give your password along: this login is more than ten minutes old, or an app's."
STAFF_SESSION_US = 12 * HOUR_US  # NIST SP 800-63B §4.2.3; how long one may idle: `sessions.IDLE_MAX_US`

T = TypeVar("T")


class InvalidCredentials(Refusal):
    """The address or the password is wrong, the account is locked or disabled, or there is none."""


class LoginParts(Protocol):
    """What a login takes of a running gateway (`gateway.runtime`)."""

    books: Books
    passwords: Passwords
    login_tries: LoginTries
    rate_limits: RateLimits
    seeded_ids: set[str]
    confirmation_rules: ConfirmationRules
    key: bytes

    def go_on(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run `work` beside the answer."""
        ...


class Begun(msgspec.Struct, frozen=True):
    """A session that has begun. `token`: its refresh token, or the cookie of one in a browser.

    `device`: the new value of the cookie by which the account knows the device.
    """

    session_id: str
    token: str
    device: str
    grant: SessionGrant

    def __repr__(self) -> str:
        return f"Begun({self.session_id})"

    __str__ = __repr__


async def log_in(parts: LoginParts, email: str, password: str, otp: str, whence: Whence) -> Begun:
    """Begin a session by everything at once; an empty `otp` is none.

    Raises `InvalidCredentials`, `OtpRequired`, `PasswordsBusy`, and the problem `rate_limited`.
    """
    caller = await check_password(parts, email, password, whence, otp)
    proved = await check_second_factor(parts, caller, otp)
    return await begin_session(parts, caller, whence, proved=proved)


async def check_password(
    parts: LoginParts, email: str, password: str, whence: Whence, otp: str = ""
) -> LoginCaller:
    """Whose address and password these are; of a known caller, or of one as a stranger.

    A right `otp`, which is not used up here, makes up for a lock. Raises as `log_in` does, but for the code.
    """
    email_key = contacts.email_key(email.strip())
    caller = await parts.books.read(find_caller, parts.key, email_key, whence)
    _spend(parts, caller, email_key)
    return await _checked(parts, caller, password, otp)


async def check_own_password(parts: LoginParts, account_id: str, password: str, whence: Whence) -> None:
    """Whether somebody who is logged in knows their password; tries count as those of a login do.

    Raises `InvalidCredentials`, `PasswordsBusy`, and the problem `rate_limited`.
    """
    take(parts.rate_limits, "login_known", account_id)
    caller = await parts.books.read(caller_of, parts.key, account_id, whence)
    caller = await _checked(parts, caller, password, "")
    if not await parts.books.write(admit, caller, steady_micros()):
        raise InvalidCredentials


async def check_presence(parts: LoginParts, account_id: str, login_id: str, password: str, whence: Whence) -> None:
    """Whether who is logged in changes how one logs in themselves: by their password, or by a fresh login.

    `login_id`: of the session, empty in an app. Raises as `check_own_password` does.
    """
    if password:
        await check_own_password(parts, account_id, password, whence)
    elif not is_fresh(login_id):
        raise InvalidCredentials(LOGIN_TOO_OLD)


def is_fresh(login_id: str) -> bool:
    """Whether a login is recent (OWASP ASVS 5.0, 7.5.1). The ids of sessions tell when they began."""
    return login_id >= earliest_id("ses", steady_micros() - FRESH_US)


async def check_second_factor(parts: LoginParts, caller: LoginCaller, otp: str) -> bool:
    """Use a code of the caller's second factor; False where the account has none.

    Raises `OtpRequired` where there is one and the code is empty, wrong, used, or not taken after ten wrong ones.
    """
    if caller.second_factor is None:
        return False
    if not otp:
        raise OtpRequired
    by, now = caller.codes_counted_by(), steady_micros()
    code = await parts.books.read(second_factors.read_code, parts.key, caller, otp)
    tries = await parts.login_tries.of(by)
    if code.is_right() and (code.recovery_hash or not tries.are_used_up(now)):
        await parts.login_tries.counted(by)
        if await parts.books.write(second_factors.use_code, parts.confirmation_rules, caller, code):
            return True
    if not tries.are_locked(now):
        parts.go_on(parts.login_tries.count(by, "code"))
    raise OtpRequired


async def caller_on(parts: LoginParts, account_id: str, whence: Whence) -> LoginCaller:
    """The caller again, a request after the one with the password. Raises `InvalidCredentials` if it is gone."""
    caller = await parts.books.read(caller_of, parts.key, account_id, whence)
    if caller.account is None:
        raise InvalidCredentials
    return caller


async def begin_session(
    parts: LoginParts, caller: LoginCaller, whence: Whence, *, proved: bool, kind: SessionKind = "login"
) -> Begun:
    """Begin a session of a caller whose password was right; the account knows them from now on.

    `proved`: the second factor was, too, so that a lock of the password is in nobody's way. Raises
    `InvalidCredentials` where the caller had no try left, or the account was changed or switched off meanwhile.
    """
    token, device, now, account = token_urlsafe(32), token_urlsafe(32), now_micros(), _account(caller)
    session = SessionRow(
        id=new_id("ses"),
        account_id=account.id,
        created_at=now,
        kind=kind,
        device=whence.device_label,
        second_factor_at=now if proved else None,
    )
    anew = msgspec.structs.replace(whence, device=device)
    grant = await parts.books.write(_begin, parts.key, caller, anew, session, hash_secret(token))
    return Begun(session.id, token, device, grant)


def lasts_us(role: Role) -> int:
    """How long a session of that role lasts, however much it is used, in microseconds."""
    return STAFF_SESSION_US if role in STAFF else SESSION_US


def needs_second_factor(role: Role, account_id: str, seeded_ids: set[str]) -> bool:
    """Whether an account is of staff, for whom a second factor is mandatory; the demo's own accounts need none."""
    return role in STAFF and account_id not in seeded_ids


def lacks_second_factor(grant: SessionGrant, seeded_ids: set[str]) -> bool:
    """Whether a session has not proved the second factor that its account needs."""
    return grant.second_factor_at is None and needs_second_factor(grant.role, grant.account_id, seeded_ids)


def scopes_granted(grant: SessionGrant) -> frozenset[str]:
    """What a session was granted: all scopes of its account, or those of them that its app was given."""
    scopes = scopes_of(grant.role, grant.extra_scopes, grant.merchant_role)
    return scopes & frozenset(grant.scopes.split()) if grant.scopes else scopes


def scopes_now(grant: SessionGrant, seeded_ids: set[str]) -> frozenset[str]:
    """What of that a session may do now, whichever way it came about.

    Staff have nothing but their own account until the session proved a second factor (PCI DSS 8.4.1, 8.4.2).
    """
    scopes = scopes_granted(grant)
    return scopes & OWN_SCOPES if lacks_second_factor(grant, seeded_ids) else scopes


async def _checked(parts: LoginParts, caller: LoginCaller, password: str, otp: str) -> LoginCaller:
    """All that takes time is done before anything is looked at: whoever waits learns nothing by it."""
    is_right = await _is_right(parts, caller, password)
    by, stranger = caller.counted_by(), msgspec.structs.replace(caller, known=None)
    tries, now = await parts.login_tries.of(by), steady_micros()
    code_counts = await _code_counts(parts, stranger, otp) if otp else False
    if is_right and not tries.are_used_up(now):
        await parts.login_tries.counted(by)
        return caller
    if is_right and code_counts:
        return stranger
    if is_right and otp and caller.second_factor:
        parts.go_on(parts.login_tries.count(stranger.codes_counted_by(), "code"))
    elif is_right or tries.are_locked(now) or caller.account is None:
        parts.go_on(parts.login_tries.note(by))
    else:  # not awaited either: the wait for the disk would tell that the account exists
        parts.go_on(parts.login_tries.count(by, "password"))
    raise InvalidCredentials


async def _is_right(parts: LoginParts, caller: LoginCaller, password: str) -> bool:
    account = caller.account
    stored = account.password_hash if account else None
    customer = account is None or account.role == "customer"
    is_right = await parts.passwords.verify(stored, password, known=caller.known is not None, customer=customer)
    return is_right and account is not None and account.disabled_at is None


async def _code_counts(parts: LoginParts, caller: LoginCaller, otp: str) -> bool:
    code = await parts.books.read(second_factors.read_code, parts.key, caller, otp)
    tries = await parts.login_tries.of(caller.codes_counted_by())
    return code.recovery_hash is not None or (code.step is not None and not tries.are_used_up(steady_micros()))


def _spend(parts: LoginParts, caller: LoginCaller, email_key: str) -> None:
    """Take a login off its limits, before anything is hashed. A flood of strangers is not in a known one's way."""
    if caller.known:
        take(parts.rate_limits, "login_known", caller.known.hash.hex())
        return
    take(parts.rate_limits, "login_email", email_key)
    take(parts.rate_limits, "strangers", "")


def _begin(
    conn: Connection, key: bytes, caller: LoginCaller, whence: Whence, session: SessionRow, token_hash: bytes
) -> SessionGrant:
    """The account is held: who changes its password at this moment ends this session too, or it does not begin."""
    steady, account = steady_micros(), accounts.bare_to_change(conn, session.account_id)
    if account is None or account.password_hash != _account(caller).password_hash:
        raise InvalidCredentials
    if not admit(conn, caller, steady) and session.second_factor_at is None:
        raise InvalidCredentials
    if session.second_factor_at is None and second_factor_rows.active(conn, account.id):
        raise InvalidCredentials  # it was set while this login was on its way, and ended all others
    if session.kind == "browser":
        browser_sessions.start(conn, session, token_hash, steady, lasts_us(account.role))
    else:
        sessions.start(conn, session, token_hash, steady + lasts_us(account.role))
    grant = sessions.granted(conn, session.id)
    if grant is None:
        raise InvalidCredentials
    remember(conn, key, caller, whence, steady)
    audit.record(conn, Act("login", account.id, session.id, {"kind": session.kind}))
    return grant


def _account(caller: LoginCaller) -> Account:
    assert caller.account is not None
    return caller.account
