"""A gateway as a process of its own, for what talks to it over sockets."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from benchmarks.described import Tokens
from benchmarks.machine.opening import secret_beside
from gateway.seed import SERVICES
from gateway.settings import SEED_PASSWORD
from schemas.settings import PORTS
from tests.conftest import unused_ports
from tests.gateway.conftest import NO_KAFKA
from tests.gateway.databases import Databases
from tests.patience import until


class ServedGateway:
    """Where it listens, and the secrets of its services by name."""

    def __init__(self, url: str, secrets: dict[str, str]) -> None:
        self.url = url
        self.secrets = secrets
        self.tokens = Tokens(url, SEED_PASSWORD, secrets)

    def is_open(self) -> bool:
        """Whether it answers."""
        try:
            with urlopen(f"{self.url}/healthz") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="package")
def served(
    databases: Databases, vault_socket: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedGateway]:
    """A gateway process with the demo's accounts, on SQLite; whoever asks may say from where."""
    (port,) = unused_ports(1)
    settings = databases.settings("sqlite", tmp_path_factory.mktemp("served") / "data")
    environment = os.environ | {
        "SLUICE_DATA": str(settings.data),
        "SLUICE_PORT_OFFSET": str(port - PORTS["gateway"]),
        "SLUICE_VAULT": str(vault_socket),
        "SLUICE_VAULT_CLIENT": str(secret_beside(vault_socket)),
        "SLUICE_KAFKA": NO_KAFKA,
        "SLUICE_PROXIES": "127.0.0.1",
        "SLUICE_SEED": "1",
    }
    secrets = {name: (settings.secrets() / f"{name}.secret").read_text().strip() for name in SERVICES}
    command = [sys.executable, "-m", "gateway"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            made = ServedGateway(f"http://127.0.0.1:{port}", secrets)
            until(made.is_open)
            yield made
        finally:
            process.kill()
