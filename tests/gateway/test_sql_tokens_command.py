"""`sluice sql-tokens` and `sluice admin reader`, beside a running gateway, with books in either database."""

import asyncio
import re

import pytest
from click.testing import CliRunner, Result

from gateway.settings import GatewaySettings
from sluice.cli import main
from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.usefixtures("without_kafka")

TOKEN = re.compile(r"sqt_[\w-]{43}")
LOGGED = re.compile(r'\{"event"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[')
MINE = "customer@example.com"


async def run(settings: GatewaySettings, *command: str) -> Result:
    environment = {
        "SLUICE_DATA": str(settings.data),
        "SLUICE_DATABASE_URL": settings.database_url,
        "SLUICE_VAULT": str(settings.vault),
        "SLUICE_VAULT_CLIENT": str(settings.vault_client),
    }
    return await asyncio.to_thread(CliRunner().invoke, main, [*command], env=environment)


def said(ran: Result) -> list[str]:
    """The lines that a command printed; the gateway of this process logs to the same place."""
    return [line for line in ran.stdout.splitlines() if not LOGGED.match(line)]


async def sees(gateway: Gateway, token: str) -> str | None:
    service = await gateway.service_token("sql")
    answer = await gateway.ask("POST", "/v1/sql-tokens/check", {"token": token}, service)
    return None if answer.status == 404 else str(answer.json["sees"])


async def test_a_reader_is_named_and_given_a_token_by_whoever_has_the_machine(gateway: Gateway) -> None:
    settings = gateway.runtime.settings
    refused = await run(settings, "sql-tokens", "create", MINE, "Notebook")
    assert (refused.exit_code, said(refused), "Customers see nothing" in refused.stderr) == (1, [], True)
    assert said(await run(settings, "admin", "reader", MINE)) == [f"{MINE} is a reader"]
    created = await run(settings, "sql-tokens", "create", MINE, "Notebook", "--expires-in", "90d")
    (token,), token_id = said(created), created.stderr.split()[0]
    assert TOKEN.fullmatch(token), "alone on its line"
    assert await sees(gateway, token) == "without_cards"
    (listed,) = said(await run(settings, "sql-tokens", "list", MINE))
    assert [listed] == said(await run(settings, "sql-tokens", "list"))
    assert (listed.split()[0], listed.split()[2], listed.split()[-1]) == (token_id, "good", "Notebook")
    assert token not in listed + created.stderr
    assert (await run(settings, "admin", "reader", "--remove", MINE)).exit_code == 0
    assert await sees(gateway, token) is None
    await run(settings, "admin", "reader", MINE)
    assert (await run(settings, "sql-tokens", "revoke", token_id)).exit_code == 0
    assert await sees(gateway, token) is None
    acts = (await gateway.ask("GET", "/v1/audit?actor=command", who="admin")).json["data"]
    told = ["reader_named", "sql_token_created", "reader_unnamed", "reader_named", "sql_token_revoked"]
    assert [act["kind"] for act in reversed(acts)] == told


REFUSED = (
    (("sql-tokens", "create", "nobody@example.com", "X"), "No account has this address"),
    (("sql-tokens", "create", "analyst@example.com", "4111 1111 1111 1111"), "card number"),
    (("sql-tokens", "create", "analyst@example.com", "two\nlines"), "no control characters"),
    (("sql-tokens", "create", "analyst@example.com", "X", "--expires-in", "400d"), "a year ahead"),
    (("sql-tokens", "list", "nobody@example.com"), "No account has this address"),
    (("sql-tokens", "revoke", "stk_none"), "no such token"),
    (("admin", "reader", "nobody@example.com"), "no account has the address"),
    (("admin", "reader", "analyst@example.com"), "see everything"),
)


async def test_what_cannot_be_is_one_line(gateway_settings: GatewaySettings) -> None:
    for command, why in REFUSED:
        ran = await run(gateway_settings, *command)
        assert (ran.exit_code, said(ran), why in ran.stderr) == (1, [], True), (command, ran.output)
        assert len(ran.stderr.splitlines()) == 1
