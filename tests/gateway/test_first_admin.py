"""`sluice admin create`, while the gateway runs and while it does not, with books in either database."""

import asyncio
import re

from click.testing import CliRunner, Result

from gateway.settings import GatewaySettings
from sluice.cli import main
from tests.gateway.conftest import Gateway

EMAIL, PASSWORD = "first@example.com", "plum under the kestrel"
LINK = re.compile(r"^http://localhost:8080/invitation\?token=(\S+)$", re.MULTILINE)


async def create(settings: GatewaySettings, email: str = EMAIL) -> Result:
    environment = {
        "SLUICE_DATA": str(settings.data),
        "SLUICE_DATABASE_URL": settings.database_url,
        "SLUICE_VAULT": str(settings.vault),
        "SLUICE_VAULT_CLIENT": str(settings.vault_client),
    }
    run = CliRunner().invoke
    return await asyncio.to_thread(run, main, ["admin", "create", email], env=environment)


async def test_an_admin_is_made_beside_a_running_gateway_and_sets_a_password(gateway: Gateway) -> None:
    ran = await create(gateway.runtime.settings)
    assert ran.exit_code == 0, ran.output
    lost = LINK.findall(ran.output)[0]
    token = LINK.findall((await create(gateway.runtime.settings)).output)[0]
    stale = {"token": lost, "password": PASSWORD}
    assert (await gateway.ask("POST", "/v1/password/reset/confirm", stale)).code == "confirmation_invalid"
    body = {"token": token, "password": PASSWORD}
    assert (await gateway.ask("POST", "/v1/password/reset/confirm", body)).status == 204
    assert (await gateway.ask("POST", "/v1/password/reset/confirm", body)).code == "confirmation_invalid"
    admins = await gateway.ask("GET", "/v1/accounts?role=admin", who="admin")
    assert [account["email"] for account in admins.json["data"]] == [EMAIL, "admin@example.com"]
    taken = await create(gateway.runtime.settings)
    assert (taken.exit_code, "has this address" in taken.output) == (1, True)


async def test_an_admin_is_made_while_no_gateway_runs(gateway_settings: GatewaySettings) -> None:
    assert LINK.search((await create(gateway_settings)).output)


async def test_without_books_or_a_key_nothing_is_made(gateway_settings: GatewaySettings) -> None:
    (gateway_settings.secrets() / "gateway.key").unlink(missing_ok=True)
    ran = await create(gateway_settings)
    assert (ran.exit_code, "no key yet" in ran.output) == (1, True)
    assert not (gateway_settings.secrets() / "gateway.key").exists()
