"""Who may send a form: a page that we sent to the same browser. Each test has one defence against other sites."""

import pytest

from gateway.pages.forms import FIELD_MAX
from gateway.settings import SEED_PASSWORD
from tests.gateway.conftest import Gateway
from tests.gateway.pages.conftest import FORM, Surfer, logged_in

pytestmark = pytest.mark.asyncio(loop_scope="module")
RIGHT = {"email": "customer@example.com", "password": SEED_PASSWORD}
SAYS_NOTHING: dict[str, str] = {}  # an old browser, or no browser


async def still_in(surfer: Surfer) -> bool:
    return "You are logged in" in (await surfer.open("/login")).text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unheard-of"])
async def test_a_form_of_another_site_is_refused_by_what_its_browser_says(gateway: Gateway, site: str) -> None:
    """With the right cookies and token, as a browser that sends cookies anyhow and a leaked token would bring."""
    surfer = await logged_in(gateway)
    await surfer.open("/logout")
    await surfer.send(headers={"Sec_Fetch_Site": site})
    assert (surfer.answer.status, surfer.page.title) == (403, "Error: Please open the page again · Sluice")
    assert await still_in(surfer)


@pytest.mark.parametrize(
    "sender", ["https://evil.example", "http://localhost:1", "http://localhost.evil", "file://"]
)
async def test_a_form_of_another_origin_is_refused(gateway: Gateway, sender: str) -> None:
    surfer = await logged_in(gateway)
    await surfer.open("/logout")
    await surfer.send(headers={"Origin": sender})
    assert surfer.answer.status == 403
    assert await still_in(surfer)


@pytest.mark.parametrize("origin", ["", "null"])
async def test_our_own_form_is_taken(gateway: Gateway, origin: str) -> None:
    surfer = await logged_in(gateway)
    await surfer.open("/logout")
    own = {"Origin": origin or gateway.runtime.settings.public_url}
    assert "You are logged out" in (await surfer.send(headers=own)).text


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
async def test_a_form_without_its_token_is_refused(gateway: Gateway, token: str) -> None:
    surfer = await logged_in(gateway)
    await surfer.open("/logout")
    await surfer.send(form_token=token, headers=SAYS_NOTHING)
    assert surfer.answer.status == 403
    assert await still_in(surfer)


async def test_nobody_is_logged_in_as_somebody_else_by_a_form_of_theirs(gateway: Gateway, surfer: Surfer) -> None:
    """Login CSRF: the attacker's own token, from the attacker's own browser, in the victim's."""
    attacker = Surfer(gateway)
    await attacker.open("/login")
    await surfer.open("/login")
    await surfer.post("/login", attacker.page.forms[0].fields | RIGHT, SAYS_NOTHING)
    assert (surfer.answer.status, "sluice_session" in surfer.cookies) == (403, False)
    bare = Surfer(gateway)  # `SameSite`: no cookie comes along
    await bare.post("/login", attacker.page.forms[0].fields | RIGHT, SAYS_NOTHING)
    assert (bare.answer.status, "sluice_session" in bare.cookies) == (403, False)


async def test_a_token_of_before_the_login_is_none_after_it(gateway: Gateway) -> None:
    surfer = Surfer(gateway)
    before = (await surfer.open("/login")).forms[0].fields
    await surfer.send(**RIGHT)
    await surfer.post("/logout", before)
    assert surfer.answer.status == 403
    assert await still_in(surfer)


@pytest.mark.parametrize(
    "body", [b"form_token=a&form_token=b", b"email=" + b"a" * (FIELD_MAX + 1), b"email=a%00b", b"a=1&a=2"]
)
async def test_a_field_that_is_too_long_or_there_twice_is_refused(surfer: Surfer, body: bytes) -> None:
    token = (await surfer.open("/login")).forms[0].fields["form_token"]
    cookie = f"sluice_form={surfer.cookies['sluice_form']}"
    sent = body + f"&form_token={token}".encode() if b"form_token" not in body else body
    answer = await surfer.gateway.ask("POST", "/login", sent, content_type=FORM, cookie=cookie)
    assert answer.status in (400, 403)


async def test_a_form_is_sent_as_a_form(surfer: Surfer) -> None:
    token = (await surfer.open("/login")).forms[0].fields["form_token"]
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        body = f"form_token={token}".encode()
        answer = await surfer.gateway.ask("POST", "/login", body, content_type=kind)
        assert answer.status == 400
