"""A login in an app, by way of our own pages: the code, the question, and what the app asks of the login."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from gateway.books import consents
from gateway.identity.oauth_requests import LOGIN_US
from tests.gateway.conftest import Answer, Gateway
from tests.gateway.routes.apps import (
    CUSTOMER,
    FORM,
    Apps,
    Browser,
    asked,
    claims_of,
    log_in,
    next_of,
    redeem,
    register_apps,
    sent,
    tokens_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def apps(gateway: Gateway) -> Apps:
    return await register_apps(gateway)


@pytest_asyncio.fixture(loop_scope="module")
async def browser(gateway: Gateway) -> Browser:
    """A customer who logged in a minute ago."""
    return await log_in(gateway, CUSTOMER, ago_s=60)


def leads_to_login(answer: Answer) -> bool:
    return answer.status == 303 and answer.headers["Location"].startswith("/login?")


async def test_an_app_of_ours_gets_a_code_from_who_is_logged_in(browser: Browser, apps: Apps) -> None:
    told = sent(await browser.authorize(apps.desk))
    assert told.keys() == {"code", "state", "iss"}
    assert (told["state"], told["iss"]) == ("s t&a=te", "http://localhost:8080")
    answer = await redeem(browser.gateway, apps.desk, told["code"])
    assert answer.json["scope"] == "email openid payments:read profile roles"
    claims = await claims_of(browser.gateway, answer.json["id_token"])
    assert (claims["iss"], claims["aud"], claims["nonce"]) == ("http://localhost:8080", "desk", "n")
    assert (claims["roles"], claims["name"], claims["email"]) == (["customer"], "Casey Customer", CUSTOMER)
    assert (claims["amr"], claims["exp"] - claims["iat"]) == (["pwd"], answer.json["expires_in"])
    assert claims.keys() >= {"sub", "sid", "auth_time", "at_hash", "email_verified"}


async def test_the_token_does_what_the_person_allowed_and_nothing_else(browser: Browser, apps: Apps) -> None:
    token = (await tokens_of(browser, apps.desk))["access_token"]
    assert (await browser.gateway.ask("GET", "/v1/payments", who=token)).status == 200
    assert (await browser.gateway.ask("GET", "/v1/cards", who=token)).code == "forbidden"
    assert (await browser.gateway.ask("GET", "/v1/me", who=token)).code == "forbidden"


async def test_an_id_token_says_no_more_than_was_asked(browser: Browser, apps: Apps) -> None:
    made = await tokens_of(browser, apps.desk, scope="openid", nonce=None)
    claims = await claims_of(browser.gateway, made["id_token"])
    assert not claims.keys() & {"name", "email", "roles", "nonce"}
    plain = await tokens_of(browser, apps.desk, scope="payments:read")
    assert "id_token" not in plain


async def test_a_second_factor_is_told(gateway: Gateway, apps: Apps) -> None:
    strong = await log_in(gateway, CUSTOMER, second_factor=True)
    claims = await claims_of(gateway, (await tokens_of(strong, apps.desk))["id_token"])
    assert claims["amr"] == ["pwd", "otp", "mfa"]


async def test_staff_without_a_second_factor_set_one_up_first(
    gateway: Gateway, apps: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = await log_in(gateway, "analyst@example.com")
    monkeypatch.setattr(gateway.runtime, "seeded_ids", set())  # the demo's own need none
    answer = await analyst.authorize(apps.desk)
    assert leads_to_login(answer)
    assert "again" not in answer.headers["Location"]
    strong = await log_in(gateway, "analyst@example.com", second_factor=True)
    assert "code" in sent(await strong.authorize(apps.desk))


async def test_who_is_not_logged_in_comes_back_to_the_same_request(gateway: Gateway, apps: Apps) -> None:
    stranger = Browser(gateway, "", "")
    answer = await stranger.authorize(apps.desk)
    assert leads_to_login(answer)
    known = await log_in(gateway, CUSTOMER)
    assert sent(await known.get(next_of(answer)))["state"] == "s t&a=te"


async def test_silence_is_an_error_where_somebody_would_have_to_act(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    stranger = Browser(gateway, "", "")
    assert sent(await stranger.authorize(apps.desk, prompt="none"))["error"] == "login_required"
    assert sent(await browser.authorize(apps.shop, prompt="none"))["error"] == "consent_required"
    assert sent(await browser.authorize(apps.desk, prompt="none", max_age="1"))["error"] == "login_required"
    assert "code" in sent(await browser.authorize(apps.desk, prompt="none"))


@pytest.mark.parametrize("asks", [{"prompt": "login"}, {"max_age": "30"}, {"max_age": "0"}])
async def test_a_new_login_is_asked_for_once(
    gateway: Gateway, browser: Browser, apps: Apps, asks: dict[str, str]
) -> None:
    answer = await browser.authorize(apps.desk, **asks)
    assert leads_to_login(answer)
    assert "again" in answer.headers["Location"]
    assert leads_to_login(await browser.get(next_of(answer)))  # who only comes back did not log in
    fresh = await log_in(gateway, CUSTOMER)
    assert "code" in sent(await fresh.get(next_of(answer)))


async def test_a_login_that_is_young_enough_is_no_new_one(browser: Browser, apps: Apps) -> None:
    assert "code" in sent(await browser.authorize(apps.desk, max_age="3600"))


async def test_nobody_writes_for_themselves_that_they_logged_in_anew(
    gateway: Gateway, browser: Browser, apps: Apps, set_clock: Callable[[float], None]
) -> None:
    proved = next_of(await browser.authorize(apps.desk, prompt="login")).partition("login_since=")[2]
    for forged in ("0.", f"0.{proved.partition('.')[2]}", "1", "x.y", "9" * 30 + ".a"):
        assert leads_to_login(await browser.authorize(apps.desk, prompt="login", login_since=forged))
    fresh = await log_in(gateway, CUSTOMER)
    assert "code" in sent(await fresh.authorize(apps.desk, prompt="login", login_since=proved))
    assert leads_to_login(await fresh.authorize(apps.desk, prompt="login", login_since=proved, state="another"))
    set_clock(LOGIN_US / 3_600_000_000 + 0.01)
    assert leads_to_login(await fresh.authorize(apps.desk, prompt="login", login_since=proved))


async def test_an_app_of_others_asks_once_and_again_for_more(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    page = (await browser.authorize(apps.shop, scope="openid payments:read")).body.decode()
    assert "App shop" in page
    assert "https://shop.example" in page
    assert "code" in sent(await browser.decide(apps.shop, "allow", scope="openid payments:read"))
    assert "code" in sent(await browser.authorize(apps.shop, scope="payments:read"))
    assert (await browser.authorize(apps.shop, scope="openid email payments:read")).status == 200
    assert (await browser.authorize(apps.shop, scope="payments:read", prompt="consent")).status == 200
    assert (await browser.authorize(apps.shop, scope="payments:read", prompt="select_account")).status == 200
    somebody = await log_in(gateway, "replay@example.com")
    assert (await somebody.authorize(apps.shop, scope="payments:read")).status == 200


async def test_erasure_forgets_what_was_allowed(gateway: Gateway, apps: Apps) -> None:
    token = await gateway.sign_up("allows@example.com")
    await (await log_in(gateway, "allows@example.com")).decide(apps.shop, "allow")
    account_id = (await gateway.ask("GET", "/v1/me", who=token)).json["id"]
    assert await gateway.runtime.books.read(consents.allowed, account_id, "shop")
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    assert not await gateway.runtime.books.read(consents.allowed, account_id, "shop")


async def test_an_app_of_ours_asks_where_it_wants_to(browser: Browser, apps: Apps) -> None:
    assert (await browser.authorize(apps.desk, prompt="consent")).status == 200
    assert "code" in sent(await browser.authorize(apps.desk, prompt="select_account"))
    assert "code" in sent(await browser.decide(apps.desk, "allow", prompt="consent"))


async def test_who_says_no_goes_back_without_a_code(browser: Browser, apps: Apps) -> None:
    told = sent(await browser.decide(apps.phone, "deny"))
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "s t&a=te", "http://localhost:8080")
    assert "code" not in told
    assert (await browser.authorize(apps.phone)).status == 200


async def test_scopes_are_what_is_asked_and_the_client_may_and_the_account_may(
    gateway: Gateway, apps: Apps
) -> None:
    asks = "openid payments:read payments:write reviews:read reviews:write refunds:write nonsense"
    customer, analyst = await log_in(gateway, CUSTOMER), await log_in(gateway, "analyst@example.com")
    assert (await tokens_of(customer, apps.desk, scope=asks))["scope"] == "openid payments:read"
    made = await tokens_of(analyst, apps.desk, scope=asks)
    assert made["scope"] == "openid payments:read reviews:read reviews:write"
    assert sent(await customer.authorize(apps.desk, scope="reviews:read"))["error"] == "invalid_scope"


async def test_a_form_of_another_site_goes_on_as_a_link(browser: Browser, apps: Apps) -> None:
    body = urlencode(asked(apps.desk)).encode()
    answer = await browser.gateway.ask("POST", "/oauth/authorize", body, content_type=FORM)
    assert "code" in sent(await browser.get(answer.headers["Location"]))
