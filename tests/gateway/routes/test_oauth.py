"""AccessTokens for services, by client credentials."""

import base64
from urllib.parse import urlencode

import pytest
from msgspec.structs import asdict
from sqlalchemy import Connection, insert

from gateway.books.clients import ClientSecretRow, client_secrets
from gateway.identity.oauth_metadata import metadata
from gateway.identity.tokens import hash_secret
from gateway.web.openapi import declared
from tests.gateway.conftest import Answer, Gateway
from tests.gateway.routes.apps import register_apps

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORM = "application/x-www-form-urlencoded"


def secret(gateway: Gateway) -> str:
    return (gateway.runtime.settings.secrets() / "notifications.secret").read_text()


async def trade(gateway: Gateway, authorization: str = "", **fields: str) -> Answer:
    form = urlencode({"grant_type": "client_credentials"} | fields).encode()
    return await gateway.ask("POST", "/oauth/token", form, content_type=FORM, authorization=authorization)


def basic(client: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()


async def test_credentials_in_header_or_body_give_a_token_that_works(gateway: Gateway) -> None:
    by_header = await trade(gateway, basic("notifications", secret(gateway)))
    by_body = await trade(gateway, client_id="notifications", client_secret=secret(gateway))
    for answer in (by_header, by_body):
        assert answer.json["token_type"] == "Bearer"
        assert (answer.json["expires_in"], answer.json["scope"]) == (900, "contacts:read")
        assert answer.headers["Cache-Control"] == "no-store"
        token = answer.json["access_token"]
        assert (await gateway.ask("GET", "/v1/accounts/acc_x/recipient", who=token)).status == 404
        assert (await gateway.ask("GET", "/v1/me", who=token)).status == 403


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"client_id": "notifications", "client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "nobody", "client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "notifications"}, "invalid_client"),
        ({}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_client"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, "unsupported_grant_type"),
    ],
)
async def test_what_is_wrong_is_said_as_oauth_clients_expect(
    gateway: Gateway, fields: dict[str, str], error: str
) -> None:
    answer = await trade(gateway, **fields)
    assert answer.status in (400, 401)
    assert answer.json["error"] == error


async def test_a_scope_beyond_the_clients_is_refused(gateway: Gateway) -> None:
    answer = await trade(gateway, basic("notifications", secret(gateway)), scope="contacts:read merchants:write")
    assert answer.json["error"] == "invalid_scope"


@pytest.mark.parametrize("header", ["Basic !!!", "Basic /w==", "Basic", "Bearer x"])
async def test_a_broken_header_is_an_answer_not_a_bug(gateway: Gateway, header: str) -> None:
    assert (await trade(gateway, header)).status == 401


@pytest.mark.parametrize("name", ["grant_type", "client_id", "client_secret", "scope", "resource"])
async def test_a_parameter_that_is_there_twice_is_refused(gateway: Gateway, name: str) -> None:
    fields = {"grant_type": "client_credentials", "client_id": "notifications", "client_secret": secret(gateway)}
    form = urlencode([*fields.items(), (name, fields.get(name, "a")), (name, "b")]).encode()
    answer = await gateway.ask("POST", "/oauth/token", form, content_type=FORM)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


async def test_a_client_says_who_it_is_in_one_way(gateway: Gateway) -> None:
    twice = await trade(gateway, basic("notifications", secret(gateway)), client_secret=secret(gateway))
    assert (twice.status, twice.json["error"]) == (400, "invalid_request")


async def test_a_parameter_without_a_value_is_as_if_it_were_left_out(gateway: Gateway) -> None:
    answer = await trade(gateway, basic("notifications", secret(gateway)), scope="", client_id="")
    assert (answer.status, answer.json["scope"]) == (200, "contacts:read")


async def test_a_json_body_is_no_form(gateway: Gateway) -> None:
    answer = await gateway.ask("POST", "/oauth/token", {"grant_type": "client_credentials"})
    assert answer.json["error"] == "unsupported_grant_type"


async def test_the_books_hold_no_secret(gateway: Gateway) -> None:
    def stored(conn: Connection) -> bytes:
        return b"".join(conn.exec_driver_sql("SELECT hash FROM client_secrets").scalars())

    assert secret(gateway).encode() not in await gateway.runtime.books.read(stored)


async def test_a_client_that_is_gone_loses_its_tokens(gateway: Gateway) -> None:
    token = await gateway.service_token()
    for end in ("revoked_at", "expires_at"):
        await _change(gateway, f"UPDATE clients SET {end} = 1")
        assert (await gateway.ask("GET", "/v1/accounts/acc_x/recipient", who=token)).status == 401
        assert (await trade(gateway, basic("notifications", secret(gateway)))).status == 401
        await _change(gateway, f"UPDATE clients SET {end} = NULL")
    assert (await gateway.ask("GET", "/v1/accounts/acc_x/recipient", who=token)).status == 404


async def _change(gateway: Gateway, sql: str) -> None:
    await gateway.runtime.books.write(lambda conn: conn.exec_driver_sql(sql) and None)


async def test_a_merchants_client_ends_with_its_merchant_and_its_time(gateway: Gateway) -> None:
    shop = (await register_apps(gateway)).shop
    assert (await trade(gateway, basic("shop", shop.secret))).json["scope"] == "payments:read refunds:write"
    endings = {"clients": "SET expires_at = {} WHERE id = 'shop'", "accounts": "SET suspended_at = {}"}
    for table, change in endings.items():
        await _change(gateway, f"UPDATE {table} {change.format(1)}")
        assert (await trade(gateway, basic("shop", shop.secret))).json["error"] == "invalid_client"
        await _change(gateway, f"UPDATE {table} {change.format('NULL')}")
    assert (await trade(gateway, basic("shop", shop.secret))).status == 200


async def test_while_a_secret_is_rotated_both_are_good(gateway: Gateway) -> None:
    fresh = ClientSecretRow(hash_secret("next"), "notifications", None)
    await gateway.runtime.books.write(lambda conn: conn.execute(insert(client_secrets), [asdict(fresh)]) and None)
    for good in ("next", secret(gateway)):
        assert (await trade(gateway, basic("notifications", good))).status == 200
    await _change(gateway, "UPDATE client_secrets SET expires_at = 1 WHERE client_id = 'notifications'")
    for gone in ("next", secret(gateway)):
        assert (await trade(gateway, basic("notifications", gone))).json["error"] == "invalid_client"


@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
async def test_clients_find_what_they_need(gateway: Gateway, path: str) -> None:
    found = (await gateway.ask("GET", f"/.well-known/{path}")).json
    assert found["issuer"] == "http://localhost:8080"
    for name in ("authorization", "token", "revocation", "end_session"):
        where = found[f"{name}_endpoint"].removeprefix("http://localhost:8080")
        assert where in {rule.rule for rule, _, _, _ in declared(gateway.app)}
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["id_token_signing_alg_values_supported"] == ["ES256"]
    assert found["response_types_supported"] == ["code"]
    assert found["authorization_response_iss_parameter_supported"] is True


async def test_servers_beside_us_find_us_by_another_address(gateway: Gateway) -> None:
    document = metadata("https://pay.example", "http://gateway:8080")
    assert document["issuer"] == "https://pay.example"
    for name, base in (("authorization", "https://pay.example"), ("token", "http://gateway:8080")):
        assert document[f"{name}_endpoint"].startswith(base)
    assert document["jwks_uri"] == "http://gateway:8080/oauth/jwks"
    shown = await gateway.ask("GET", "/.well-known/openid-configuration/internal")
    assert shown.json == (await gateway.ask("GET", "/.well-known/openid-configuration")).json  # none was set
