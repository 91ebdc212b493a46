"""Who registers, how often, and what the owner of a taken address hears of it."""

import asyncio

import pytest

from gateway.books import accounts
from gateway.settings import GatewaySettings
from tests.gateway.conftest import PASSWORD, Answer, Gateway
from tests.gateway.post import channels_of, served, with_post
from tests.patience import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def register(gateway: Gateway, email: str, ip: str = "203.0.113.9", **fields: str) -> Answer:
    body = {"email": email, "password": PASSWORD, "name": "Somebody"} | fields
    return await gateway.ask("POST", "/v1/accounts", body, ip=ip)


async def test_twenty_an_hour_register_from_a_network_whatever_restarts(gateway_settings: GatewaySettings) -> None:
    """Taken addresses count as well: nobody tries out a list of them. Nobody else is kept out."""
    channels = channels_of(gateway_settings)
    async with served(gateway_settings, channels) as gateway:
        same_64 = ("2001:db8:7:7::1", "2001:db8:7:7:ffff::")
        first = [await register(gateway, f"{n % 8}@example.com", ip=same_64[n % 2]) for n in range(19)]
        assert [answer.status for answer in first] == [201] * 8 + [409] * 11
    async with served(gateway_settings, channels) as gateway:
        last = [await register(gateway, f"last{n}@example.com", ip=same_64[0]) for n in range(2)]
        assert [answer.code for answer in last] == [None, "rate_limited"]
        assert int(last[1].headers["Retry-After"]) > 3500
        assert (await register(gateway, "other@example.com", ip="2001:db8:7:8::1")).status == 201


async def test_many_at_once_are_counted_one_by_one(gateway: Gateway) -> None:
    answers = await asyncio.gather(*[register(gateway, f"at-once-{n}@example.com") for n in range(25)])
    assert sorted(answer.status for answer in answers) == [201] * 20 + [429] * 5


async def test_the_owner_of_a_taken_address_is_told_once_a_day(gateway_settings: GatewaySettings) -> None:
    """One that nobody confirmed gets nothing but what asks to."""
    async with with_post(gateway_settings) as (gateway, post):
        for _ in range(2):
            await register(gateway, "bob@example.com")
        await register(gateway, "ada@example.com", locale="de")
        await gateway.ask("POST", "/v1/email/confirm", {"token": await post.token("ada@example.com")})
        for _ in range(3):
            assert (await register(gateway, "ADA@example.com", name="Eve")).code == "email_taken"
        await eventually(lambda: len(post.to("ada@example.com")) == 2)
        told = post.to("ada@example.com")[1]
        assert told.subject == "Sie haben schon ein Konto"
        assert "Eve" not in told.text
        await register(gateway, "eve@example.com")
        await post.token("eve@example.com")
        assert (len(post.to("ada@example.com")), len(post.to("bob@example.com"))) == (2, 1)


async def test_a_weak_password_is_refused_with_its_path(gateway: Gateway) -> None:
    """Before it is counted: whoever corrects a form has not registered yet."""
    for password in ("password1234", "somebody else", "registrant-77", "sluice-demo-only", "x" * 12, "kurz"):
        answer = await register(gateway, "registrant@example.com", password=password)
        assert (answer.code, answer.json["errors"][0]["path"]) == ("invalid_request", "$.password")
        assert password.encode() not in answer.body


async def test_nobody_names_a_role_for_themselves(gateway: Gateway) -> None:
    body = {"email": "eve@example.com", "password": PASSWORD, "name": "Eve", "role": "admin"}
    refused = {None: 401, "customer": 403, "merchant": 403, "analyst": 403}
    for who, status in refused.items():
        assert (await gateway.ask("POST", "/v1/accounts", body, who)).status == status
    nameless = {"email": "eve@example.com", "name": "Eve"}
    assert (await gateway.ask("POST", "/v1/accounts", nameless)).json["errors"][0]["path"] == "$.password"
    assert await gateway.runtime.books.read(accounts.by_email, "eve@example.com") is None
