"""A right code is taken in one transaction: where a try is left, once, and by its own account."""

import os
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from connectors.settings import ChannelSettings
from gateway.books import accounts, known_callers, second_factors
from gateway.books.accounts import FAILURES_MAX, Account
from gateway.books.known_callers import KnownCaller
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.login_tries import LoginCaller
from gateway.identity.second_factors import (
    GivenCode,
    NewSecondFactor,
    new_second_factor,
    read_code,
    recovery_hash,
    set_up,
    use_code,
)
from gateway.identity.totp import STEP_US, code_at
from schemas.times import now_micros, steady_micros

KEY = os.urandom(32)
CHANNELS = ChannelSettings()
RULES = ConfirmationRules(KEY, CHANNELS.limits(), CHANNELS, "http://localhost:8080")
STEP = now_micros() // STEP_US


@pytest.fixture
def new() -> NewSecondFactor:
    return new_second_factor()


def stranger(conn: Connection, new: NewSecondFactor) -> LoginCaller:
    """A stranger who says to be the owner of an account with a second factor."""
    account = Account(id="acc", role="customer", name="A", created_at=1, updated_at=1)
    accounts.add(conn, account)
    set_up(conn, KEY, account.id, new)
    row = second_factors.by_account(conn, account.id)
    assert row is not None
    second_factors.confirm(conn, row, STEP - 1, 1)
    return LoginCaller(account, second_factor=second_factors.active(conn, account.id))


def on_device(conn: Connection, caller: LoginCaller) -> LoginCaller:
    """The same person on a device that the account knows."""
    known_callers.remember(conn, caller.account_id(), "device", b"device", steady_micros())
    return LoginCaller(caller.account, KnownCaller(b"device", "acc", "device", 1), caller.second_factor)


def lock_strangers(conn: Connection) -> None:
    second_factors.count_failure(conn, "acc", steady_micros())


def lock_device(conn: Connection) -> None:
    known_callers.count_failure(conn, b"device", steady_micros())


@pytest.mark.parametrize(("fail", "expected"), [(lock_strangers, [False, True]), (lock_device, [True, False])])
def test_a_lock_counts_in_the_transaction_that_takes_a_code(
    conn: Connection, new: NewSecondFactor, fail: Callable[[Connection], None], expected: list[bool]
) -> None:
    caller = stranger(conn, new)
    known = on_device(conn, caller)
    for _ in range(FAILURES_MAX):
        fail(conn)
    taken = [use_code(conn, RULES, who, GivenCode(step=STEP + n)) for n, who in enumerate((caller, known))]
    assert taken == expected


def test_a_code_is_what_it_is_once(conn: Connection, new: NewSecondFactor) -> None:
    caller = stranger(conn, new)
    code = read_code(conn, KEY, caller, code_at(new.secret, now_micros() // STEP_US))
    assert code.is_right()
    assert [use_code(conn, RULES, caller, code) for _ in range(2)] == [True, False]
    recovery = read_code(conn, KEY, caller, new.recovery_codes[0])
    assert recovery == GivenCode(None, recovery_hash(KEY, "acc", new.recovery_codes[0]))
    assert [use_code(conn, RULES, caller, recovery) for _ in range(2)] == [True, False]
    assert second_factors.unused_codes(conn, "acc") == 9


def test_another_key_opens_nothing(conn: Connection, new: NewSecondFactor) -> None:
    caller = stranger(conn, new)
    for otp in (code_at(new.secret, now_micros() // STEP_US), new.recovery_codes[0]):
        assert not read_code(conn, os.urandom(32), caller, otp).is_right()


def test_nothing_is_told_of_what_is_shown_once(new: NewSecondFactor) -> None:
    assert repr(new) == str(new) == "NewSecondFactor(…)"
