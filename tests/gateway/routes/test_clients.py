"""OAuth clients: made, listed, rotated and revoked by whom they belong to; what a token of one may do."""

import asyncio
import base64
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from gateway.identity.clients import OVERLAP_MAX_S
from schemas.times import now
from tests.gateway.actors import FORM, Actors
from tests.gateway.conftest import Answer, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

READS = ["payments:read"]


@pytest.fixture
def actors(gateway: Gateway) -> Actors:
    return Actors(gateway)


async def make(gateway: Gateway, who: str = "merchant", **fields: Any) -> Answer:
    return await gateway.ask("POST", "/v1/clients", {"name": "Shop", "scopes": READS} | fields, who)


async def trade(gateway: Gateway, client_id: str, secret: str, **fields: str) -> Answer:
    """Client credentials for a token, as RFC 6749 §2.3.1 has them in the header."""
    given = base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()
    form = urlencode({"grant_type": "client_credentials"} | fields).encode()
    return await gateway.ask("POST", "/oauth/token", form, content_type=FORM, authorization=f"Basic {given}")


async def test_a_merchants_client_acts_for_its_merchant(gateway: Gateway) -> None:
    made = (await make(gateway, scopes=["payments:read", "cards:read"])).json
    assert re.fullmatch(r"sk_sluice_[\w-]{43}", made["secret"])
    token = (await trade(gateway, made["id"], made["secret"], scope="payments:read")).json["access_token"]
    assert (await gateway.ask("GET", "/v1/payments", who=token)).status == 200
    for method, path in (("GET", "/v1/cards"), ("GET", "/v1/clients"), ("GET", "/v1/me")):
        assert (await gateway.ask(method, path, who=token)).code == "forbidden"


async def test_a_list_shows_a_client_without_its_secret_and_says_when_it_was_used(gateway: Gateway) -> None:
    soon = (now() + timedelta(days=1)).isoformat()
    made = (await make(gateway, name="Used", expires_at=soon)).json
    token = (await trade(gateway, made["id"], made["secret"])).json["access_token"]
    assert (await gateway.ask("GET", "/v1/payments", who=token)).status == 200
    await asyncio.gather(*gateway.runtime.running)  # nobody waits for it but this test
    listed = (await gateway.ask("GET", "/v1/clients?limit=1", who="merchant")).json
    (shown,) = listed["data"]
    assert shown == {name: value for name, value in made.items() if name != "secret"} | {
        "last_used_at": shown["last_used_at"]
    }
    assert shown["last_used_at"]
    assert listed["next_cursor"]
    assert "sluice_clients_expiring 0.0" not in (await gateway.ask("GET", "/metrics")).body.decode()


async def test_a_use_is_written_once_an_hour(gateway: Gateway, actors: Actors) -> None:
    client = await actors.client(await actors.merchant(), "payments:read")
    uses = gateway.runtime.client_uses
    assert uses.is_due(client.id, None)
    assert not uses.is_due(client.id, None)  # however many ask at once


async def test_what_is_revoked_is_refused_at_once_and_for_issued_tokens(gateway: Gateway) -> None:
    made = (await make(gateway)).json
    token = (await trade(gateway, made["id"], made["secret"])).json["access_token"]
    for _ in range(2):  # a repeat changes nothing
        assert (await gateway.ask("DELETE", f"/v1/clients/{made['id']}", who="merchant")).status == 204
        assert (await gateway.ask("GET", "/v1/payments", who=token)).code == "unauthenticated"
        assert (await trade(gateway, made["id"], made["secret"])).json["error"] == "invalid_client"
    body = {"overlap_s": 0}
    rotated = await gateway.ask("POST", f"/v1/clients/{made['id']}/rotate", body, "merchant")
    assert rotated.code == "wrong_state"
    assert (await gateway.ask("GET", "/v1/clients?limit=1", who="merchant")).json["data"][0]["revoked"]


async def test_two_secrets_are_good_while_they_overlap(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    made = (await make(gateway)).json
    path, old = f"/v1/clients/{made['id']}/rotate", made["secret"]
    new = (await gateway.ask("POST", path, {"overlap_s": 60}, "merchant")).json["secret"]
    assert [(await trade(gateway, made["id"], secret)).status for secret in (old, new)] == [200, 200]
    pass_time(61)
    assert [(await trade(gateway, made["id"], secret)).status for secret in (old, new)] == [401, 200]
    newest = (await gateway.ask("POST", path, {"overlap_s": 0}, "merchant")).json["secret"]
    secrets = (old, new, newest)
    assert [(await trade(gateway, made["id"], secret)).status for secret in secrets] == [401, 401, 200]


async def test_a_second_rotation_prolongs_no_earlier_secret(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    made = (await make(gateway)).json
    for overlap_s in (60, OVERLAP_MAX_S):
        await gateway.ask("POST", f"/v1/clients/{made['id']}/rotate", {"overlap_s": overlap_s}, "merchant")
    pass_time(61)
    assert (await trade(gateway, made["id"], made["secret"])).status == 401


async def test_an_expired_client_is_refused_with_all_it_has(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    made = (await make(gateway, expires_at=(now() + timedelta(minutes=5)).isoformat())).json
    token = (await trade(gateway, made["id"], made["secret"])).json["access_token"]
    pass_time(301)
    assert (await gateway.ask("GET", "/v1/payments", who=token)).code == "unauthenticated"
    assert (await trade(gateway, made["id"], made["secret"])).status == 401


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"scopes": ["payments:steal"]}, "$.scopes[0]"),
        ({"scopes": ["payments:read", "payments:read"]}, "$.scopes[1]"),
        ({"scopes": []}, "$.scopes"),
        ({"type": "public"}, "$.redirect_uris"),
        ({"redirect_uris": ["https://elsewhere.example/back"]}, "$.redirect_uris[0]"),
        ({"redirect_uris": ["http://localhost:3000/back", "https://*.shop.example/"]}, "$.redirect_uris[1]"),
        ({"redirect_uris": ["http://localhost:3000/back#token"]}, "$.redirect_uris[0]"),
        ({"redirect_uris": ["http://me@localhost:3000/back"]}, "$.redirect_uris[0]"),
        ({"redirect_uris": ["http://localhost.evil.example/back"]}, "$.redirect_uris[0]"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "$.redirect_uris[0]"),
        ({"post_logout_redirect_uris": ["https://elsewhere.example/"]}, "$.post_logout_redirect_uris[0]"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "$.expires_at"),
        ({"secret": "sk_sluice_chosen"}, "$.secret"),
    ],
)
async def test_what_no_client_may_be_is_named(gateway: Gateway, fields: dict[str, Any], path: str) -> None:
    answer = await make(gateway, **fields)
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, path)


async def test_a_redirect_goes_to_an_origin_of_the_merchant(gateway: Gateway, actors: Actors) -> None:
    owner = await actors.person(await actors.merchant("https://shop.example"), "owner")
    body = {
        "type": "public",
        "redirect_uris": ["https://shop.example/back"],
        "scopes": ["account", "payments:write"],
    }
    made = await make(gateway, owner.token, **body)
    assert (made.status, "secret" in made.json) == (201, False)
    rotated = await gateway.ask("POST", f"/v1/clients/{made.json['id']}/rotate", {"overlap_s": 0}, owner.token)
    assert rotated.code == "wrong_state"


async def test_a_service_that_an_admin_makes_creates_merchants_and_suspends_none(gateway: Gateway) -> None:
    made = (await make(gateway, "admin", scopes=["merchants:write"])).json
    assert made["merchant"] is None
    token = (await trade(gateway, made["id"], made["secret"])).json["access_token"]
    merchant = await gateway.ask("POST", "/v1/merchants", {"name": "Onboarded"}, token)
    assert merchant.status == 201
    path, body = f"/v1/merchants/{merchant.json['id']}", {"suspended": True, "reason": "mine"}
    assert (await gateway.ask("PATCH", path, body, token)).code == "forbidden"


async def test_a_service_whose_secret_is_a_file_is_its_operators(gateway: Gateway) -> None:
    assert (await gateway.ask("DELETE", "/v1/clients/notifications", who="admin")).code == "wrong_state"
    rotated = await gateway.ask("POST", "/v1/clients/notifications/rotate", {"overlap_s": 0}, "admin")
    assert rotated.code == "wrong_state"
    assert (await gateway.ask("DELETE", "/v1/clients/notifications", who="merchant")).code == "not_found"
