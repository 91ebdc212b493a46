"""Passwords are changed by who knows the old one, and set anew by who reads the account's mails."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.books import accounts
from gateway.books.accounts import Account
from gateway.settings import SEED_PASSWORD, GatewaySettings
from tests.gateway.conftest import PASSWORD, Answer, Gateway
from tests.gateway.post import Post, with_post
from tests.patience import PATIENCE_S, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "plum under the kestrel"
ABROAD = "203.0.113.7"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def posted(shared_settings: GatewaySettings) -> AsyncIterator[tuple[Gateway, Post]]:
    async with with_post(shared_settings) as both:
        yield both


@pytest.fixture
def gateway(posted: tuple[Gateway, Post]) -> Gateway:
    return posted[0]


@pytest.fixture
def post(posted: tuple[Gateway, Post]) -> Post:
    return posted[1]


async def confirmed(gateway: Gateway, post: Post, email: str) -> str:
    """A token of somebody new who has confirmed the address."""
    token = await gateway.sign_up(email)
    await gateway.ask("POST", "/v1/email/confirm", {"token": await post.token(email)})
    return token


async def reset(gateway: Gateway, email: str, **headers: str) -> Answer:
    return await gateway.ask("POST", "/v1/password/reset", {"email": email}, **headers)


async def set_by(gateway: Gateway, token: str, password: str = NEW) -> Answer:
    body = {"token": token, "password": password}
    return await gateway.ask("POST", "/v1/password/reset/confirm", body)


async def alive(gateway: Gateway, token: str) -> bool:
    return (await gateway.ask("GET", "/v1/me", who=token)).status == 200


async def account_of(gateway: Gateway, email: str) -> Account:
    found = await gateway.runtime.books.read(accounts.by_email, email)
    assert found
    return found


async def test_a_change_ends_every_other_session_and_its_owner_is_told(gateway: Gateway, post: Post) -> None:
    mine = await confirmed(gateway, post, "changes@example.com")
    other = (await gateway.log_in("changes@example.com", PASSWORD)).json["access_token"]
    answer = await gateway.ask("POST", "/v1/me/password", {"old": PASSWORD, "new": NEW}, mine)
    assert (answer.status, answer.body) == (204, b"")
    assert await alive(gateway, mine)
    assert not await alive(gateway, other)
    assert (await gateway.log_in("changes@example.com", PASSWORD)).code == "invalid_credentials"
    assert (await gateway.log_in("changes@example.com", NEW)).status == 200
    await eventually(lambda: len(post.to("changes@example.com")) == 2)
    assert post.to("changes@example.com")[1].subject == "Your password was changed"


async def test_who_has_somebodys_token_does_not_guess_the_old_password(gateway: Gateway) -> None:
    mine = await gateway.sign_up("guessed@example.com")
    answers = [
        await gateway.ask("POST", "/v1/me/password", {"old": f"guess number {n}", "new": NEW}, mine)
        for n in range(10)
    ]
    assert {answer.status for answer in answers} == {422}
    assert answers[0].json["errors"] == [{"path": "$.old", "message": "Not the password of this account."}]
    right = await gateway.ask("POST", "/v1/me/password", {"old": PASSWORD, "new": NEW}, mine)
    assert (right.code, int(right.headers["Retry-After"]) > 3000) == ("rate_limited", True)


@pytest.mark.parametrize("new", ["password1234", "guest@ sluice", "short", PASSWORD])
async def test_a_weak_new_password_is_refused_with_its_path(gateway: Gateway, new: str) -> None:
    answer = await gateway.ask("POST", "/v1/me/password", {"old": PASSWORD, "new": new}, "customer")
    assert (answer.code, [error["path"] for error in answer.json["errors"]]) == ("invalid_request", ["$.new"])
    assert new.encode() not in answer.body


async def test_a_reset_ends_all_sessions_unlocks_and_confirms_the_address(gateway: Gateway, post: Post) -> None:
    mine = await gateway.sign_up("resets@example.com")
    for _ in range(10):
        await gateway.log_in("resets@example.com", "wrong", ip=ABROAD)
    assert (await reset(gateway, "Resets@example.com")).status == 202
    answer = await set_by(gateway, await post.link("resets@example.com", 2))
    assert (answer.status, answer.body) == (204, b"")
    assert not await alive(gateway, mine)
    assert (await gateway.log_in("resets@example.com", NEW, ip=ABROAD)).status == 200
    assert (await account_of(gateway, "resets@example.com")).email_confirmed_at is not None


async def test_a_used_an_older_and_a_guessed_token_set_nothing(gateway: Gateway, post: Post) -> None:
    await gateway.sign_up("links@example.com")
    await reset(gateway, "links@example.com")
    older = await post.link("links@example.com", 2)
    await reset(gateway, "links@example.com")
    newest = await post.link("links@example.com", 3)
    assert (await set_by(gateway, older)).code == "confirmation_invalid"
    assert (await set_by(gateway, newest, "password1234")).json["errors"][0]["path"] == "$.password"
    assert (await set_by(gateway, newest)).status == 204
    for token in (newest, older, "guess", ""):
        assert (await set_by(gateway, token)).code == "confirmation_invalid"


async def test_of_two_who_come_with_a_link_at_once_one_sets_the_password(gateway: Gateway, post: Post) -> None:
    await gateway.sign_up("twice@example.com")
    await reset(gateway, "twice@example.com")
    token = await post.link("twice@example.com", 2)
    answers = await asyncio.gather(*[set_by(gateway, token, f"{NEW} {n}") for n in range(4)])
    assert sorted(answer.status for answer in answers) == [204, 422, 422, 422]


async def test_nobody_learns_from_a_reset_who_has_an_account(gateway: Gateway, post: Post) -> None:
    """Answer, headers and mail are the same; so is the work, for nobody waits for what finds the account."""
    await gateway.sign_up("known@example.com")
    await post.token("known@example.com")
    known, unknown = [await reset(gateway, f"{who}@example.com") for who in ("known", "unknown")]
    assert (known.status, known.body) == (unknown.status, unknown.body) == (202, b"")
    for answer in (known, unknown):
        del answer.headers["Request-Id"]
    assert list(known.headers) == list(unknown.headers)
    await post.link("known@example.com", 2)
    assert post.to("unknown@example.com") == []


async def test_a_reset_answers_before_the_account_is_looked_for(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def slow(*_: object) -> None:
        asked.set()
        await go_on.wait()

    monkeypatch.setattr("gateway.identity.password_changes._mail_reset", slow)
    async with asyncio.timeout(PATIENCE_S):  # for ever, where it waited
        assert (await reset(gateway, "customer@example.com")).status == 202
    await asked.wait()
    go_on.set()


async def test_a_flood_of_resets_reaches_a_mailbox_seven_times_an_hour(gateway: Gateway, post: Post) -> None:
    await gateway.sign_up("flooded@example.com")
    await post.token("flooded@example.com")
    for _ in range(12):
        assert (await reset(gateway, "flooded@example.com")).status == 202
    await gateway.runtime.books.write(lambda conn: None)  # whatever was asked for is in the books
    await eventually(lambda: len(gateway.runtime.running) == 0)
    await eventually(lambda: _none_waits(gateway))
    assert 1 < len(post.to("flooded@example.com")) <= 7
    last = len(post.to("flooded@example.com"))
    assert (await set_by(gateway, await post.link("flooded@example.com", last))).status == 204


async def _none_waits(gateway: Gateway) -> bool:
    counted = await gateway.runtime.books.read(
        lambda conn: conn.exec_driver_sql("SELECT count(*) FROM letters").scalar()
    )
    return counted == 0


async def test_a_network_asks_for_thirty_resets_an_hour_whatever_the_address(gateway: Gateway) -> None:
    same_64 = ("2001:db8:1:2::1", "2001:db8:1:2::ffff")
    answers = [await reset(gateway, f"{n}@example.com", ip=same_64[n % 2]) for n in range(31)]
    assert [answer.status for answer in answers] == [202] * 30 + [429]
    assert (await reset(gateway, "x@example.com", ip="2001:db8:1:3::1")).status == 202


async def test_links_lead_to_our_own_address_whatever_host_was_named(gateway: Gateway, post: Post) -> None:
    await gateway.sign_up("host@example.com")
    await post.token("host@example.com")
    poisoned = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    await gateway.ask("POST", "/v1/password/reset", {"email": "host@example.com"}, **poisoned)
    await reset(gateway, "host@example.com", **{"X-Forwarded-Host": "evil.example"})
    await post.link("host@example.com", 2)
    mail = post.to("host@example.com")[-1]
    assert f"{gateway.runtime.settings.public_url}/reset?token=" in mail.text
    assert "evil" not in mail.text + mail.html


async def test_a_disabled_person_gets_no_link_and_no_login(gateway: Gateway, post: Post) -> None:
    mine = await gateway.sign_up("off@example.com")
    await post.token("off@example.com")
    account = await account_of(gateway, "off@example.com")
    change = {"disabled": True}
    assert (await gateway.ask("PATCH", f"/v1/accounts/{account.id}", change, "admin")).status == 200
    assert not await alive(gateway, mine)
    assert (await gateway.log_in("off@example.com", PASSWORD)).code == "invalid_credentials"
    await reset(gateway, "off@example.com")
    await eventually(lambda: len(gateway.runtime.running) == 0)
    assert len(post.to("off@example.com")) == 1


async def test_no_password_or_token_reaches_the_log(
    gateway: Gateway, post: Post, capfd: pytest.CaptureFixture[str]
) -> None:
    await gateway.sign_up("quiet@example.com")
    await reset(gateway, "quiet@example.com")
    token = await post.link("quiet@example.com", 2)
    await set_by(gateway, token)
    gateway.runtime.log_lines.write()
    said = "".join(capfd.readouterr())
    assert token not in said
    assert NEW not in said
    assert SEED_PASSWORD not in said
