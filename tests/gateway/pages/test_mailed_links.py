"""What one comes to from a mail: a page that asks, and does nothing until its button is pressed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.books import accounts
from gateway.books.accounts import Account
from gateway.identity.links import invite
from gateway.identity.registrations import Applicant, make_account
from gateway.settings import GatewaySettings
from tests.gateway.conftest import PASSWORD, Gateway
from tests.gateway.pages.conftest import Surfer, code_of, logged_in
from tests.gateway.post import Post, with_post

ADA = "ada@example.com"
NEW = "violet anchor teapot 7"


@pytest.fixture
async def mailed(gateway_settings: GatewaySettings) -> AsyncIterator[tuple[Gateway, Post]]:
    """A gateway, and what its mails come to."""
    async with with_post(gateway_settings) as both:
        yield both


async def registered(gateway: Gateway, email: str = ADA, password: str = PASSWORD) -> Surfer:
    surfer = Surfer(gateway)
    await surfer.open("/register?next=%2Foauth%2Fauthorize")
    await surfer.send(name="Ada", email=email, password=password)
    return surfer


async def account_of(gateway: Gateway, email: str = ADA) -> Account:
    found = await gateway.runtime.books.read(accounts.by_email, email)
    assert found
    return found


async def test_who_registers_is_logged_in_and_confirms_by_a_button(mailed: tuple[Gateway, Post]) -> None:
    gateway, post = mailed
    surfer = await registered(gateway)
    assert surfer.page.title == "Your account is ready · Sluice"
    assert (await surfer.open(surfer.page.links[0])).links[0] == "/oauth/authorize"
    token = await post.link(ADA)
    for scanner in (Surfer(gateway), surfer):
        await scanner.open(f"/confirm-email?token={token}")
        assert (await account_of(gateway)).email_confirmed_at is None
    assert (await scanner.send()).title == "Your address is confirmed · Sluice"
    assert (await account_of(gateway)).email_confirmed_at is not None
    await surfer.open("/confirm-email")
    await surfer.send(token=token)
    assert (surfer.answer.status, surfer.page.alerts) == (422, 1)
    assert (await surfer.send(1)).title == "Your address is confirmed · Sluice"  # nothing to ask for any more


async def test_a_registration_says_what_is_wrong(mailed: tuple[Gateway, Post]) -> None:
    gateway, _ = mailed
    surfer = await registered(gateway, email="nobody@", password="password1234")
    assert surfer.answer.status == 422
    assert surfer.page.alerts == 1
    assert PASSWORD.encode() not in surfer.answer.body
    await surfer.send(email=ADA, password="password1234")
    assert (surfer.answer.status, surfer.page.forms[0].fields["email"]) == (422, ADA)
    await surfer.send(email="customer@example.com", password=PASSWORD)
    assert (surfer.answer.status, surfer.page.title) == (409, "Error: Create an account · Sluice")


async def test_a_new_mail_is_sent_to_who_asks_for_it(mailed: tuple[Gateway, Post]) -> None:
    gateway, post = mailed
    surfer = await registered(gateway)
    first = await post.link(ADA)
    await surfer.open("/confirm-email")
    assert "on its way" in (await surfer.send(1)).text
    assert await post.link(ADA, 2) != first
    stranger = Surfer(gateway)
    assert len((await stranger.open("/confirm-email")).forms) == 1
    await stranger.post("/confirm-email/again", stranger.page.forms[0].fields)
    assert stranger.page.title == "Log in · Sluice"


async def test_a_forgotten_password_is_set_anew_once(mailed: tuple[Gateway, Post]) -> None:
    gateway, post = mailed
    thief = await logged_in(gateway, ADA) if (await registered(gateway)) else Surfer(gateway)
    assert "You are logged in" in thief.page.text
    surfer = Surfer(gateway)
    await surfer.open("/reset")
    asked: list[Any] = []
    for email in ("nobody@example.com", ADA):
        await surfer.open("/reset")
        asked.append((await surfer.send(email=email)).text)
    assert asked[0] == asked[1]
    token = await post.link(ADA, 2)
    shown = await surfer.open(f"/reset?token={token}")
    assert shown.title == "Choose a new password · Sluice"
    await surfer.send(password="password1234")
    assert (surfer.answer.status, surfer.page.alerts) == (422, 1)
    assert (await surfer.send(password=NEW)).title == "Your password is changed · Sluice"
    assert "You are logged in" not in (await thief.open("/login")).text
    for again in (f"/reset?token={token}", "/reset?token=nonsense"):
        await surfer.open(again)
        assert (surfer.answer.status, surfer.page.title) == (410, "Error: The link does not work · Sluice")
    await surfer.open("/login")
    assert "You are logged in" in (await surfer.send(email=ADA, password=NEW)).text


async def test_who_is_invited_sets_password_and_second_factor_and_is_in(mailed: tuple[Gateway, Post]) -> None:
    gateway, post = mailed
    runtime = gateway.runtime
    parts = (runtime.books, runtime.passwords, runtime.confirmation_rules)
    applicant = Applicant(email="grace@example.com", name="Grace", role="analyst")
    account = await make_account(*parts, applicant, "acc_admin")
    first = await post.link("grace@example.com")
    await runtime.books.write(invite, runtime.confirmation_rules, account, "acc_admin")
    token = await post.link("grace@example.com", 2)
    surfer = Surfer(gateway)
    await surfer.open(f"/invitation?token={first}")
    assert surfer.answer.status == 410
    await surfer.open(f"/invitation?token={token}")
    assert (await surfer.send(password=NEW)).title == "Set up your second factor · Sluice"
    shown = await surfer.send()
    assert (await surfer.send(otp=code_of(shown))).title == "Your second factor is on · Sluice"
    assert "grace@example.com" in (await surfer.open("/login")).text
