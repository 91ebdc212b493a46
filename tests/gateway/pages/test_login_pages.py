"""A login on our own pages: password, code, and the second factor that staff must have."""

import re
from collections.abc import Callable

import pytest

from gateway.settings import SEED_PASSWORD
from tests.gateway.conftest import PASSWORD, Gateway
from tests.gateway.pages.conftest import ShownPage, Surfer, code_of, logged_in, somebody

pytestmark = pytest.mark.asyncio(loop_scope="module")
AUTHORIZE = "/oauth/authorize?client_id=app&state=a%2Fb"
NEXT = "/login?next=%2Foauth%2Fauthorize%3Fclient_id%3Dapp%26state%3Da%252Fb"
RECOVERY_CODE = re.compile(r"\b(?:[0-9a-z]{4}-){3}[0-9a-z]{4}\b")


async def with_second_factor(gateway: Gateway) -> tuple[str, ShownPage]:
    """An address whose account has a second factor, and the page on which it was set up."""
    email = await somebody(gateway)
    surfer = await logged_in(gateway, email)
    await surfer.open("/second-factor")
    shown = await surfer.send()
    done = await surfer.send(otp=code_of(shown))
    assert "Your second factor is on" in done.text
    return email, shown


async def test_who_logs_in_goes_on_to_where_they_came_from(gateway: Gateway) -> None:
    surfer = await logged_in(gateway, path=NEXT)
    assert (surfer.answer.status, surfer.page.links[0]) == (200, AUTHORIZE)
    assert (await surfer.open(NEXT)).links[0] == AUTHORIZE  # logged in already
    assert "You are logged in" in (await surfer.open("/login")).text
    assert surfer.page.forms
    assert (await surfer.open(f"{NEXT}&again")).title == "Log in · Sluice"


async def test_wrong_and_unknown_get_the_same_page(surfer: Surfer) -> None:
    def shown(email: str) -> str:
        assert surfer.answer.status == 401
        assert surfer.page.alerts == 1
        assert surfer.page.title == "Error: Log in · Sluice"
        return surfer.answer.body.decode().replace(email, "")

    await surfer.open("/login")
    await surfer.send(email="customer@example.com", password="wrong")
    wrong = shown("customer@example.com")
    await surfer.send(email="nobody@example.com", password="wrong")
    assert shown("nobody@example.com") == wrong
    assert "wrong" not in surfer.page.forms[0].fields.values()


async def test_what_is_missing_is_said_at_its_field(surfer: Surfer) -> None:
    await surfer.open("/login")
    page = await surfer.send(email=" ", password="")
    assert surfer.answer.status == 422
    assert "Enter your e-mail address." in page.text
    assert b'aria-describedby="password-error"' in surfer.answer.body
    assert surfer.answer.body.count(b"autofocus") == 1


async def test_a_seeded_analyst_needs_no_second_factor(surfer: Surfer) -> None:
    await surfer.open("/login")
    assert "You are logged in" in (await surfer.send(email="analyst@example.com", password=SEED_PASSWORD)).text


async def test_staff_set_up_a_second_factor_before_they_go_on(gateway: Gateway) -> None:
    surfer = await logged_in(gateway, await somebody(gateway, "analyst"), NEXT)
    assert surfer.page.title == "Set up your second factor · Sluice"
    await surfer.open(NEXT)
    assert surfer.page.title == "Set up your second factor · Sluice"
    before = surfer.cookies["sluice_session"]
    shown = await surfer.send()
    assert b'role="img"' in surfer.answer.body
    assert len(RECOVERY_CODE.findall(shown.text)) == 10
    await surfer.send(otp="000000")
    assert (surfer.answer.status, surfer.page.alerts) == (401, 1)
    done = await surfer.send(otp=code_of(shown))
    assert surfer.cookies["sluice_session"] != before
    assert (await surfer.open(done.links[0])).links[0] == AUTHORIZE


async def test_a_second_factor_is_asked_for_and_only_a_right_code_logs_in(gateway: Gateway) -> None:
    email, shown = await with_second_factor(gateway)
    surfer = await logged_in(gateway, email, NEXT)
    assert surfer.page.title == "Enter your code · Sluice"
    assert "sluice_session" not in surfer.cookies
    await surfer.send(otp="")
    assert surfer.answer.status == 422
    await surfer.send(otp=code_of(shown))  # used when it was set up
    assert (surfer.answer.status, surfer.page.title) == (401, "Error: Enter your code · Sluice")
    await surfer.open(surfer.page.links[0])
    assert surfer.page.title == "Use a recovery code · Sluice"
    (code, *_) = RECOVERY_CODE.findall(shown.text)
    assert (await surfer.send(otp=code.upper())).links[0] == AUTHORIZE
    assert "sluice_half_login" not in surfer.cookies
    again = await logged_in(gateway, email)
    await again.open("/login/otp?recovery")
    await again.send(otp=code)
    assert again.answer.status == 401


async def test_half_a_login_opens_nothing_and_nothing_elsewhere(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    email, shown = await with_second_factor(gateway)
    (code, *_) = RECOVERY_CODE.findall(shown.text)
    half = await logged_in(gateway, email)
    other = Surfer(gateway)
    await other.open("/login")
    other.cookies["sluice_half_login"] = half.cookies["sluice_half_login"]
    await other.open("/login/otp")
    await other.send(otp=code)
    assert (other.answer.status, "sluice_session" in other.cookies) == (401, False)
    pass_time(10 * 60 + 1)
    await half.send(otp=code)
    assert (half.answer.status, half.page.title) == (401, "Error: Log in · Sluice")
    await half.send(email=email, password=PASSWORD)
    assert half.page.title == "Enter your code · Sluice"


@pytest.mark.parametrize("planted", ["", "a.1.b", "a.9999999999999999.b", "....", "é", "acc_x.٣.y"])
async def test_a_made_up_half_login_is_none(surfer: Surfer, planted: str) -> None:
    await surfer.open("/login")
    surfer.cookies["sluice_half_login"] = planted
    form = surfer.page.forms[0].fields | {"otp": "123456"}
    await surfer.post("/login/otp", form)
    assert (surfer.answer.status, surfer.page.title) == (401, "Error: Log in · Sluice")


async def test_a_browser_that_somebody_left_open_sets_up_no_second_factor(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    """Whoever comes by would lock the owner out."""
    email = await somebody(gateway)
    surfer = await logged_in(gateway, email)
    await surfer.open("/second-factor")
    pass_time(10 * 60 + 1)
    await surfer.send()
    assert surfer.path == "/login?again&next=%2Fsecond-factor"
    await surfer.open("/second-factor?next=%2Foauth%2Fauthorize")
    assert surfer.path == "/login?again&next=%2Fsecond-factor%3Fnext%3D%252Foauth%252Fauthorize"
    assert (await surfer.send(email=email, password=PASSWORD)).links[
        0
    ] == "/second-factor?next=%2Foauth%2Fauthorize"
    await surfer.open(surfer.page.links[0])
    assert surfer.page.title == "Set up your second factor · Sluice"
    assert code_of(await surfer.send())


async def test_a_second_factor_is_set_up_by_who_is_logged_in(surfer: Surfer) -> None:
    for path in ("/second-factor", "/second-factor/confirm"):
        await surfer.open("/login")
        await surfer.post(path, surfer.page.forms[0].fields | {"otp": "123456"})
        assert surfer.page.title == "Log in · Sluice"
    await surfer.open("/second-factor?next=%2Foauth%2Fauthorize")
    assert surfer.path == "/login?next=%2Fsecond-factor%3Fnext%3D%252Foauth%252Fauthorize"
