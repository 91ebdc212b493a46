"""Codes and refresh tokens: each is good once, for the client that it was made for; what is stolen is ended."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from sqlalchemy import Connection, update

from gateway.books import sessions
from gateway.identity.oauth_grants import CODE_US
from gateway.identity.refreshing import GRACE_US
from tests.gateway.conftest import Answer, Gateway
from tests.gateway.routes.apps import (
    CUSTOMER,
    FORM,
    PHONE,
    App,
    Apps,
    Browser,
    claims_of,
    log_in,
    redeem,
    refresh,
    register_apps,
    sent,
    tokens_of,
    trade,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

STAY = "openid payments:read offline_access"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def apps(gateway: Gateway) -> Apps:
    return await register_apps(gateway)


@pytest_asyncio.fixture(loop_scope="module")
async def browser(gateway: Gateway) -> Browser:
    return await log_in(gateway, CUSTOMER)


async def lists_payments(gateway: Gateway, token: str) -> int:
    return (await gateway.ask("GET", "/v1/payments", who=token)).status


def refused(answer: Answer) -> bool:
    return (answer.status, answer.json["error"]) == (400, "invalid_grant")


async def test_a_code_that_comes_again_is_refused_and_ends_what_it_gave(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    code = await browser.code(apps.desk, scope=STAY)
    made = (await redeem(gateway, apps.desk, code)).json
    assert await lists_payments(gateway, made["access_token"]) == 200
    assert refused(await redeem(gateway, apps.desk, code))
    assert await lists_payments(gateway, made["access_token"]) == 401
    assert refused(await refresh(gateway, apps.desk, made["refresh_token"]))


async def test_of_many_who_bring_a_code_at_once_one_gets_tokens(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    code = await browser.code(apps.desk)
    answers = await asyncio.gather(*(redeem(gateway, apps.desk, code) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7


async def test_a_code_is_for_its_client_alone(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    code = await browser.code(apps.desk)
    assert refused(await redeem(gateway, apps.shop, code, redirect_uri=apps.desk.redirect_uri))
    assert refused(await redeem(gateway, apps.phone, code, redirect_uri=apps.desk.redirect_uri))
    assert refused(await redeem(gateway, apps.desk, code))  # it has leaked


async def test_a_code_is_for_the_address_that_it_was_sent_to(gateway: Gateway, apps: Apps) -> None:
    browser = await log_in(gateway, CUSTOMER)
    for other in ("http://127.0.0.1/cb", f"{PHONE}/", ""):
        code = sent(await browser.decide(apps.phone, "allow", prompt="consent"))["code"]
        assert refused(await redeem(gateway, apps.phone, code, redirect_uri=other))


@pytest.mark.parametrize("verifier", ["", "w" * 43, "v" * 42, "v" * 129])
async def test_a_code_is_for_whoever_has_its_verifier(
    gateway: Gateway, browser: Browser, apps: Apps, verifier: str
) -> None:
    answer = await redeem(gateway, apps.desk, await browser.code(apps.desk), code_verifier=verifier)
    assert (answer.status, "access_token" in answer.json) == (400, False)


async def test_a_challenge_is_not_its_own_verifier(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    """Downgraded: who saw the challenge would have the verifier of `plain`."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"x").digest()).rstrip(b"=").decode()
    code = await browser.code(apps.desk, code_challenge=challenge)
    assert refused(await redeem(gateway, apps.desk, code, code_verifier=challenge, code_challenge_method="plain"))


async def test_a_code_is_good_for_a_minute(
    gateway: Gateway, browser: Browser, apps: Apps, pass_time: Callable[[float], None]
) -> None:
    code = await browser.code(apps.desk)
    pass_time(CODE_US / 1_000_000)
    assert refused(await redeem(gateway, apps.desk, code))


async def test_a_code_of_a_login_that_has_ended_gives_nothing(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    code = await browser.code(apps.desk)
    await gateway.runtime.books.write(sessions.revoke, browser.session_id)
    assert refused(await redeem(gateway, apps.desk, code))


async def test_a_session_that_began_while_its_login_ended_ends_with_it(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    made = await tokens_of(browser, apps.desk, scope=STAY)
    end = update(sessions.sessions).where(sessions.sessions.c.id == browser.session_id).values(revoked_at=1)
    await gateway.runtime.books.write(lambda conn: conn.execute(end) and None)  # and nothing that is below it
    assert await lists_payments(gateway, made["access_token"]) == 401
    assert refused(await refresh(gateway, apps.desk, made["refresh_token"]))


async def test_a_confidential_client_proves_who_it_is(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    for pretender in (App("desk", "", apps.desk.redirect_uri), App("desk", "wrong", apps.desk.redirect_uri)):
        code = await browser.code(apps.desk)
        answer = await redeem(gateway, pretender, code)
        assert answer.json["error"] == "invalid_client"
        assert (await redeem(gateway, apps.desk, code)).status == 200


async def test_a_public_client_has_no_secret_and_nothing_of_its_own(gateway: Gateway, apps: Apps) -> None:
    for secret in ("", "guessed"):
        answer = await trade(gateway, App("phone", secret, PHONE), grant_type="client_credentials")
        assert answer.json["error"] == "invalid_client"


async def test_an_app_of_ours_never_acts_in_its_own_name(gateway: Gateway, apps: Apps) -> None:
    answer = await trade(gateway, apps.desk, grant_type="client_credentials")
    assert answer.json["error"] == "unauthorized_client"


async def test_a_refresh_token_comes_where_it_was_asked_for(browser: Browser, apps: Apps) -> None:
    assert "refresh_token" not in await tokens_of(browser, apps.desk)
    assert (await tokens_of(browser, apps.desk, scope=STAY))["refresh_token"]


async def test_a_refresh_token_that_comes_again_ends_its_family(
    gateway: Gateway, browser: Browser, apps: Apps, pass_time: Callable[[float], None]
) -> None:
    first = (await tokens_of(browser, apps.desk, scope=STAY))["refresh_token"]
    second = (await refresh(gateway, apps.desk, first)).json
    assert (await refresh(gateway, apps.desk, first)).json["refresh_token"] == second["refresh_token"]
    third = (await refresh(gateway, apps.desk, second["refresh_token"])).json
    assert refused(await refresh(gateway, apps.desk, first))
    assert await lists_payments(gateway, third["access_token"]) == 401
    assert refused(await refresh(gateway, apps.desk, third["refresh_token"]))
    late = (await tokens_of(browser, apps.desk, scope=STAY))["refresh_token"]
    fresh = (await refresh(gateway, apps.desk, late)).json
    pass_time(GRACE_US / 1_000_000 + 1)
    assert refused(await refresh(gateway, apps.desk, late))
    assert await lists_payments(gateway, fresh["access_token"]) == 401


async def test_a_refresh_token_is_for_its_client_alone(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    token = (await tokens_of(browser, apps.desk, scope=STAY))["refresh_token"]
    login = (await gateway.log_in(CUSTOMER)).json["refresh_token"]
    assert refused(await refresh(gateway, apps.shop, token))
    assert refused(await refresh(gateway, apps.desk, login))
    assert (await gateway.ask("POST", "/v1/login/refresh", {"refresh_token": token})).code == "unauthenticated"
    assert (await refresh(gateway, apps.desk, token)).status == 200  # none of them has used it up
    assert (await gateway.ask("POST", "/v1/login/refresh", {"refresh_token": login})).status == 200


async def test_a_refresh_may_ask_for_less_and_never_for_more(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    token = (await tokens_of(browser, apps.desk, scope=STAY))["refresh_token"]
    less = (await refresh(gateway, apps.desk, token, scope="openid")).json
    assert less["scope"] == "openid"
    assert await lists_payments(gateway, less["access_token"]) == 403
    more = await refresh(gateway, apps.desk, less["refresh_token"], scope="openid reviews:read")
    assert more.json["error"] == "invalid_scope"


async def test_an_id_token_is_no_access_token_and_the_other_way(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    made = await tokens_of(browser, apps.desk, scope=STAY)
    assert await lists_payments(gateway, made["id_token"]) == 401
    assert await lists_payments(gateway, made["refresh_token"]) == 401
    for token in (made["access_token"], made["id_token"]):
        assert refused(await refresh(gateway, apps.desk, token))
        assert refused(await redeem(gateway, apps.desk, token))


async def test_a_revoked_token_takes_its_session_along(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    for kind in ("access_token", "refresh_token"):
        made = await tokens_of(browser, apps.desk, scope=STAY)
        assert (await revoke(gateway, apps.desk, made[kind])).status == 200
        assert await lists_payments(gateway, made["access_token"]) == 401
        assert refused(await refresh(gateway, apps.desk, made["refresh_token"]))
    assert (await revoke(gateway, apps.desk, "nonsense")).status == 200


async def test_nobody_revokes_a_token_of_another_client(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    made = await tokens_of(browser, apps.desk, scope=STAY)
    for kind in ("access_token", "refresh_token"):
        assert refused(await revoke(gateway, apps.phone, made[kind]))
        assert (await revoke(gateway, App("desk", "wrong", ""), made[kind])).json["error"] == "invalid_client"
    assert await lists_payments(gateway, made["access_token"]) == 200
    own = (await trade(gateway, apps.shop, grant_type="client_credentials")).json["access_token"]
    assert (await revoke(gateway, apps.shop, own)).json["error"] == "unsupported_token_type"


async def revoke(gateway: Gateway, app: App, token: str) -> Answer:
    fields = {"client_id": app.id, "token": token} | ({"client_secret": app.secret} if app.secret else {})
    return await gateway.ask("POST", "/oauth/revoke", urlencode(fields).encode(), content_type=FORM)


async def test_the_books_hold_no_code_and_no_token(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    code = await browser.code(apps.desk, scope=STAY)
    made = (await redeem(gateway, apps.desk, code)).json

    def stored(conn: Connection) -> str:
        tables = ("authorization_codes", "sessions", "refresh_tokens")
        return str([conn.exec_driver_sql(f"SELECT * FROM {table}").all() for table in tables])

    written = await gateway.runtime.books.read(stored)
    secrets = [code, made["access_token"], made["refresh_token"], made["id_token"]]
    assert not [secret for secret in secrets if secret in written]


async def test_a_token_of_ours_lasts_a_working_day_and_others_a_quarter_of_an_hour(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    assert (await tokens_of(browser, apps.desk))["expires_in"] == 8 * 3600
    code = sent(await browser.decide(apps.phone, "allow", prompt="consent"))["code"]
    made = (await redeem(gateway, apps.phone, code)).json
    assert made["expires_in"] == 900
    claims = await claims_of(gateway, made["access_token"])
    assert (claims["aud"], claims["client_id"], claims["scope"]) == ("sluice", "phone", made["scope"])
