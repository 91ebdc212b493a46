"""Attacks on the way to a code (RFC 9700, RFC 9207, RFC 6749 §10): each is refused, and sends nobody anywhere."""

from urllib.parse import urlencode, urlsplit

import pytest
import pytest_asyncio

from gateway.books.sessions import revoke
from tests.gateway.conftest import Gateway
from tests.gateway.routes.apps import (
    CHALLENGE,
    CUSTOMER,
    MERCHANT,
    NATIVE,
    App,
    Apps,
    Browser,
    asked,
    log_in,
    register,
    register_apps,
    sent,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def apps(gateway: Gateway) -> Apps:
    return await register_apps(gateway)


@pytest_asyncio.fixture(loop_scope="module")
async def browser(gateway: Gateway) -> Browser:
    return await log_in(gateway, CUSTOMER)


@pytest.mark.parametrize("kind", ["desk", "phone"])
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},  # which is plain
        {"code_challenge_method": "s256"},
        {"code_challenge": CHALLENGE[:-1]},
        {"code_challenge": CHALLENGE + "\n"},
    ],
)
async def test_no_code_without_pkce_by_s256(
    browser: Browser, apps: Apps, kind: str, changes: dict[str, str | None]
) -> None:
    told = sent(await browser.authorize(getattr(apps, kind), **changes))
    assert told["error"] == "invalid_request"
    assert "code" not in told


@pytest.mark.parametrize(
    "given",
    [
        "https://desk.example/cb/",
        "https://desk.example/cb/../evil",
        "https://desk.example/cb?x=1",
        "https://desk.example/cb#x",
        "https://desk.example/CB",
        "https://DESK.example/cb",
        "https://desk.example:443/cb",
        "http://desk.example/cb",
        "https://user@desk.example/cb",
        "https://desk.example@evil.example/cb",
        "https://desk.example.evil.example/cb",
        "https://evil.example/?https://desk.example/cb",
        "https://desk.example\\@evil.example/cb",
        "//desk.example/cb",
        "javascript:alert(1)",
        " https://desk.example/cb",
        "https://desk.example/cb\n",
        "http://127.0.0.1:9/cb",  # the ports of this machine are for public clients
        None,
    ],
)
async def test_an_address_that_is_not_the_registered_one_is_a_page_and_no_redirect(
    browser: Browser, apps: Apps, given: str | None
) -> None:
    for changes in ({}, {"response_type": "token"}, {"prompt": "none"}, {"scope": "nonsense"}):
        answer = await browser.authorize(apps.desk, redirect_uri=given, **changes)
        assert (answer.status, "Location" in answer.headers) == (403, False)
        assert b"evil" not in answer.body


@pytest.mark.parametrize("client", ["nobody", "", None, "desk'--", "notifications"])
async def test_a_client_that_we_do_not_know_is_a_page_and_no_redirect(
    browser: Browser, apps: Apps, client: str | None
) -> None:
    answer = await browser.authorize(apps.desk, client_id=client)
    assert (answer.status, "Location" in answer.headers) == (403, False)


@pytest.mark.parametrize(
    "name", ["redirect_uri", "client_id", "state", "code_challenge", "response_type", "scope"]
)
async def test_a_parameter_that_is_there_twice_is_a_page_and_no_redirect(
    browser: Browser, apps: Apps, name: str
) -> None:
    query = urlencode([*asked(apps.desk).items(), (name, "https://evil.example/")])
    answer = await browser.get(f"/oauth/authorize?{query}")
    assert (answer.status, "Location" in answer.headers) == (422, False)


@pytest.mark.parametrize("changes", [{"scope": "nonsense"}, {"response_type": "token"}, {"code_challenge": None}])
async def test_an_error_sends_nobody_to_a_client_before_they_have_logged_in(
    gateway: Gateway, apps: Apps, changes: dict[str, str | None]
) -> None:
    answer = await Browser(gateway, "", "").authorize(apps.shop, **changes)
    assert answer.headers["Location"].startswith("/login?next=%2Foauth%2Fauthorize")


@pytest.mark.parametrize("type", ["token", "id_token", "code token", "code id_token", "none", "", None])
async def test_nothing_but_a_code_is_given_by_way_of_a_browser(
    browser: Browser, apps: Apps, type: str | None
) -> None:
    told = sent(await browser.authorize(apps.desk, response_type=type))
    assert told["error"] == "unsupported_response_type"
    assert not told.keys() & {"code", "access_token", "id_token"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "٣"}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
    ],
)
async def test_what_we_do_not_do_is_said(
    browser: Browser, apps: Apps, changes: dict[str, str], error: str
) -> None:
    assert sent(await browser.authorize(apps.desk, **changes))["error"] == error


async def test_each_answer_says_whose_it_is_errors_too(browser: Browser, apps: Apps) -> None:
    """Mix-up: an honest client would send our code to another provider (RFC 9700 §4.4)."""
    for changes in ({}, {"scope": "admin"}, {"prompt": "none", "max_age": "0"}, {"response_type": "token"}):
        assert sent(await browser.authorize(apps.desk, **changes))["iss"] == "http://localhost:8080"


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        ("http://127.0.0.1:51004/cb", True),
        (NATIVE, True),
        ("http://127.0.0.1:51004/other", False),
        ("http://localhost:51004/cb", False),
        ("http://127.0.0.2:51004/cb", False),
        ("https://127.0.0.1:51004/cb", False),
        ("http://user@127.0.0.1:51004/cb", False),
        ("http://127.0.0.1:99999/cb", False),
        ("http://127.0.0.1:80@evil.example/cb", False),
        ("https://app.example:444/cb", False),
    ],
)
async def test_a_native_app_may_listen_on_any_port_of_its_own_machine(
    browser: Browser, apps: Apps, given: str, is_taken: bool
) -> None:
    answer = await browser.authorize(apps.phone, redirect_uri=given)
    assert answer.status == (200 if is_taken else 403)  # 200: the person is asked


async def test_a_merchants_app_gets_no_staff_and_no_merchants(gateway: Gateway, apps: Apps) -> None:
    for email in (MERCHANT, "analyst@example.com", "admin@example.com"):
        told = sent(await (await log_in(gateway, email)).authorize(apps.shop))
        assert told["error"] == "access_denied"


async def test_a_public_client_may_what_customers_may_at_most(gateway: Gateway) -> None:
    app = await register(gateway, App("ours", "", "https://ours.example/cb"), "payments:read reviews:read")
    admin = await log_in(gateway, "admin@example.com")
    assert sent(await admin.authorize(app, scope="reviews:read"))["error"] == "invalid_scope"
    assert "code" in sent(await admin.authorize(app, scope="payments:read"))


async def test_nobody_consents_by_a_form_of_another_site(browser: Browser, apps: Apps) -> None:
    path = f"/oauth/consent?{urlencode(asked(apps.shop))}"
    shown = await browser.authorize(apps.shop)
    for token in ("", "0" * 64):
        answer = await browser.send(path, shown, form_token=token, decision="allow")
        assert (answer.status, "Location" in answer.headers) == (403, False)
    assert (await browser.authorize(apps.shop)).status == 200


async def test_nobody_consents_by_the_form_of_somebody_else(
    gateway: Gateway, browser: Browser, apps: Apps
) -> None:
    attacker = await log_in(gateway, "replay@example.com")
    shown = await attacker.authorize(apps.shop)
    token = shown.body.decode().partition('name="form_token" value="')[2].partition('"')[0]
    path = f"/oauth/consent?{urlencode(asked(apps.shop))}"
    assert (await browser.send(path, shown, form_token=token, decision="allow")).status == 403
    assert (await browser.authorize(apps.shop)).status == 200


async def test_no_other_site_frames_the_question(browser: Browser, apps: Apps) -> None:
    headers = (await browser.authorize(apps.shop)).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


async def test_a_login_that_has_ended_gives_no_code(gateway: Gateway, browser: Browser, apps: Apps) -> None:
    await gateway.runtime.books.write(revoke, browser.session_id)
    answer = await browser.authorize(apps.desk)
    assert urlsplit(answer.headers["Location"]).path == "/login"
