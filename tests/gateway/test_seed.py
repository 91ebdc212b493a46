"""The seeded accounts and services, and that production has no demo accounts."""

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.app import create_app
from gateway.books import clients
from gateway.settings import SEED_PASSWORD, GatewaySettings
from schemas.settings import BadSetting
from tests.gateway.conftest import PEOPLE, Gateway


def ids(conn: Connection) -> list[str]:
    return [row.id for row in conn.exec_driver_sql("SELECT id FROM accounts ORDER BY id")]


async def test_a_second_start_seeds_nothing_twice_and_keeps_what_was_changed(
    gateway_settings: GatewaySettings,
) -> None:
    async with create_app(gateway_settings).test_app() as first:
        gateway = Gateway(first.app)
        before = await gateway.runtime.books.read(ids)
        await gateway.ask("PATCH", "/v1/me", {"name": "Changed"}, "customer")
    async with create_app(gateway_settings).test_app() as second:
        gateway = Gateway(second.app)
        assert await gateway.runtime.books.read(ids) == before
        assert (await gateway.ask("GET", "/v1/me", who="customer")).json["name"] == "Changed"
        for who in PEOPLE:
            assert (await gateway.log_in(f"{who}@example.com", SEED_PASSWORD)).status == 200


async def test_a_new_secret_file_of_a_service_replaces_the_old(gateway_settings: GatewaySettings) -> None:
    path = gateway_settings.secrets() / "notifications.secret"
    old = path.read_text()
    path.write_text("another secret\n")
    async with create_app(gateway_settings).test_app() as running:
        gateway = Gateway(running.app)
        assert await gateway.service_token()
        form = f"grant_type=client_credentials&client_id=notifications&client_secret={old}".encode()
        kind = "application/x-www-form-urlencoded"
        refused = await gateway.ask("POST", "/oauth/token", form, content_type=kind)
        assert refused.json["error"] == "invalid_client"


async def test_the_dashboards_come_back_to_their_own_address_alone(gateway_settings: GatewaySettings) -> None:
    moved = msgspec.structs.replace(gateway_settings, dashboard_url="https://pay.example/")
    for settings, url in ((gateway_settings, gateway_settings.url("dashboard")), (moved, "https://pay.example")):
        async with create_app(settings).test_app() as running:
            client = await Gateway(running.app).runtime.books.read(clients.by_id, "dashboard")
        assert client is not None
        assert client.redirect_uris == client.post_logout_redirect_uris == f'["{url}/oauth2callback"]'


async def test_a_service_gets_a_token_where_the_gateway_has_a_name_below_localhost(
    gateway_settings: GatewaySettings,
) -> None:
    named = msgspec.structs.replace(gateway_settings, public_url="http://gateway.localhost:8080")
    async with create_app(named).test_app() as running:
        assert await Gateway(running.app).service_token()


def test_seeds_are_refused_outside_the_local_profile(gateway_settings: GatewaySettings) -> None:
    with pytest.raises(BadSetting, match="SLUICE_SEED"):
        msgspec.structs.replace(gateway_settings, profile="production")
