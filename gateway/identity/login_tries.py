"""Who logs in, as the account knows them, and how many wrong passwords they have left (docs/decisions/0038).

A caller is known by the cookie of a device or by the network of their address, and then has ten tries of their
own. All others share the ten of the account: guessing at it locks nobody out whom it knows (PCI DSS 8.3.4).
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, known_callers
from gateway.books.accounts import FAILURES_MAX, Account, Tries
from gateway.books.engine import Books
from gateway.books.known_callers import KEPT_US, KnownCaller
from gateway.keyed_hashes import keyed_hash
from gateway.policy import SECOND_US
from schemas.times import steady_micros

COOKIE = "sluice_device"
COOKIE_AGE_S = KEPT_US["device"] // SECOND_US


class LoginCaller(msgspec.Struct, frozen=True):
    """Who asks to log in. `account`: None where there is none; `known`: by what it knows the caller."""

    account: Account | None
    known: KnownCaller | None = None

    def cell(self) -> str | bytes:
        """By what their tries are counted."""
        if self.known:
            return self.known.hash
        return self.account.id if self.account else ""


class Whence(msgspec.Struct, frozen=True):
    """Where a login comes from: the value of the device's cookie (empty: none), and the network of its address."""

    device: str
    network: str


def find_caller(conn: Connection, key: bytes, email_key: str, whence: Whence) -> LoginCaller:
    """The caller of a login, by the device before the address. `key` makes the hashes.

    Where there is no account as much is looked up as where there is one.
    """
    account, now = accounts.by_email(conn, email_key), steady_micros()
    by_device = known_callers.by_hash(conn, device_hash(key, account, whence.device), now)
    by_address = known_callers.by_hash(conn, address_hash(key, account, whence.network), now)
    return LoginCaller(account, by_device or by_address)


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

    def __init__(self, books: Books) -> None:
        self._books = books
        self._underway: dict[str | bytes, set[asyncio.Future[None]]] = {}

    async def of(self, caller: LoginCaller) -> Tries:
        """The tries of a caller, with every wrong one before this moment."""
        underway = set(self._underway.get(caller.cell(), ()))
        found = await self._books.read(_tries, caller, steady_micros())
        if underway and found.failures + len(underway) >= FAILURES_MAX:
            await self.counted(caller)  # one that has just been counted stands on both sides
            return await self._books.read(_tries, caller, steady_micros())
        return Tries(found.failures + len(underway), found.locked_until)

    async def counted(self, caller: LoginCaller) -> None:
        """Return once the books have every wrong one before this moment: a right one must not overtake them."""
        if underway := set(self._underway.get(caller.cell(), ())):
            await asyncio.wait(underway)

    def count(self, caller: LoginCaller) -> Coroutine[Any, Any, None]:
        """Count a wrong password at once; what is returned writes it to the books, and has to be run."""
        counted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._underway.setdefault(caller.cell(), set()).add(counted)
        return self._write(caller, counted)

    async def _write(self, caller: LoginCaller, counted: "asyncio.Future[None]") -> None:
        try:
            await self._books.write(_count, caller, steady_micros())
        finally:
            counted.set_result(None)
            underway = self._underway[caller.cell()]
            underway.discard(counted)
            if not underway:
                del self._underway[caller.cell()]


def _tries(conn: Connection, caller: LoginCaller, now: int) -> Tries:
    if caller.known:
        return known_callers.tries(conn, caller.known.hash, now)
    return accounts.tries(conn, caller.account.id if caller.account else "")


def _count(conn: Connection, caller: LoginCaller, now: int) -> None:
    if caller.known:
        known_callers.count_failure(conn, caller.known.hash, now)
    elif caller.account:
        accounts.count_failure(conn, caller.account.id, now)
