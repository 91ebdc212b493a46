"""AccessTokens for services, by client credentials."""

import base64
from urllib.parse import urlencode

import pytest
from sqlalchemy import Connection

from tests.gateway.conftest import Answer, Gateway

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
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
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
        return bytes(conn.exec_driver_sql("SELECT hash FROM client_secrets").scalar_one())

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
