"""The login of a browser: what its cookie is, and when it opens nothing any more."""

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Connection, update

from gateway.books.accounts import accounts
from gateway.books.browser_sessions import IDLE_US, LONGEST_US
from gateway.books.persons import lookup
from gateway.books.sessions import IDLE_MAX_US
from gateway.pages.render import POLICY
from gateway.settings import SEED_PASSWORD
from tests.gateway.conftest import PASSWORD, Gateway
from tests.gateway.pages.conftest import Surfer, logged_in, somebody

pytestmark = pytest.mark.asyncio(loop_scope="module")
US = 1_000_000


async def is_in(surfer: Surfer) -> bool:
    return "You are logged in" in (await surfer.open("/login")).text


async def test_a_session_that_somebody_handed_over_is_not_the_one_of_a_login(gateway: Gateway) -> None:
    """Session fixation: the attacker knows the cookie that the victim's browser has before the login."""
    attacker = await logged_in(gateway)
    victim = Surfer(gateway)
    victim.cookies["sluice_session"] = attacker.cookies["sluice_session"]
    await victim.open("/login?again")
    await victim.send(email="customer@example.com", password=SEED_PASSWORD)
    assert await is_in(victim)
    assert victim.cookies["sluice_session"] != attacker.cookies["sluice_session"]
    assert not await is_in(attacker)


async def test_a_stolen_cookie_opens_nothing_after_logout(gateway: Gateway) -> None:
    victim = await logged_in(gateway)
    thief = Surfer(gateway)
    thief.cookies |= victim.cookies
    assert await is_in(thief)
    await victim.open("/logout")
    await victim.send()
    assert "sluice_session" not in victim.cookies
    assert not await is_in(thief)


@pytest.mark.parametrize("what", [{"disabled_at": 1}, {"suspended_at": 1}, {"erased_at": 1}])
async def test_it_ends_with_what_its_account_may(gateway: Gateway, what: dict[str, int]) -> None:
    email = await somebody(gateway)
    surfer = await logged_in(gateway, email)
    assert await is_in(surfer)
    await gateway.runtime.books.write(_change, email, what)
    assert not await is_in(surfer)


def _change(conn: Connection, email: str, what: dict[str, int]) -> None:
    conn.execute(update(accounts).where(accounts.c.email_key == lookup(conn, email)).values(what))


async def test_it_ends_when_nobody_uses_it_and_for_certain_after_a_day(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    idle, busy = await logged_in(gateway), await logged_in(gateway)
    almost_s, times = IDLE_US / US - 600, LONGEST_US // IDLE_US
    for _ in range(times):
        pass_time(almost_s)
        assert await is_in(busy)
    assert not await is_in(idle)
    pass_time(LONGEST_US / US - times * almost_s + 1)
    assert not await is_in(busy)


async def test_of_staff_it_ends_after_a_quarter_of_an_hour(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    surfer = Surfer(gateway)
    await surfer.open("/login")
    await surfer.send(email="analyst@example.com", password=SEED_PASSWORD)
    assert await is_in(surfer)
    pass_time(IDLE_MAX_US / US + 1)
    assert not await is_in(surfer)


async def test_no_script_and_no_other_site_gets_the_cookie(gateway: Gateway) -> None:
    surfer = Surfer(gateway)
    await surfer.open("/login")
    sent = {"email": await somebody(gateway), "password": PASSWORD}
    await surfer.post("/login", surfer.page.forms[0].fields | sent)
    (line,) = [line for line in surfer.set_cookies if line.startswith("sluice_session=")]
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(line.split("; "))
    assert "Max-Age" not in line


async def test_where_there_is_https_no_other_host_sets_the_cookie(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = msgspec.structs.replace(gateway.runtime.settings, public_url="https://pay.example.com")
    monkeypatch.setattr(gateway.runtime, "settings", secure)
    surfer = await logged_in(gateway)
    assert "__Host-sluice_session" in surfer.cookies
    for line in surfer.set_cookies:
        assert "Secure" in line.split("; ")
        assert "Domain" not in line


@pytest.mark.parametrize("path", ["/login", "/logout", "/login/otp", "/nowhere"])
async def test_no_page_is_kept_framed_or_told_of(surfer: Surfer, path: str) -> None:
    await surfer.open(path, Sec_Fetch_Mode="navigate")
    headers = surfer.answer.headers
    assert headers["Content-Security-Policy"] == POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert "script" not in POLICY
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert b"<script" not in surfer.answer.body
    assert b"http" not in surfer.answer.body.replace(b'http-equiv="refresh"', b"")
