"""A gateway or vault of which one task or thread died ends within 5 s, so that its supervisor starts it again."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from benchmarks.machine.opening import secret_beside
from gateway.settings import SEED_PASSWORD
from gateway.vault.addresses import UnixAddress
from gateway.vault.client import VaultClient, VaultError
from schemas.cards import check_digit
from schemas.settings import PORTS
from tests.conftest import unused_ports
from tests.gateway.conftest import NO_KAFKA
from tests.gateway.databases import Databases, Kind
from tests.victims import GATEWAY, GATEWAY_ON_POSTGRES, VAULT, Victim

CARDS = 300


class Gateway:
    """Where a gateway listens, and what is asked of it."""

    def __init__(self) -> None:
        (self.port,) = unused_ports(1)

    def is_ready(self) -> bool:
        """Whether it answers."""
        with suppress(OSError), urlopen(f"http://localhost:{self.port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
        return False

    def use(self) -> None:
        """Passwords are checked, a session written, a list read, or it dies before or within its answer."""
        with suppress(OSError, HTTPException):
            self._log_in("nobody@example.com")  # a stranger, whoever is known
        with suppress(OSError, HTTPException):
            token = self._log_in("customer@example.com")
            asked = Request(f"http://localhost:{self.port}/v1/cards", headers={"Authorization": f"Bearer {token}"})
            urlopen(asked, timeout=1).close()

    def _log_in(self, email: str) -> str:
        body = json.dumps({"email": email, "password": SEED_PASSWORD}).encode()
        with urlopen(Request(f"http://localhost:{self.port}/v1/login", body), timeout=1) as answer:
            return str(json.load(answer)["access_token"])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[("sqlite", name) for name in GATEWAY],
        *[pytest.param("postgres", name, marks=pytest.mark.postgres) for name in GATEWAY_ON_POSTGRES],
    ],
)
def test_the_gateway_ends(
    kind: Kind, name: str, databases: Databases, tmp_path: Path, victim: Callable[..., Victim]
) -> None:
    settings, gateway = databases.settings(kind, tmp_path / "data"), Gateway()
    environment = {
        "SLUICE_DATA": str(settings.data),
        "SLUICE_VAULT": str(settings.vault),
        "SLUICE_VAULT_CLIENT": str(settings.vault_client),
        "SLUICE_DATABASE_URL": settings.database_url,
        "SLUICE_KAFKA": NO_KAFKA,
        "SLUICE_PORT_OFFSET": str(gateway.port - PORTS["gateway"]),
    }
    victim(name, "gateway", environment, gateway.use).killed(gateway.is_ready)
    databases.drop(settings.database_url)


@pytest.mark.parametrize("name", VAULT)
def test_the_vault_ends(name: str, tmp_path: Path, victim: Callable[..., Victim]) -> None:
    path = tmp_path / "vault.sock"

    def poke() -> None:
        asyncio.run(asked(path, lambda client: [client.rotate()]))

    one = victim(name, "gateway.vault", {"SLUICE_VAULT": str(path)}, poke)
    one.killed(lambda: asyncio.run(asked(path, lambda client: [stored(client, n) for n in range(CARDS)])))


def stored(client: VaultClient, number: int) -> Coroutine[Any, Any, object]:
    """One card more: a rotation of many takes a while."""
    digits = f"411111{number:09d}"
    return client.store("acc_a", digits + check_digit(digits), 1, 2039)


async def asked(path: Path, calls: Callable[[VaultClient], list[Coroutine[Any, Any, object]]]) -> bool:
    """Whether the vault answered some calls at once."""
    client = VaultClient([UnixAddress(path)], secret_beside(path).read_bytes() if path.exists() else b"none")  # noqa: ASYNC240
    answers = await asyncio.gather(*calls(client), return_exceptions=True)
    await client.close()
    return not any(isinstance(answer, VaultError) for answer in answers)
