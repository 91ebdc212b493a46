"""What somebody with the password tries against a second factor; each test fails without one defence."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection
from structlog.contextvars import get_contextvars

from gateway.app import create_app
from gateway.books import second_factors
from gateway.books.accounts import FAILURES_MAX, LOCK_US, Account, add
from gateway.books.second_factors import LOCK_MAX_US, SecondFactorRow
from gateway.identity.totp import DIGITS, WINDOW
from gateway.policy import DAY_US, MINUTE_US
from gateway.settings import GatewaySettings
from tests.gateway.conftest import PASSWORD, Answer, Gateway
from tests.gateway.databases import Databases
from tests.gateway.routes.holder import ELSEWHERE, HOME, WRONG, Holder, PhoneClock, free_limits, stop_clock

SECOND_US = 1_000_000
LOCK_S = LOCK_US / SECOND_US


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    free_limits(monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> PhoneClock:
    return stop_clock(monkeypatch)


@pytest.fixture
async def gateway(gateway_settings: GatewaySettings) -> AsyncIterator[Gateway]:
    app = create_app(gateway_settings)
    async with app.test_app():
        yield Gateway(app)


@pytest.fixture
async def holder(gateway: Gateway, clock: PhoneClock) -> Holder:
    return await Holder(gateway, clock).sign_up()


async def test_a_code_is_not_taken_twice_nor_an_older_one(holder: Holder) -> None:
    assert (await holder.log_in(holder.code())).status == 200
    assert [(await holder.log_in(holder.code(off))).code for off in (0, -1)] == ["otp_required"] * 2
    assert (await holder.log_in(holder.code(1))).status == 200


async def test_of_eight_logins_at_once_with_one_code_one_begins(holder: Holder) -> None:
    answers = await asyncio.gather(*[holder.log_in(holder.code()) for _ in range(8)])
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7


@pytest.mark.postgres
async def test_of_two_gateways_at_once_one_takes_a_code(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, clock: PhoneClock
) -> None:
    settings = databases.settings("postgres", tmp_path_factory.mktemp("two") / "data")
    one, other = create_app(settings), create_app(settings)
    async with one.test_app(), other.test_app():
        here = await Holder(Gateway(one), clock).sign_up()
        there = Holder(Gateway(other), clock)
        there.email = here.email
        for otp in (here.code(), here.recovery_codes[0]):
            answers = await asyncio.gather(*[who.log_in(otp) for who in (here, there) * 4])
            assert [answer.status for answer in answers].count(200) == 1
    databases.drop(settings.database_url)


async def test_a_code_without_the_password_tells_nothing_and_is_not_used(holder: Holder) -> None:
    tried = [
        await holder.log_in(otp, password="wrong") for otp in (holder.code(), WRONG, holder.recovery_codes[0])
    ]
    assert {answer.code for answer in tried} == {"invalid_credentials"}
    assert same(tried)
    assert (await holder.log_in(holder.code())).status == 200
    assert (await holder.log_in(holder.recovery_codes[0])).status == 200


async def test_after_ten_wrong_codes_the_right_one_is_refused(
    holder: Holder, pass_time: Callable[[float], None]
) -> None:
    await holder.guess(FAILURES_MAX)
    assert same([await holder.log_in(otp) for otp in (holder.code(), WRONG)])
    pass_time(LOCK_S)
    assert (await holder.log_in(holder.code())).status == 200


async def test_each_lock_of_codes_is_twice_as_long_until_a_right_one(
    holder: Holder, pass_time: Callable[[float], None]
) -> None:
    await holder.guess(FAILURES_MAX)
    pass_time(LOCK_S)
    await holder.guess(FAILURES_MAX)
    pass_time(LOCK_S)
    assert (await holder.log_in(holder.code())).code == "otp_required"
    pass_time(LOCK_S)
    assert (await holder.log_in(holder.code())).status == 200
    await holder.guess(FAILURES_MAX)
    pass_time(LOCK_S)
    assert (await holder.log_in(holder.code(1))).status == 200


async def test_fifty_wrong_codes_at_once_count_fifty(holder: Holder) -> None:
    for _ in range(2):
        answers = await asyncio.gather(*[holder.log_in(WRONG) for _ in range(25)])
        assert {answer.code for answer in answers} == {"otp_required"}
    assert (await holder.log_in(holder.code())).code == "otp_required"
    assert await holder.gateway.runtime.books.read(locks) == [LOCK_US * 2]


async def test_a_lock_of_codes_survives_a_restart_and_a_clock_that_is_set(
    gateway_settings: GatewaySettings, clock: PhoneClock, set_clock: Callable[[float], None]
) -> None:
    app = create_app(gateway_settings)
    async with app.test_app():
        holder = await Holder(Gateway(app), clock).sign_up()
        await holder.guess(FAILURES_MAX)
    set_clock(3)
    app = create_app(gateway_settings)
    async with app.test_app():
        holder.gateway = Gateway(app)
        assert (await holder.log_in(holder.code())).code == "otp_required"
        assert (await holder.log_in(holder.code(), device=holder.device)).status == 200


async def test_a_known_device_has_ten_wrong_codes_of_its_own(holder: Holder) -> None:
    await holder.guess(FAILURES_MAX)
    assert (await holder.log_in(holder.code(), ip=HOME)).code == "otp_required"  # an address has none of its own
    holder.taken(await holder.log_in(holder.code(), device=holder.device))
    await holder.guess(FAILURES_MAX, device=holder.device)
    assert (await holder.log_in(holder.code(1), device=holder.device)).status == 401


async def test_a_right_code_opens_a_lock_of_the_password_and_a_wrong_one_tells_nothing(holder: Holder) -> None:
    for _ in range(FAILURES_MAX):
        await holder.log_in(password="wrong")
    await holder.counted()
    wrong = [await holder.log_in(None), await holder.log_in(WRONG), await holder.log_in(WRONG, password="wrong")]
    assert {answer.code for answer in wrong} == {"invalid_credentials"}
    assert same(wrong)
    assert (await holder.log_in(holder.code())).status == 200
    assert (await holder.log_in(None, ip="192.0.2.7")).code == "invalid_credentials"  # for this one alone


async def test_a_code_in_a_lock_is_as_much_work_with_the_right_password(
    holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(FAILURES_MAX):
        await holder.log_in(password="wrong")
    await holder.counted()
    read, works = holder.gateway.runtime.books.read, list[list[str]]()

    async def noted(fn: Any, *args: Any, **kwargs: Any) -> Any:
        if "request_id" in get_contextvars():  # what the gateway does all the time is of no request
            works[-1].append(fn.__name__)
        return await read(fn, *args, **kwargs)

    monkeypatch.setattr(holder.gateway.runtime.books, "read", noted)
    for otp, password in [(WRONG, PASSWORD), (WRONG, "wrong"), (holder.code(), "wrong")]:
        works.append([])
        await holder.log_in(otp, password=password)
    assert works == [["find_caller", "_tries", "read_code", "_tries"]] * 3


async def test_in_a_lock_of_the_password_wrong_codes_count_as_well(holder: Holder) -> None:
    for _ in range(FAILURES_MAX):
        await holder.log_in(password="wrong")
    await holder.counted()
    for _ in range(FAILURES_MAX):
        await holder.log_in(WRONG)
    await holder.counted()
    assert (await holder.log_in(holder.code())).code == "invalid_credentials"


async def test_a_recovery_code_is_taken_once_also_at_once_and_in_any_lock(holder: Holder) -> None:
    await holder.guess(FAILURES_MAX)
    for code in holder.recovery_codes[:2]:
        answers = await asyncio.gather(*[holder.log_in(code) for _ in range(4)])
        assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]
    me = (await holder.gateway.ask("GET", "/v1/me", who=holder.token)).json
    assert me["second_factor"]["recovery_codes_left"] == 8


async def test_a_recovery_code_of_another_account_is_worth_nothing(
    gateway: Gateway, holder: Holder, clock: PhoneClock
) -> None:
    other = await Holder(gateway, clock).sign_up()
    assert (await holder.log_in(other.recovery_codes[0])).code == "otp_required"
    assert (await other.log_in(other.recovery_codes[0])).status == 200


async def test_a_right_code_makes_a_device_and_an_address_known(holder: Holder) -> None:
    holder.taken(await holder.log_in(holder.code(), ip=ELSEWHERE))
    for _ in range(FAILURES_MAX):
        await holder.log_in(password="wrong", ip="192.0.2.7")
    await holder.counted()
    assert (await holder.log_in(None, ip=ELSEWHERE)).code == "otp_required"  # not the lock's answer
    assert (await holder.log_in(None, ip="192.0.2.7")).code == "invalid_credentials"


def test_a_guesser_has_sixty_tries_on_the_first_day_and_twenty_on_each_later_one(conn: Connection) -> None:
    add(conn, Account(id="acc", role="customer", name="A", created_at=1, updated_at=1))
    row = SecondFactorRow(account_id="acc", sealed=b"", created_at=1, confirmed_at=1)
    second_factors.put(conn, msgspec.structs.replace(row, confirmed_at=None), [])
    second_factors.confirm(conn, row, 1, 1)
    days = [tries_on(conn, day) for day in range(4)]
    assert days[0] == 60
    assert max(days[1:]) <= 20
    assert LOCK_MAX_US == 16 * 60 * MINUTE_US
    odds = days[0] * (2 * WINDOW + 1) / 10**DIGITS
    assert odds < 1 / 5_000


def tries_on(conn: Connection, day: int) -> int:
    """How many codes are tried on a day by somebody who never waits."""
    tried = 0
    for now in range(day * DAY_US, (day + 1) * DAY_US, MINUTE_US):
        while not second_factors.tries(conn, "acc").are_locked(now):
            second_factors.count_failure(conn, "acc", now)
            tried += 1
    return tried


def locks(conn: Connection) -> list[int]:
    return [row.next_lock_us for row in conn.exec_driver_sql("SELECT next_lock_us FROM second_factors")]


def same(answers: list[Answer]) -> bool:
    """Whether nothing but what names each answer tells them apart."""
    ids = ("request_id",)
    bodies = [{name: value for name, value in answer.json.items() if name not in ids} for answer in answers]
    heads = [sorted(name for name, _ in answer.headers.items()) for answer in answers]
    return all(body == bodies[0] for body in bodies) and all(head == heads[0] for head in heads)
