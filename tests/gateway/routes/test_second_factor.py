"""A second factor: set up, asked for at each login, removed; and what staff may do without one."""

from collections.abc import Callable

import pytest
import pytest_asyncio
from sqlalchemy import Connection

from gateway.books import sessions
from gateway.books.accounts import FAILURES_MAX
from gateway.books.persons import lookup
from gateway.books.sessions import SessionRow
from schemas.ids import new_id
from schemas.times import steady_micros
from tests.gateway.conftest import PASSWORD, Gateway
from tests.gateway.routes.holder import HOME, WRONG, Holder, PhoneClock, free_limits, stop_clock

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    free_limits(monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> PhoneClock:
    return stop_clock(monkeypatch)


@pytest_asyncio.fixture(loop_scope="module")
async def holder(gateway: Gateway, clock: PhoneClock) -> Holder:
    return await Holder(gateway, clock).sign_up()


async def test_a_second_factor_counts_once_its_first_code_came(gateway: Gateway, clock: PhoneClock) -> None:
    holder = Holder(gateway, clock)
    holder.token = await gateway.sign_up(holder.email)
    for _ in range(2):  # a second try takes the place of the first
        assert (await holder.set_up()).status == 200
    assert len(set(holder.recovery_codes)) == 10
    assert (await holder.log_in()).status == 200
    refused = await holder.confirm(WRONG)
    assert (refused.status, refused.code) == (401, "otp_required")
    assert (await holder.confirm(holder.recovery_codes[0])).code == "otp_required"
    assert (await holder.confirm(holder.code())).status == 204
    assert (await holder.confirm(holder.code(1))).code == "wrong_state"
    assert (await holder.set_up()).code == "wrong_state"
    assert [(await holder.log_in(otp)).code for otp in (None, "", WRONG)] == ["otp_required"] * 3
    assert (await holder.log_in(holder.code(1))).status == 200


async def test_codes_are_read_with_what_people_put_between_their_digits(holder: Holder) -> None:
    code, recovery = holder.code(), holder.recovery_codes[0]
    assert (await holder.log_in(f" {code[:3]} {code[3:]} ")).status == 200
    assert (
        await holder.log_in(recovery.upper().replace("-", " ").replace("0", "O").replace("1", "l"))
    ).status == 200


async def test_setting_one_up_ends_every_other_session(gateway: Gateway, clock: PhoneClock) -> None:
    holder = Holder(gateway, clock)
    other = await gateway.sign_up(holder.email)
    holder.taken(await holder.log_in(ip=HOME))
    await holder.set_up()
    await holder.confirm(holder.code())
    assert await holder.status() == 200
    assert (await gateway.ask("GET", "/v1/me", who=other)).status == 401


async def test_one_is_removed_with_a_code_of_it(holder: Holder) -> None:
    mine = holder.token
    holder.taken(await holder.log_in(holder.code()))
    for otp, code in [("", "otp_required"), (WRONG, "otp_required"), (holder.code(), "otp_required")]:
        answer = await holder.gateway.ask("DELETE", "/v1/me/totp", {"otp": otp}, holder.token)
        assert answer.code == code
    removed = await holder.gateway.ask("DELETE", "/v1/me/totp", {"otp": holder.code(1)}, holder.token)
    assert removed.status == 204
    assert (await holder.gateway.ask("GET", "/v1/me", who=mine)).status == 401
    assert (await holder.log_in()).status == 200
    again = await holder.gateway.ask("DELETE", "/v1/me/totp", {"otp": holder.code(1)}, holder.token)
    assert again.code == "wrong_state"


async def test_a_session_guesses_no_more_codes_than_a_login(holder: Holder) -> None:
    for _ in range(FAILURES_MAX):
        await holder.gateway.ask("DELETE", "/v1/me/totp", {"otp": WRONG}, holder.token)
    await holder.counted()
    answer = await holder.gateway.ask("DELETE", "/v1/me/totp", {"otp": holder.code()}, holder.token)
    assert answer.code == "otp_required"


async def test_an_old_login_gives_its_password_again(
    gateway: Gateway, clock: PhoneClock, pass_time: Callable[[float], None]
) -> None:
    holder = Holder(gateway, clock)
    holder.token = await gateway.sign_up(holder.email)
    pass_time(11 * 60)
    for body in ({}, {"password": ""}, {"password": "wrong password"}):
        answer = await holder.set_up(**body)
        assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert (await holder.set_up(password=PASSWORD)).status == 200


async def test_a_session_guesses_no_more_passwords_than_a_login(gateway: Gateway, clock: PhoneClock) -> None:
    holder = Holder(gateway, clock)
    holder.token = await gateway.sign_up(holder.email)
    for _ in range(FAILURES_MAX):
        await holder.set_up(password="wrong password")
    await holder.counted()
    assert (await holder.set_up(password=PASSWORD)).code == "invalid_credentials"


@pytest.mark.parametrize("role", ["analyst", "admin"])
async def test_staff_have_nothing_but_their_account_before_they_have_one(
    gateway: Gateway, clock: PhoneClock, role: str
) -> None:
    holder = Holder(gateway, clock)
    await gateway.sign_up(holder.email)
    await gateway.runtime.books.write(appoint, holder.email, role)
    holder.taken(await holder.log_in())
    refused = await gateway.ask("GET", "/v1/reviews", who=holder.token)
    assert (refused.status, refused.code) == (403, "not_confirmed")
    assert (await gateway.ask("POST", "/v1/merchants", {"name": "M"}, holder.token)).status == 403
    me = (await gateway.ask("GET", "/v1/me", who=holder.token)).json
    state = {"is_set": False, "is_required": True, "is_proved": False, "recovery_codes_left": 0}
    assert (me["missing"], me["second_factor"]) == (["second_factor"], state)
    await holder.set_up()
    assert await holder.status("/v1/reviews") == 403
    await holder.confirm(holder.code(-1))
    assert await holder.status("/v1/reviews") == 200
    holder.taken(await holder.log_in(holder.code()))
    assert await holder.status("/v1/reviews") == 200
    me = (await gateway.ask("GET", "/v1/me", who=holder.token)).json
    state = {"is_set": True, "is_required": True, "is_proved": True, "recovery_codes_left": 10}
    assert (me["missing"], me["second_factor"]) == ([], state)
    await gateway.ask("DELETE", "/v1/me/totp", {"otp": holder.code(1)}, holder.token)
    assert await holder.status("/v1/reviews") == 403


@pytest.mark.parametrize(("proved_at", "status"), [(None, 403), (1, 200)])
async def test_an_apps_session_of_staff_has_to_have_proved_one_as_well(
    gateway: Gateway, proved_at: int | None, status: int
) -> None:
    email = f"{new_id('x')}@example.com"
    account_id = (await gateway.ask("GET", "/v1/me", who=await gateway.sign_up(email))).json["id"]
    await gateway.runtime.books.write(appoint, email, "analyst")
    app = SessionRow(
        id=new_id("ses"),
        account_id=account_id,
        created_at=1,
        kind="app",
        client_id="dashboard",
        scopes="account reviews:read",
        second_factor_at=proved_at,
    )
    await gateway.runtime.books.write(sessions.start, app, app.id.encode(), steady_micros() + 60_000_000)
    token = gateway.runtime.tokens.sign(account_id, "analyst", frozenset(app.scopes.split()), app.id)
    assert (await gateway.ask("GET", "/v1/reviews", who=token)).status == status
    assert (await gateway.ask("GET", "/v1/me", who=token)).status == 200
    assert (await gateway.ask("GET", "/v1/tasks", who=token)).code == "forbidden"


async def test_staff_of_the_demo_need_none_and_may_have_one(gateway: Gateway) -> None:
    me = (await gateway.ask("GET", "/v1/me", who="analyst")).json
    assert (me["missing"], me["second_factor"]["is_required"]) == ([], False)
    assert (await gateway.ask("GET", "/v1/reviews", who="analyst")).status == 200


async def test_a_copy_of_the_books_has_neither_secret_nor_code(holder: Holder) -> None:
    copy = await holder.gateway.runtime.books.read(dump)
    assert holder.secret not in copy
    assert not [code for code in holder.recovery_codes if code.encode() in copy or plain(code) in copy]


async def test_erasure_leaves_nothing_of_it(holder: Holder) -> None:
    books = holder.gateway.runtime.books
    before = await books.read(rows)
    assert (await holder.gateway.ask("DELETE", "/v1/me", who=holder.token)).status == 204
    assert await books.read(rows) == before - 11


def appoint(conn: Connection, email: str, role: str) -> None:
    conn.exec_driver_sql(
        f"UPDATE accounts SET role = '{role}', email_confirmed_at = 1 WHERE email_key = '{lookup(conn, email)}'"
    )


def plain(code: str) -> bytes:
    return code.replace("-", "").encode()


def dump(conn: Connection) -> bytes:
    """Every value of both tables."""
    found = [
        conn.exec_driver_sql(f"SELECT * FROM {table}").all() for table in ("second_factors", "recovery_codes")
    ]
    values = [value for rows in found for row in rows for value in row]
    return b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


def rows(conn: Connection) -> int:
    counted = "SELECT (SELECT count(*) FROM second_factors) + (SELECT count(*) FROM recovery_codes)"
    return int(conn.exec_driver_sql(counted).scalar_one())
