"""The queue of what asks to confirm an address: it survives servers that are away, and deaths."""

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Connection, select

from connectors.mail import Mail
from gateway.books.confirmations import ConfirmationRow, confirmations
from gateway.identity import confirmation_sender
from gateway.settings import GatewaySettings
from tests.gateway.conftest import Gateway
from tests.gateway.post import Post, channels_of, served, with_post
from tests.patience import eventually

EMAIL, PHONE = "ada@example.com", "+4915112345678"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation_sender, "LOOKS_EVERY_S", 0.05)
    monkeypatch.setattr(confirmation_sender, "PAUSE_US", 10_000)


async def waiting(gateway: Gateway) -> list[str]:
    """The channels of messages that wait."""
    found = select(confirmations.c.channel).where(confirmations.c.due_at.is_not(None))
    return await gateway.runtime.books.read(lambda conn: sorted(conn.execute(found).scalars()))


async def test_a_message_waits_for_its_server_over_a_restart(gateway_settings: GatewaySettings) -> None:
    post = Post(channels_of(gateway_settings))
    async with served(gateway_settings, post.settings) as gateway:
        await gateway.sign_up(EMAIL, phone=PHONE)
        await eventually(lambda: _tried(gateway))
    await post.open_mail()
    await post.open_sms()
    async with served(gateway_settings, post.settings) as gateway:
        await post.token(EMAIL)
        await post.code(PHONE)
        await eventually(lambda: _none(gateway))
        seeds = await gateway.runtime.books.read(
            lambda conn: conn.execute(select(confirmations.c.seed)).scalars().all()
        )
        assert seeds == [None, None]  # nobody can make the token again
    await post.close()
    assert (len(post.to(EMAIL)), len(post.to(PHONE))) == (1, 1)


async def _tried(gateway: Gateway) -> bool:
    sends = select(confirmations.c.sends)
    return min(await gateway.runtime.books.read(lambda conn: list(conn.execute(sends).scalars()))) >= 2


async def _none(gateway: Gateway) -> bool:
    return not await waiting(gateway)


async def test_whoever_dies_after_the_message_went_out_sends_it_once(
    gateway_settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as the wire lets us: the mail comes again under its id, the short message does not come again."""
    monkeypatch.setattr(confirmation_sender, "LEASE_US", 3_000_000)  # longer than any try takes
    async with with_post(gateway_settings) as (gateway, post):
        died = set[str]()

        def dies(_conn: Connection, row: ConfirmationRow) -> None:
            died.add(row.channel)
            raise RuntimeError("the process is gone")

        with monkeypatch.context() as patch:
            patch.setattr(confirmation_sender.confirmations, "end", dies)
            await gateway.sign_up(EMAIL, phone=PHONE)
            await eventually(lambda: len(died) == 2)
        await eventually(lambda: _none(gateway))
        assert post.to(EMAIL)[0].copies >= 2
        assert (len(post.to(EMAIL)), len(post.to(PHONE))) == (1, 1)


async def test_a_mailbox_that_refuses_is_given_up(gateway_settings: GatewaySettings) -> None:
    async with with_post(gateway_settings) as (gateway, post):
        await gateway.sign_up("bounce@example.com", phone="+15005550001")
        await eventually(lambda: _none(gateway))
        assert list(post.inbox) == []


async def test_what_hangs_holds_up_neither_the_other_channel_nor_others(
    gateway_settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than go out at a time, tried for the second time: the half for what is new is free."""
    monkeypatch.setattr(confirmation_sender, "TRIED_FOR_S", 0.3)  # until each was tried
    async with with_post(gateway_settings) as (gateway, post):
        for n in range(40):
            await gateway.sign_up(f"hang+{n}@example.com")
        await eventually(lambda: _tried(gateway))
        monkeypatch.setattr(confirmation_sender, "TRIED_FOR_S", 600.0)  # longer than anybody waits here
        await gateway.sign_up(EMAIL, phone=PHONE)
        await post.code(PHONE)
        await post.token(EMAIL)


async def test_what_was_asked_for_anew_or_changed_is_not_sent(gateway_settings: GatewaySettings) -> None:
    post = Post(channels_of(gateway_settings))
    async with served(gateway_settings, post.settings) as gateway:
        who = await gateway.sign_up(EMAIL, phone=PHONE)
        await gateway.ask("PATCH", "/v1/me", {"phone": None}, who)
        await gateway.ask("POST", "/v1/me/confirmations", {"channel": "email"}, who)
        erased = await gateway.sign_up("erased@example.com")
        await gateway.ask("DELETE", "/v1/me", who=erased)
        await post.open_mail()
        await post.open_sms()
        await post.token(EMAIL)
        await eventually(lambda: _none(gateway))
    await post.close()
    assert [message.to for message in post.inbox] == [EMAIL]


async def test_a_message_whose_token_is_worth_nothing_any_more_is_not_sent(
    gateway_settings: GatewaySettings, pass_time: Callable[[float], None]
) -> None:
    post = Post(channels_of(gateway_settings))
    async with served(gateway_settings, post.settings) as gateway:
        await gateway.sign_up(EMAIL)
        pass_time(3600)
        await post.open_mail()
        await eventually(lambda: _none(gateway))
    await post.close()
    assert list(post.inbox) == []


async def test_a_channel_without_its_secret_stops_nothing(gateway_settings: GatewaySettings) -> None:
    channels = msgspec.structs.replace(channels_of(gateway_settings), profile="production", sms_countries="DE")
    (gateway_settings.secrets() / "sms.token").unlink(missing_ok=True)
    async with served(gateway_settings, channels) as gateway:
        await gateway.sign_up(phone=PHONE)
        await eventually(lambda: _tried(gateway))
        assert await waiting(gateway) == ["email", "sms"]


async def test_a_mail_is_sent_under_the_id_of_its_message(
    gateway_settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with with_post(gateway_settings) as (gateway, post):
        sent: list[Mail] = []
        mailer = gateway.runtime.confirmation_sender._mailer
        assert mailer
        send = mailer.send

        async def noted(mail: Mail) -> None:
            sent.append(mail)
            await send(mail)

        monkeypatch.setattr(mailer, "send", noted)
        await gateway.sign_up(EMAIL, name="Visit evil.example now", locale="de")
        await post.token(EMAIL)
        row = (
            await gateway.runtime.books.read(lambda conn: conn.execute(select(confirmations.c.id)).scalars().all())
        )[0]
        assert [mail.message_id for mail in sent] == [row]
        (mail,) = post.to(EMAIL)
        assert mail.subject == "Bestätigen Sie Ihre E-Mail-Adresse"
        assert "evil" not in mail.text + mail.html + mail.subject
