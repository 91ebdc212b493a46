"""Whom to tell, and who may ask."""

import pytest

from tests.gateway.conftest import PEOPLE, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def path_of(gateway: Gateway, who: str) -> str:
    return f"/v1/accounts/{(await gateway.ask('GET', '/v1/me', who=who)).json['id']}/recipient"


async def test_the_service_is_told_addresses_and_wishes(gateway: Gateway) -> None:
    service = await gateway.service_token()
    answer = await gateway.ask("GET", await path_of(gateway, "customer"), who=service)
    assert answer.json == {
        "email": "customer@example.com",
        "phone": "+15005550006",
        "channels": {"transaction_completed": ["email"]},
        "locale": "en",
        "time_zone": "UTC",
    }
    shop = await gateway.ask("GET", await path_of(gateway, "merchant"), who=service)
    assert shop.json == {"email": "merchant@example.com", "channels": {}, "locale": "en", "time_zone": "UTC"}


async def test_changed_wishes_count_at_once(gateway: Gateway) -> None:
    token = await gateway.sign_up()
    quiet = {"start": "22:00", "end": "07:00"}
    wishes = {"preferences": {"transaction_completed": ["sms"]}, "quiet_hours": quiet}
    await gateway.ask("PUT", "/v1/me/notifications", wishes, token)
    service = await gateway.service_token()
    told = (await gateway.ask("GET", await path_of(gateway, token), who=service)).json
    assert (told["channels"], told["quiet_hours"]) == ({"transaction_completed": ["sms"]}, quiet)


async def test_nobody_else_may_ask_not_even_about_oneself(gateway: Gateway) -> None:
    for who in PEOPLE:
        assert (await gateway.ask("GET", await path_of(gateway, who), who=who)).status == 403


async def test_an_unknown_account_is_a_404(gateway: Gateway) -> None:
    answer = await gateway.ask("GET", "/v1/accounts/acc_none/recipient", who=await gateway.service_token())
    assert (answer.status, answer.code) == (404, "not_found")
