"""How often an address is asked to confirm itself, whoever enters it, and what is left of tokens and codes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.books.confirmations import due
from gateway.rate_limits import LIMITS, RateLimit
from gateway.settings import GatewaySettings
from schemas.times import steady_micros
from tests.conftest import contents
from tests.gateway.conftest import PASSWORD, Gateway
from tests.gateway.post import with_post
from tests.patience import eventually

HOUR_S = 3600.0
PHONE = "+4915112345678"


async def enter(gateway: Gateway, times: int, **fields: Any) -> None:
    """So many new accounts at once enter the same phone or address."""
    await asyncio.gather(*[gateway.sign_up(**fields) for _ in range(times)])


async def anew(gateway: Gateway, who: str, channel: str) -> Any:
    return await gateway.ask("POST", "/v1/me/confirmations", {"channel": channel}, who)


async def test_a_phone_that_many_accounts_enter_gets_three_messages_an_hour(
    gateway_settings: GatewaySettings, pass_time: Callable[[float], None]
) -> None:
    """Half of its five: the other half is left to whoever has it."""
    async with with_post(gateway_settings) as (gateway, post):
        await enter(gateway, 20, phone=PHONE)
        who = await gateway.sign_up("last@example.com", phone=PHONE)
        refused = await anew(gateway, who, "sms")
        assert (refused.code, 3500 < int(refused.headers["Retry-After"]) <= 3601) == ("rate_limited", True)
        await eventually(lambda: len(post.to(PHONE)) == 3)
        pass_time(HOUR_S)
        who = (await gateway.log_in("last@example.com", PASSWORD)).json["access_token"]
        assert (await anew(gateway, who, "sms")).status == 202
        await eventually(lambda: len(post.to(PHONE)) == 4)


async def test_a_mailbox_is_asked_five_times_an_hour_and_a_restart_forgets_nothing(
    gateway_settings: GatewaySettings,
) -> None:
    async with with_post(gateway_settings) as (gateway, post):
        who = await gateway.sign_up("ada@example.com")
        for _ in range(3):
            assert (await anew(gateway, who, "email")).status == 202
        await post.token("ada@example.com")
    async with with_post(gateway_settings) as (gateway, post):
        await gateway.ask("PATCH", "/v1/me", {"email": "ADA@example.com"}, await gateway.sign_up())
        assert (await anew(gateway, who, "email")).code == "rate_limited"
        erased = await gateway.ask("DELETE", "/v1/me", who=who)
        assert erased.status == 204
        await gateway.sign_up("ada@example.com")  # its mail is held back; the account is made
        await post.token("ADA@example.com")
        for tried in (False, True):
            assert await gateway.runtime.books.read(due, "email", steady_micros(), 9, tried=tried) == []


async def test_variants_of_an_address_are_addresses_of_their_own(gateway_settings: GatewaySettings) -> None:
    async with with_post(gateway_settings, mails_per_hour=1) as (gateway, post):
        for email in ("ada@example.com", "a.da@example.com", "ada+1@example.com"):
            await gateway.sign_up(email)
            await post.token(email)


async def test_a_day_has_so_many_codes_over_all_phones(
    gateway_settings: GatewaySettings, pass_midnight: Callable[[], None]
) -> None:
    """Whoever is paid for each SMS to their numbers earns no more than that."""
    async with with_post(gateway_settings, confirmation_sms_per_day=4) as (gateway, post):
        pass_midnight()
        await asyncio.gather(*[gateway.sign_up(phone=f"+4915112345{n:03}") for n in range(20)])
        who = await gateway.sign_up(phone=PHONE)
        refused = await anew(gateway, who, "sms")
        assert (refused.code, 0 < int(refused.headers["Retry-After"]) <= 86_401) == ("rate_limited", True)
        await eventually(lambda: sum(message.channel == "sms" for message in post.inbox) == 4)


async def test_a_clock_that_is_set_opens_no_new_day_of_codes(
    gateway_settings: GatewaySettings,
    pass_midnight: Callable[[], None],
    set_clock: Callable[[float], None],
) -> None:
    async with with_post(gateway_settings, confirmation_sms_per_day=1) as (gateway, post):
        pass_midnight()
        await gateway.sign_up(phone=PHONE)
        await post.code(PHONE)
        who = await gateway.sign_up(phone=f"{PHONE[:-1]}9")
        set_clock(25)
        assert (await anew(gateway, who, "sms")).code == "rate_limited"


@pytest.mark.parametrize(("countries", "is_sent"), [("DE", True), ("US,AT", False), ("*", True)])
async def test_codes_go_to_the_countries_of_the_setting_alone(
    gateway_settings: GatewaySettings, countries: str, is_sent: bool
) -> None:
    async with with_post(gateway_settings, sms_countries=countries) as (gateway, post):
        who = await gateway.sign_up("ada@example.com", phone=PHONE)
        assert (await anew(gateway, who, "sms")).status == (202 if is_sent else 409)
        await post.token("ada@example.com")
        assert bool(post.to(PHONE)) is is_sent or await post.code(PHONE)


async def test_an_account_asks_ten_times_and_then_once_a_minute(gateway_settings: GatewaySettings) -> None:
    assert LIMITS["confirmations"] == RateLimit(1 / 60, 10)
    async with with_post(gateway_settings) as (gateway, _):
        who = await gateway.sign_up()
        answers = [
            await gateway.ask("PATCH", "/v1/me", {"email": f"stranger{n}@example.com"}, who) for n in range(12)
        ]
        assert [answer.status for answer in answers] == [200] * 10 + [429] * 2
        assert (await anew(gateway, who, "email")).code == "rate_limited"


async def test_neither_token_nor_code_is_in_books_or_log(
    gateway_settings: GatewaySettings, capfd: pytest.CaptureFixture[str]
) -> None:
    async with with_post(gateway_settings) as (gateway, post):
        who = await gateway.sign_up("ada@example.com", phone=PHONE)
        token, code = await post.token("ada@example.com"), await post.code(PHONE)
        body = {"code": code}
        assert (await gateway.ask("POST", "/v1/email/confirm", {"token": token})).status == 204
        assert (await gateway.ask("POST", "/v1/phone/confirm", body, who, idempotency_key="k")).status == 204
    said = capfd.readouterr()
    assert token not in said.out + said.err
    assert f'"{code}"' not in said.out + said.err
    files = [content for path, content in contents(gateway_settings.data) if path.name.startswith("books")]
    assert not [content for content in files if token.encode() in content or f"\0{code}".encode() in content]
