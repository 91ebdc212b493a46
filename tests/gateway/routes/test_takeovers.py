"""How somebody else's account would be taken over, or its owner kept out; each test fails without one defence."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import Connection, select

from gateway.books import audit, consents
from gateway.books.sessions import SessionRow, start
from gateway.identity.login_tries import Whence
from gateway.identity.logins import InvalidCredentials, begin_session, check_password
from gateway.settings import GatewaySettings
from schemas.ids import new_id
from schemas.times import now_micros, steady_micros
from tests.gateway.conftest import PASSWORD, Answer, Gateway
from tests.gateway.post import Post, with_post
from tests.gateway.routes.holder import Holder, free_limits, stop_clock
from tests.patience import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "plum under the kestrel"


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    free_limits(monkeypatch)


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


def address() -> str:
    return f"{uuid4().hex}@example.com"


async def confirm(gateway: Gateway, token: str) -> Answer:
    return await gateway.ask("POST", "/v1/email/confirm", {"token": token})


async def change(gateway: Gateway, who: str, **body: Any) -> Answer:
    return await gateway.ask("PATCH", "/v1/me", body, who)


@pytest.mark.parametrize("scope", ["account", "account credentials"])
async def test_an_app_that_changes_an_account_does_not_take_it_over(gateway: Gateway, scope: str) -> None:
    """Its own address would be the account's, and whoever reads its mails sets the password."""
    account = (await gateway.ask("GET", "/v1/me", who=await gateway.sign_up())).json["id"]
    app = SessionRow(
        id=new_id("ses"), account_id=account, created_at=now_micros(), kind="app", client_id="x", scopes=scope
    )
    await gateway.runtime.books.write(start, app, app.id.encode(), steady_micros() + 60_000_000)
    token = gateway.runtime.tokens.sign(account, "customer", frozenset(scope.split()), app.id, client_id="x")
    assert (await change(gateway, token, name="Another")).status == 200
    refused = await change(gateway, token, email=address())
    assert refused.code == ("invalid_credentials" if "credentials" in scope else "forbidden")
    assert (await gateway.ask("GET", "/v1/me", who=token)).json["new_email"] is None


async def test_an_old_login_gives_its_password_for_another_address(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    token = await gateway.sign_up()
    pass_time(10 * 60 + 1)
    for password in ({}, {"password": ""}, {"password": "wrong password"}):
        assert (await change(gateway, token, email=address(), **password)).code == "invalid_credentials"
    assert (await change(gateway, token, name="Another")).status == 200
    assert (await change(gateway, token, email=address(), password=PASSWORD)).status == 200


async def test_an_owner_is_told_before_another_address_counts(gateway: Gateway, post: Post) -> None:
    email = address()
    token = await gateway.sign_up(email)
    await confirm(gateway, await post.token(email))
    await change(gateway, token, email=address())
    await eventually(lambda: len(post.to(email)) == 2)
    assert post.to(email)[-1].subject == "Your account is to have another address"


async def test_a_new_password_ends_a_change_of_address_that_waits(gateway: Gateway, post: Post) -> None:
    """Whoever had the account for a moment would have it back by the mail that went to theirs."""
    email, thief = address(), address()
    token = await gateway.sign_up(email)
    await confirm(gateway, await post.token(email))
    await change(gateway, token, email=thief)
    theirs = await post.token(thief)
    changed = await gateway.ask("POST", "/v1/me/password", {"old": PASSWORD, "new": NEW}, token)
    assert changed.status == 204
    assert (await gateway.ask("GET", "/v1/me", who=token)).json["new_email"] is None
    assert (await confirm(gateway, theirs)).code == "confirmation_invalid"


async def test_a_new_password_leaves_what_confirms_the_accounts_own_address(gateway: Gateway, post: Post) -> None:
    email = address()
    token = await gateway.sign_up(email)
    await gateway.ask("POST", "/v1/me/password", {"old": PASSWORD, "new": NEW}, token)
    assert (await confirm(gateway, await post.token(email))).status == 204


async def test_who_registered_with_an_address_of_somebody_else_does_not_keep_them_out(
    gateway: Gateway, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a second factor; nor does an app of theirs find itself allowed (account pre-hijacking)."""
    stranger = Holder(gateway, stop_clock(monkeypatch))
    stranger.token = await gateway.sign_up(stranger.email)
    await stranger.set_up()
    assert (await stranger.confirm(stranger.code())).status == 204
    books, account = gateway.runtime.books, (await gateway.ask("GET", "/v1/me", who=stranger.token)).json["id"]
    await books.write(consents.give, account, "dashboard", frozenset({"account"}), 1)
    await gateway.ask("POST", "/v1/password/reset", {"email": stranger.email})
    await eventually(lambda: [mail.subject for mail in post.to(stranger.email)].count("Set a new password") == 1)
    body = {"token": await post.link(stranger.email, len(post.to(stranger.email))), "password": NEW}
    assert (await gateway.ask("POST", "/v1/password/reset/confirm", body)).status == 204
    assert (await gateway.log_in(stranger.email, NEW)).status == 200
    assert await books.read(consents.allowed, account, "dashboard") == frozenset()


async def test_a_confirmed_ones_second_factor_outlives_a_reset(
    gateway: Gateway, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await Holder(gateway, stop_clock(monkeypatch)).sign_up()
    await gateway.ask("POST", "/v1/password/reset", {"email": holder.email})
    await eventually(lambda: "Set a new password" in [mail.subject for mail in post.to(holder.email)])
    (mail,) = [mail for mail in post.to(holder.email) if mail.subject == "Set a new password"]
    body = {"token": await post.link(holder.email, 1 + post.to(holder.email).index(mail)), "password": NEW}
    assert (await gateway.ask("POST", "/v1/password/reset/confirm", body)).status == 204
    assert (await holder.log_in(password=NEW)).code == "otp_required"


async def test_no_login_that_is_on_its_way_gets_past_a_second_factor(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was set after the password was looked at, and ended every session but one."""
    holder, whence = Holder(gateway, stop_clock(monkeypatch)), Whence("", "")
    holder.token = await gateway.sign_up(holder.email)
    await holder.set_up()
    late = await check_password(gateway.runtime, holder.email, PASSWORD, whence)
    assert (await holder.confirm(holder.code())).status == 204
    with pytest.raises(InvalidCredentials):
        await begin_session(gateway.runtime, late, whence, proved=False)


async def test_a_refused_login_is_audited_whether_or_not_there_is_an_account(gateway: Gateway) -> None:
    before = await gateway.runtime.books.read(refusals)
    await gateway.log_in(address(), "wrong")
    await eventually(lambda: not gateway.runtime.running)
    assert await gateway.runtime.books.read(refusals) == [*before, ("", '{"wrong":"address"}')]


def refusals(conn: Connection) -> list[tuple[str, str]]:
    """The subject and the detail of each refused login."""
    rows = audit.audit.c
    found = conn.execute(select(rows.subject_id, rows.detail).where(rows.kind == "login_refused").order_by(rows.n))
    return [(row.subject_id, row.detail) for row in found]
