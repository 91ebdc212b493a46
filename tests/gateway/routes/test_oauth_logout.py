"""Logout that an app asks for: it ends the login with all its apps, and leads to what was registered alone."""

from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from tests.gateway.conftest import Answer, Gateway
from tests.gateway.routes.apps import CUSTOMER, DESK, FORM, Apps, Browser, log_in, register_apps, tokens_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def apps(gateway: Gateway) -> Apps:
    return await register_apps(gateway)


@pytest_asyncio.fixture(loop_scope="module")
async def browser(gateway: Gateway) -> Browser:
    return await log_in(gateway, CUSTOMER)


async def log_out(browser: Browser, **given: str) -> Answer:
    return await browser.get(f"/oauth/logout?{urlencode(given)}")


async def is_good(gateway: Gateway, made: dict[str, Any]) -> bool:
    return (await gateway.ask("GET", "/v1/payments", who=made["access_token"])).status == 200


async def is_logged_in(browser: Browser, apps: Apps) -> bool:
    return not (await browser.authorize(apps.desk)).headers["Location"].startswith("/login")


async def test_logout_ends_the_login_and_all_its_apps_and_goes_back(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    made, other = await tokens_of(browser, apps.desk), await tokens_of(browser, apps.desk)
    answer = await log_out(
        browser, id_token_hint=made["id_token"], client_id="desk", post_logout_redirect_uri=DESK, state="s&t"
    )
    assert answer.headers["Location"] == f"{DESK}?state=s%26t"
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert not await is_good(gateway, made)
    assert not await is_good(gateway, other)
    assert not await is_logged_in(browser, apps)


async def test_logout_may_come_by_a_form(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    made = await tokens_of(browser, apps.desk)
    body = urlencode({"id_token_hint": made["id_token"]}).encode()
    answer = await gateway.ask("POST", "/oauth/logout", body, content_type=FORM)  # of another site: no cookie
    assert answer.headers["Location"] == "/logout"
    assert not await is_logged_in(browser, apps)


@pytest.mark.parametrize(
    "given",
    [
        f"{DESK}/",
        f"{DESK}?x",
        "https://evil.example/",
        "https://desk.example@evil.example/cb",
        "//evil.example",
        "https://shop.example/cb?from=sluice",
        "javascript:alert(1)",
    ],
)
async def test_logout_leads_to_what_its_client_registered_and_nowhere_else(
    browser: Browser, apps: Apps, given: str
) -> None:
    made = await tokens_of(browser, apps.desk)
    answer = await log_out(browser, id_token_hint=made["id_token"], post_logout_redirect_uri=given)
    assert answer.headers["Location"] == "/logout"


async def test_who_proves_nothing_logs_nobody_out(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    made = await tokens_of(browser, apps.desk, scope="openid payments:read")
    stranger = await tokens_of(await log_in(gateway, "replay@example.com"), apps.desk)
    header, _, _ = made["id_token"].split(".")
    for hint in ("", "x.y.z", made["access_token"], f"{header}.e30."):
        answer = await log_out(browser, id_token_hint=hint, client_id="desk", post_logout_redirect_uri=DESK)
        assert answer.headers["Location"] == "/logout"  # where the person is asked
    await log_out(browser, id_token_hint=stranger["id_token"], post_logout_redirect_uri=DESK)
    assert await is_logged_in(browser, apps)
    assert await is_good(gateway, made)


async def test_a_hint_is_for_the_client_that_it_names(browser: Browser, apps: Apps) -> None:
    made = await tokens_of(browser, apps.desk)
    answer = await log_out(
        browser,
        id_token_hint=made["id_token"],
        client_id="phone",
        post_logout_redirect_uri="https://app.example/cb",
    )
    assert answer.headers["Location"] == "/logout"
    assert await is_logged_in(browser, apps)


async def test_what_a_browser_fetches_ahead_logs_nobody_out(browser: Browser, apps: Apps) -> None:
    made = await tokens_of(browser, apps.desk)
    await browser.get(f"/oauth/logout?id_token_hint={made['id_token']}", Sec_Purpose="prefetch")
    assert await is_logged_in(browser, apps)
