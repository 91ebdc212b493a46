"""A merchant is suspended with all it has, by one switch with a reason; what was paid is still dealt with."""

from typing import Any
from uuid import uuid4

import pytest

from tests.gateway.actors import Actors
from tests.gateway.conftest import Answer, Gateway
from tests.gateway.routes.test_clients import trade

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def actors(gateway: Gateway) -> Actors:
    return Actors(gateway)


async def switch(gateway: Gateway, merchant_id: str, who: str = "admin", **fields: Any) -> Answer:
    return await gateway.ask("PATCH", f"/v1/merchants/{merchant_id}", fields, who)


async def pay(gateway: Gateway, merchant_id: str, key: str = "") -> Answer:
    by_paypal = {"amount": 100, "currency": "EUR", "merchant": merchant_id, "payment_method": {"type": "paypal"}}
    headers = {"idempotency_key": key or uuid4().hex}
    return await gateway.ask("POST", "/v1/payments", by_paypal, "customer", **headers)


async def test_one_switch_ends_people_clients_apps_and_payments_and_lets_them_go_on(
    gateway: Gateway, actors: Actors
) -> None:
    merchant_id = await actors.merchant("https://shop.example")
    person = await actors.person(merchant_id, "owner")
    client = await actors.client(merchant_id, "payments:read", "sk_sluice_known")
    app = await actors.client(merchant_id, "payments:read", type="public")
    customer = await actors.log_in(await actors.account("customer"), "customer", app.id, "payments:read")
    everyone = (person, client, customer)

    async def statuses() -> list[int]:
        asked = [(await gateway.ask("GET", "/v1/payments", who=actor.token)).status for actor in everyone]
        return [*asked, (await trade(gateway, client.id, "sk_sluice_known")).status]

    assert await statuses() == [200] * 4
    suspended = await switch(gateway, merchant_id, suspended=True, reason="goods that nobody received")
    assert (suspended.json["suspended"], suspended.json["suspended_reason"]) == (
        True,
        "goods that nobody received",
    )
    assert await statuses() == [401] * 4
    refused = await pay(gateway, merchant_id)
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "stopped", "3600")
    assert (await switch(gateway, merchant_id, suspended=False)).json["suspended_reason"] is None
    assert await statuses() == [200] * 4


async def test_a_merchant_whose_account_is_disabled_has_neither_clients_nor_apps(
    gateway: Gateway, actors: Actors
) -> None:
    merchant_id = await actors.merchant()
    client = await actors.client(merchant_id, "payments:read", "sk_sluice_disabled")
    app = await actors.client(merchant_id, "payments:read", type="public")
    customer = await actors.log_in(await actors.account("customer"), "customer", app.id, "payments:read")
    for disabled, status in ((True, 401), (False, 200)):
        await gateway.ask("PATCH", f"/v1/accounts/{merchant_id}", {"disabled": disabled}, "admin")
        for actor in (client, customer):
            assert (await gateway.ask("GET", "/v1/payments", who=actor.token)).status == status


async def test_an_earlier_payment_is_answered_as_before_while_its_merchant_is_suspended(
    gateway: Gateway, actors: Actors
) -> None:
    merchant_id, key = await actors.merchant(), uuid4().hex
    first = await pay(gateway, merchant_id, key)
    await switch(gateway, merchant_id, suspended=True, reason="asked for it")
    assert (await pay(gateway, merchant_id, key)).body == first.body
    shown = await gateway.ask("GET", f"/v1/payments/{first.json['id']}", who="admin")
    assert shown.status == 200


async def test_only_staff_suspend_and_say_why(gateway: Gateway, actors: Actors) -> None:
    merchant_id = await actors.merchant()
    owner = await actors.person(merchant_id, "owner")
    for fields in ({"suspended": False}, {"reason": "mine"}):
        assert (await switch(gateway, merchant_id, owner.token, **fields)).code == "forbidden"
    for fields in ({"suspended": True}, {"reason": "no switch"}, {"suspended": True, "reason": ""}):
        assert (await switch(gateway, merchant_id, **fields)).code == "invalid_request"


async def test_an_owner_changes_name_origins_and_return_addresses(gateway: Gateway, actors: Actors) -> None:
    merchant_id = await actors.merchant()
    owner = await actors.person(merchant_id, "owner")
    changes = {"name": "New", "origins": ["https://new.example"], "return_urls": ["https://app.example/paid?a=1"]}
    changed = await switch(gateway, merchant_id, owner.token, **changes)
    assert {name: changed.json[name] for name in changes} == changes
    assert (await gateway.ask("GET", f"/v1/merchants/{merchant_id}", who=owner.token)).json == changed.json
    for wrong in ({"origins": ["https://new.example/path"]}, {"return_urls": ["https://a.example/#b"]}):
        assert (await switch(gateway, merchant_id, owner.token, **wrong)).code == "invalid_request"
    unchanged = await switch(gateway, merchant_id, owner.token)
    assert {name: unchanged.json[name] for name in changes} == changes


async def test_a_payer_goes_back_to_a_return_address_letter_by_letter(gateway: Gateway, actors: Actors) -> None:
    merchant_id = await actors.merchant()
    await switch(gateway, merchant_id, return_urls=["https://app.example/paid"])
    body = {"amount": 100, "currency": "EUR", "merchant": merchant_id, "payment_method": {"type": "paypal"}}
    for url, status in (("https://app.example/paid", 202), ("https://app.example/paid/", 422)):
        asked = body | {"return_url": url}
        answer = await gateway.ask("POST", "/v1/payments", asked, "customer", idempotency_key=uuid4().hex)
        assert (url, answer.status == 422) == (url, status == 422)


async def test_the_former_name_of_origins_is_taken_and_shown(gateway: Gateway) -> None:
    origins = ["https://shop.example"]
    made = await gateway.ask("POST", "/v1/merchants", {"name": "Old", "return_origins": origins}, "admin")
    assert made.json["origins"] == made.json["return_origins"] == origins
    both = {"name": "Both", "return_origins": origins, "origins": origins}
    assert (await gateway.ask("POST", "/v1/merchants", both, "admin")).code == "invalid_request"
