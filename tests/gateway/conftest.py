"""A gateway of one's own: real books, a real vault process, the accounts of the demo, and a client that logs in."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from quart import Quart

from gateway.app import create_app
from gateway.parts import EXTENSION, Parts
from gateway.settings import SEED_PASSWORD, GatewaySettings
from gateway.vault.client import VaultAway, VaultClient

VAULT_WITHIN_S = 20
PEOPLE = ("customer", "merchant", "analyst", "admin", "replay")


class Answer(msgspec.Struct):
    """What a client got. `json` is None where the body is none."""

    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body) if self.body else None

    @property
    def code(self) -> str | None:
        """The problem's code; None where it is no problem."""
        problem = self.headers["Content-Type"] == "application/problem+json"
        return self.json["code"] if problem else None


class Gateway:
    """The app in this process, asked over its ASGI interface. `who` is one of `PEOPLE`, a token, or nobody."""

    def __init__(self, app: Quart) -> None:
        self.app = app
        self.parts: Parts = app.extensions[EXTENSION]
        self._tokens: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: Any = None, who: str | None = None, **headers: str) -> Answer:
        """Send a request; a `body` that is not bytes goes as JSON. `idempotency_key=` becomes `Idempotency-Key`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            sent["Authorization"] = f"Bearer {await self.token(who)}"
        data = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        response = await self.app.test_client().open(path, method=method, data=data, headers=sent)
        return Answer(response.status_code, await response.get_data(as_text=False), response.headers)

    async def token(self, who: str) -> str:
        """An access token of one of `PEOPLE`; anything else is a token already."""
        if who not in PEOPLE:
            return who
        if who not in self._tokens:
            self._tokens[who] = (await self.log_in(f"{who}@example.com")).json["access_token"]
        return self._tokens[who]

    async def log_in(self, email: str, password: str = SEED_PASSWORD) -> Answer:
        """What a login is answered."""
        return await self.ask("POST", "/v1/login", {"email": email, "password": password})

    async def service_token(self, service: str = "notifications") -> str:
        """An access token of a service client."""
        secret = (self.parts.settings.secrets() / f"{service}.secret").read_text()
        form = f"grant_type=client_credentials&client_id={service}&client_secret={secret}".encode()
        answer = await self.ask("POST", "/oauth/token", form, content_type="application/x-www-form-urlencoded")
        return str(answer.json["access_token"])


@pytest.fixture(scope="session")
def vault_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a vault process that all tests of the gateway share."""
    data = tmp_path_factory.mktemp("vault")
    path = data / "vault.sock"
    command = [sys.executable, "-m", "gateway.vault"]
    environment = {"SLUICE_DATA": str(data), "SLUICE_VAULT": str(path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            asyncio.run(_await_vault(path))
            yield path
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def seeded_data(vault_socket: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with migrated books and the demo's accounts, made once and copied for each test."""
    data = tmp_path_factory.mktemp("seeded")
    settings = GatewaySettings(data=data, vault=vault_socket, seed=True, kafka="localhost:1")

    async def start_and_stop() -> None:
        async with create_app(settings).test_app():
            pass

    asyncio.run(start_and_stop())
    return data


@pytest.fixture
def gateway_settings(seeded_data: Path, vault_socket: Path, tmp_path: Path) -> GatewaySettings:
    """Settings of a gateway with a copy of the seeded data; nobody listens where its Kafka would be."""
    data = tmp_path / "data"
    shutil.copytree(seeded_data, data)
    return GatewaySettings(data=data, vault=vault_socket, seed=True, kafka="localhost:1")


@pytest.fixture
async def gateway(gateway_settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """A running gateway."""
    app = create_app(gateway_settings)
    async with app.test_app():
        yield Gateway(app)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`clock(seconds)` lets so much time pass for tokens."""
    import gateway.tokens as tokens

    passed = 0.0
    real = tokens.time

    def move(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(tokens, "time", lambda: real() + passed)
    return move


async def _await_vault(path: Path) -> None:
    client = VaultClient(path)
    async with asyncio.timeout(VAULT_WITHIN_S):
        while True:
            try:
                await client.ping()
            except VaultAway:
                await asyncio.sleep(0.05)
            else:
                break
    await client.close()
