"""Who logs in, as the account knows them, and how many wrong passwords and codes they have left.

A caller is known by the cookie of a device or by the network of their address, and then has ten tries of their
own. All others share the ten of the account: guessing at it locks nobody out whom it knows (PCI DSS 8.3.4,
docs/decisions/0038). Wrong codes of a second factor count with a known device; those of all others have a count of
their own (docs/decisions/0044).
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, assert_never

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, audit, known_callers, second_factors
from gateway.books.accounts import FAILURES_MAX, Account, Tries
from gateway.books.audit import Act
from gateway.books.engine import Books
from gateway.books.known_callers import KEPT_US, KnownCaller
from gateway.books.second_factors import SecondFactorRow
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.letters import tell_of_change
from gateway.keyed_hashes import keyed_hash
from gateway.policy import SECOND_US
from schemas.times import steady_micros

COOKIE = "sluice_device"
COOKIE_AGE_S = KEPT_US["device"] // SECOND_US


class KnownTries(msgspec.Struct, frozen=True):
    """The tries of a known caller."""

    account_id: str
    hash: bytes


class StrangersTries(msgspec.Struct, frozen=True):
    """The wrong passwords of all whom an account does not know; empty where there is no account."""

    account_id: str


class CodeTries(msgspec.Struct, frozen=True):
    """The wrong codes of all who come without a known device; empty where there is no account."""

    account_id: str


Counted = KnownTries | StrangersTries | CodeTries
WrongKind = Literal["password", "code"]


class LoginCaller(msgspec.Struct, frozen=True):
    """Who asks to log in. `account`: None where there is none; `known`: by what it knows the caller.

    `second_factor`: the one that the account logs in with.
    """

    account: Account | None
    known: KnownCaller | None = None
    second_factor: SecondFactorRow | None = None

    def account_id(self) -> str:
        """The account's id; empty where there is none."""
        return self.account.id if self.account else ""

    def counted_by(self) -> Counted:
        """By what their wrong passwords are counted."""
        return KnownTries(self.account_id(), self.known.hash) if self.known else StrangersTries(self.account_id())

    def codes_counted_by(self) -> Counted:
        """By what their wrong codes are counted."""
        if self.known and self.known.kind == "device":
            return KnownTries(self.account_id(), self.known.hash)
        return CodeTries(self.account_id())


class Whence(msgspec.Struct, frozen=True):
    """Where a login comes from: the value of the device's cookie (empty: none), and the network of its address.

    `device_label`: as `sessions` shows it.
    """

    device: str
    network: str
    device_label: str = ""


def find_caller(conn: Connection, key: bytes, email_key: str, whence: Whence) -> LoginCaller:
    """The caller of a login, by the device before the address. `key` makes the hashes.

    Where there is no account as much is looked up as where there is one.
    """
    return _caller(conn, key, accounts.bare_by_email(conn, email_key), whence)


def caller_of(conn: Connection, key: bytes, account_id: str, whence: Whence) -> LoginCaller:
    """The caller who says to be the owner of an account."""
    return _caller(conn, key, accounts.bare_by_id(conn, account_id), whence)


def _caller(conn: Connection, key: bytes, account: Account | None, whence: Whence) -> LoginCaller:
    now = steady_micros()
    by_device = known_callers.by_hash(conn, device_hash(key, account, whence.device), now)
    by_address = known_callers.by_hash(conn, address_hash(key, account, whence.network), now)
    second_factor = second_factors.active(conn, account.id if account else "")
    return LoginCaller(account, by_device or by_address, second_factor)


def device_hash(key: bytes, account: Account | None, value: str) -> bytes:
    """What the books keep of a device's cookie. With the password it ends: another one makes another hash."""
    account_id, password_hash = (account.id, account.password_hash or "") if account else ("", "")
    return keyed_hash(key, "known device", account_id, password_hash, value)


def address_hash(key: bytes, account: Account | None, network: str) -> bytes:
    """What the books keep of a network that an account's owner logged in from."""
    return keyed_hash(key, "known address", account.id if account else "", network)


def admit(conn: Connection, caller: LoginCaller, now: int) -> bool:
    """The right password was given: whether the caller had a try left, in the transaction that begins the session.

    Every wrong password before it is counted there. `now`: steady clock.
    """
    assert caller.account is not None
    if caller.known:
        had_one = known_callers.admit(conn, caller.known.hash, now)
        if had_one is not None:
            return had_one
    return accounts.forget_failures(conn, caller.account.id, now)


def admit_code(conn: Connection, caller: LoginCaller, now: int) -> bool:
    """Whether, for a right code, the caller had a try left, in the transaction that uses it; `now` as above."""
    by = caller.codes_counted_by()
    if isinstance(by, KnownTries):
        return known_callers.admit(conn, by.hash, now) is not False
    return second_factors.forget_failures(conn, by.account_id, now)


def remember(conn: Connection, key: bytes, caller: LoginCaller, whence: Whence, now: int) -> None:
    """Know the device by its new cookie, `whence.device`, and the network, from `now` (steady clock) on.

    The old cookie is known for a moment longer: whoever never got the new one comes with it again.
    """
    account = caller.account
    assert account is not None
    if caller.known and caller.known.kind == "device":
        known_callers.retire(conn, caller.known.hash, now)
    known_callers.remember(conn, account.id, "device", device_hash(key, account, whence.device), now)
    if whence.network:
        known_callers.remember(conn, account.id, "address", address_hash(key, account, whence.network), now)


class LoginTries:
    """The tries of all callers: those in the books, and the wrong ones that are on their way there.

    No answer waits for the books to count, which would tell that there is an account; so whoever comes next must
    see what is not counted yet.
    """

    def __init__(self, books: Books, rules: ConfirmationRules) -> None:
        self._books, self._rules = books, rules
        self._underway: dict[Counted, set[asyncio.Future[None]]] = {}

    async def of(self, by: Counted) -> Tries:
        """The tries so far, with every wrong one before this moment."""
        underway = set(self._underway.get(by, ()))
        found = await self._books.read(_tries, by)
        if underway and found.failures + len(underway) >= FAILURES_MAX:
            await self.counted(by)  # one that has just been counted stands on both sides
            return await self._books.read(_tries, by)
        return Tries(found.failures + len(underway), found.locked_until)

    async def counted(self, by: Counted) -> None:
        """Return once the books have every wrong one before this moment: a right one must not overtake them."""
        if underway := set(self._underway.get(by, ())):
            await asyncio.wait(underway)

    def count(self, by: Counted, what: WrongKind) -> Coroutine[Any, Any, None]:
        """Count a wrong one at once; what is returned writes it to the books, and has to be run."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._underway.setdefault(by, set()).add(written)
        return self._write(by, what, written)

    async def note(self, by: Counted) -> None:
        """Write a refused login down that counts nowhere: during a lock, or where there is no account."""
        await self._books.write(_note, by, "lock" if by.account_id else "address")

    async def _write(self, by: Counted, what: WrongKind, written: "asyncio.Future[None]") -> None:
        try:
            await self._books.write(_count, self._rules, by, what)
        finally:
            written.set_result(None)
            underway = self._underway[by]
            underway.discard(written)
            if not underway:
                del self._underway[by]


def _tries(conn: Connection, by: Counted) -> Tries:
    match by:
        case KnownTries():
            return known_callers.tries(conn, by.hash, steady_micros())
        case StrangersTries():
            return accounts.tries(conn, by.account_id)
        case CodeTries():
            return second_factors.tries(conn, by.account_id)
        case _:
            assert_never(by)


def _count(conn: Connection, rules: ConfirmationRules, by: Counted, what: WrongKind) -> None:
    _note(conn, by, what)
    match by:
        case KnownTries():
            known_callers.count_failure(conn, by.hash, steady_micros())
        case StrangersTries():
            accounts.count_failure(conn, by.account_id, steady_micros())
        case CodeTries():
            _count_code(conn, rules, by.account_id)
        case _:
            assert_never(by)


def _note(conn: Connection, by: Counted, what: WrongKind | Literal["lock", "address"]) -> None:
    """All invalid attempts are audited (PCI DSS 10.2.1.4), but those beyond `RefusalBudget`.

    Of one during a lock nothing tells whether the password was right.
    """
    audit.record(conn, Act("login_refused", "", by.account_id, {"wrong": what}))


def _count_code(conn: Connection, rules: ConfirmationRules, account_id: str) -> None:
    """Whoever comes to the tenth wrong code has the password: the owner is told."""
    is_locked = second_factors.count_failure(conn, account_id, steady_micros())
    account = accounts.by_id(conn, account_id) if is_locked else None
    if account is not None:
        tell_of_change(conn, rules, account, "wrong_codes")
