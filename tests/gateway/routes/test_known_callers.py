"""Who an account knows gets in while strangers guess at it, and each has tries of their own."""

import asyncio
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import Connection
from structlog.contextvars import get_contextvars

from gateway.app import create_app
from gateway.books import accounts
from gateway.books.accounts import FAILURES_MAX, LOCK_US, Tries
from gateway.books.known_callers import KEPT_MAX, KEPT_US, RETIRED_US
from gateway.books.persons import lookup
from gateway.identity.passwords import RESERVED, WAITING_MAX
from gateway.rate_limits import LIMITS, RateLimit
from gateway.settings import SEED_PASSWORD, GatewaySettings
from tests.gateway.conftest import PASSWORD, Answer, Gateway
from tests.patience import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOME, ELSEWHERE, NEIGHBOUR = "198.51.100.1", "203.0.113.9", "203.0.113.10"
SECOND_US = 1_000_000


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit of requests is in the way of these tests: what is counted here is wrong passwords."""
    for kind in ("login", "login_email", "login_known", "strangers", "accounts"):
        monkeypatch.setitem(LIMITS, kind, RateLimit(10_000, 10_000))


class Person:
    """An account whose owner has logged in once, from `HOME`; `device` is the cookie they got."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.email = f"{uuid4().hex}@example.com"
        self.device = ""

    async def sign_up(self) -> "Person":
        body = {"email": self.email, "password": PASSWORD, "name": "Somebody"}
        assert (await self.gateway.ask("POST", "/v1/accounts", body)).status == 201
        self.device = device_of(await self.log_in(HOME))
        return self

    async def log_in(self, ip: str, password: str = PASSWORD, device: str = "") -> Answer:
        more = {"cookie": f"sluice_device={device}"} if device else {}
        return await self.gateway.log_in(self.email, password, ip=ip, **more)

    async def guess(self, times: int, *ips: str, device: str = "") -> None:
        """Wrong passwords, all at the same moment, from each address in turn; counted on return."""
        guesses = [self.log_in(ips[n % len(ips)], f"wrong {n}", device) for n in range(times)]
        assert {answer.status for answer in await in_turns(guesses)} == {401}
        await eventually(lambda: not self.gateway.runtime.running)


async def in_turns(asked: list[Any]) -> list[Answer]:
    """So many at once as the queue of hashes takes."""
    return [
        answer for start in range(0, len(asked), 25) for answer in await asyncio.gather(*asked[start : start + 25])
    ]


def device_of(answer: Answer) -> str:
    """The cookie that a login set."""
    assert answer.status == 200
    found = re.fullmatch(r"sluice_device=([\w-]{43}); .+", answer.headers["Set-Cookie"])
    assert found
    return found[1]


@pytest_asyncio.fixture(loop_scope="module")
async def person(gateway: Gateway) -> Person:
    return await Person(gateway).sign_up()


async def test_while_a_hundred_addresses_guess_at_an_account_whom_it_knows_gets_in(person: Person) -> None:
    await person.guess(1_000, *[f"203.0.113.{n}" for n in range(100)])
    assert (await person.log_in(ELSEWHERE, device=person.device)).status == 200
    assert (await person.log_in(HOME)).status == 200
    assert (await person.log_in("192.0.2.77")).code == "invalid_credentials"


async def test_however_many_customers_log_in_whom_their_accounts_know_staff_get_in(person: Person) -> None:
    gateway, known = person.gateway, person.gateway.runtime.passwords.known
    assert (await gateway.log_in("admin@example.com", ip=HOME)).status == 200
    known.waiting += WAITING_MAX - RESERVED
    try:
        assert (await person.log_in(HOME)).status == 503
        assert (await gateway.log_in("admin@example.com", ip=HOME)).status == 200
    finally:
        known.waiting -= WAITING_MAX - RESERVED


async def test_a_stranger_with_the_right_password_is_answered_as_one_with_a_wrong_one(person: Person) -> None:
    await person.guess(FAILURES_MAX, ELSEWHERE)
    right, wrong = [await person.log_in(ELSEWHERE, password) for password in (PASSWORD, "wrong")]
    assert (right.status, without_id(right.json)) == (wrong.status, without_id(wrong.json))
    assert without_id(dict(right.headers)) == without_id(dict(wrong.headers))


async def test_a_lock_is_as_much_work_for_the_right_password_as_for_a_wrong_one(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each hashes once, and is written down in the same way, for which no answer waits."""
    await person.guess(FAILURES_MAX, ELSEWHERE)
    books, written = person.gateway.runtime.books, list[str]()
    write = books.write

    async def noted(fn: Any, *args: Any, **kwargs: Any) -> Any:
        if "request_id" in get_contextvars():  # what the gateway does all the time is of no request
            written.append(fn.__name__)
        return await write(fn, *args, **kwargs)

    monkeypatch.setattr(books, "write", noted)
    for password in (PASSWORD, "wrong"):
        assert (await person.log_in(ELSEWHERE, password)).status == 401
    assert written == ["_note", "_note"]
    assert (await person.log_in(HOME)).status == 200
    assert written == ["_note", "_note", "_begin"]


async def test_fifty_wrong_passwords_at_once_count_fifty(person: Person) -> None:
    books = person.gateway.runtime.books
    account = await books.read(accounts.by_email, person.email)
    assert account
    await asyncio.gather(*[books.write(accounts.count_failure, account.id, 0) for _ in range(50)])
    assert (await books.read(accounts.tries, account.id)) == Tries(0, LOCK_US)
    await asyncio.gather(*[books.write(accounts.count_failure, account.id, 0) for _ in range(9)])
    assert (await books.read(accounts.tries, account.id)).failures == 9
    await person.guess(50, *[f"203.0.113.{n}" for n in range(25)])
    assert (await person.log_in("192.0.2.1")).status == 401


async def test_wrong_passwords_count_before_the_books_have_them(person: Person) -> None:
    await asyncio.gather(*[person.log_in(ELSEWHERE, f"wrong {n}") for n in range(25)])
    assert (await person.log_in(ELSEWHERE)).status == 401


@pytest.mark.parametrize("by", ["device", "address"])
async def test_ten_failures_of_a_known_one_lock_that_one_alone(
    person: Person, by: str, pass_time: Callable[[float], None]
) -> None:
    here = {"ip": ELSEWHERE, "device": person.device} if by == "device" else {"ip": HOME}
    other = {"ip": HOME} if by == "device" else {"ip": NEIGHBOUR, "device": person.device}
    await person.guess(FAILURES_MAX, here["ip"], device=here.get("device", ""))
    assert (await person.log_in(**here)).code == "invalid_credentials"
    assert (await person.log_in(**other)).status == 200
    assert (await person.log_in("192.0.2.1")).status == 200  # a stranger, who has the account's own tries
    pass_time(LOCK_US / SECOND_US)
    assert (await person.log_in(HOME)).status == 200


async def test_a_login_elsewhere_unlocks_nothing(person: Person) -> None:
    await person.guess(FAILURES_MAX, HOME)
    await person.guess(FAILURES_MAX, ELSEWHERE)
    assert (await person.log_in(NEIGHBOUR, device=person.device)).status == 200
    for ip in (HOME, ELSEWHERE):
        assert (await person.log_in(ip)).status == 401


async def test_a_64_is_one_address(person: Person) -> None:
    assert (await person.log_in("2001:db8:1:2::1")).status == 200
    await person.guess(FAILURES_MAX, ELSEWHERE)
    assert (await person.log_in("2001:db8:1:2:ffff::9")).status == 200
    assert (await person.log_in("2001:db8:1:3::1")).status == 401
    await person.guess(FAILURES_MAX, *[f"2001:db8:1:2::{n}" for n in range(FAILURES_MAX)])
    assert (await person.log_in("2001:db8:1:2::1")).status == 401


async def test_a_mapped_address_is_known_as_the_ipv4_one(person: Person) -> None:
    await person.guess(FAILURES_MAX, ELSEWHERE)
    assert (await person.log_in(f"::ffff:{HOME}")).status == 200


async def test_a_device_whose_answer_was_lost_is_still_known(
    person: Person, pass_time: Callable[[float], None]
) -> None:
    """As is one that sends two logins at once: each has the cookie of before."""
    await person.guess(FAILURES_MAX, ELSEWHERE)
    for answer in await asyncio.gather(*[person.log_in(NEIGHBOUR, device=person.device) for _ in range(3)]):
        assert answer.status == 200
    pass_time(RETIRED_US / SECOND_US + 1)
    await person.guess(FAILURES_MAX, ELSEWHERE)
    assert (await person.log_in("192.0.2.1", device=person.device)).status == 401


async def test_the_cookie_rotates_and_is_bound_to_the_account(
    gateway: Gateway, person: Person, pass_time: Callable[[float], None]
) -> None:
    other = await Person(gateway).sign_up()
    fresh = device_of(await person.log_in(ELSEWHERE, device=person.device))
    assert fresh != person.device
    pass_time(RETIRED_US / SECOND_US + 1)
    await person.guess(FAILURES_MAX, "203.0.113.11")
    for stale in (person.device, other.device, fresh[:-1], "", "x" * 5_000, "é"):
        assert (await person.log_in(NEIGHBOUR, device=stale)).status == 401
    assert (await person.log_in(NEIGHBOUR, device=fresh)).status == 200


async def test_a_refused_login_sets_no_cookie(person: Person) -> None:
    assert "Set-Cookie" not in (await person.log_in(HOME, "wrong")).headers


async def test_no_page_and_no_script_gets_at_the_cookie(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = (await person.log_in(HOME)).headers["Set-Cookie"]
    assert set(plain.split("; ")[1:]) == {"Max-Age=31536000", "HttpOnly", "Path=/", "SameSite=Strict"}
    runtime = person.gateway.runtime
    https = msgspec.structs.replace(runtime.settings, public_url="https://pay.example")
    monkeypatch.setattr(runtime, "settings", https)
    assert "; Secure" in (await person.log_in(HOME)).headers["Set-Cookie"]


async def test_a_new_password_and_an_erasure_end_what_is_known(person: Person) -> None:
    books = person.gateway.runtime.books
    await books.write(change_password, person.email)
    await person.guess(FAILURES_MAX, ELSEWHERE)
    assert (await person.log_in(NEIGHBOUR, SEED_PASSWORD, person.device)).status == 401
    token = (await person.log_in(HOME, SEED_PASSWORD)).json["access_token"]
    own, all_of_them = [await books.read(known, email) for email in (person.email, None)]
    await person.gateway.ask("DELETE", "/v1/me", who=token)
    assert await books.read(known, None) == all_of_them - own < all_of_them


@pytest.mark.parametrize(("kind", "days"), [("device", 365), ("address", 30)])
async def test_what_is_known_is_forgotten(
    person: Person, kind: str, days: int, pass_time: Callable[[float], None]
) -> None:
    assert KEPT_US[kind] == days * 86_400 * SECOND_US  # type: ignore[index]
    where = {"ip": NEIGHBOUR, "device": person.device} if kind == "device" else {"ip": HOME}
    pass_time(days * 86_400 - 60)
    await person.guess(FAILURES_MAX, ELSEWHERE)
    renewed = device_of(await person.log_in(**where))
    where |= {"device": renewed} if kind == "device" else {}
    pass_time(days * 86_400 + 60)
    await person.guess(FAILURES_MAX, ELSEWHERE)
    assert (await person.log_in(**where)).status == 401


async def test_an_account_knows_so_many_and_no_more(person: Person) -> None:
    for number in range(KEPT_MAX + 5):
        assert (await person.log_in(f"192.0.2.{number}")).status == 200
    assert await person.gateway.runtime.books.read(known, person.email) == 2 * KEPT_MAX
    await person.guess(FAILURES_MAX, ELSEWHERE)
    assert (await person.log_in(f"192.0.2.{KEPT_MAX + 4}")).status == 200
    assert (await person.log_in(HOME, device=person.device)).status == 401


async def test_locks_and_what_is_known_survive_a_restart(gateway_settings: GatewaySettings) -> None:
    app = create_app(gateway_settings)
    async with app.test_app():
        person = await Person(Gateway(app)).sign_up()
        await person.guess(FAILURES_MAX, ELSEWHERE)
        await person.guess(FAILURES_MAX, HOME)
    app = create_app(gateway_settings)
    async with app.test_app():
        person.gateway = Gateway(app)
        assert [(await person.log_in(ip)).status for ip in (ELSEWHERE, HOME)] == [401, 401]
        assert (await person.log_in(NEIGHBOUR, device=person.device)).status == 200


async def test_neither_cookie_nor_address_stands_in_the_books(person: Person) -> None:
    rows = await person.gateway.runtime.books.read(lambda conn: repr(conn.exec_driver_sql(DUMP).all()))
    assert person.device not in rows
    assert HOME not in rows


DUMP = "SELECT * FROM known_callers"


def known(conn: Connection, email: str | None) -> int:
    of = f"WHERE account_id = (SELECT id FROM accounts WHERE email_key = '{lookup(conn, email)}')" if email else ""
    return int(conn.exec_driver_sql(f"SELECT count(*) FROM known_callers {of}").scalar_one())


def change_password(conn: Connection, email: str) -> None:
    """Give it the password of the demo's accounts."""
    other = f"SELECT password_hash FROM accounts WHERE email_key = '{lookup(conn, 'customer@example.com')}'"
    conn.exec_driver_sql(
        f"UPDATE accounts SET password_hash = ({other}) WHERE email_key = '{lookup(conn, email)}'"
    )


def without_id(named: dict[str, Any]) -> dict[str, Any]:
    """Without what names this one answer."""
    return {
        name: value for name, value in named.items() if name.lower() not in ("request_id", "request-id", "date")
    }
