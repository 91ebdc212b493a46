"""Vault processes of the test's own, which it may call, kill and inspect."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.vault.client import VaultClient
from gateway.vault.isolation import socket_path
from schemas.cards import check_digit
from tests import patience

ROOT = Path(__file__).parents[3]


class RunningVault:
    """`python -m gateway.vault` on a data directory; its log goes to a file beside it."""

    def __init__(self, data: Path, log: Path, **settings: str) -> None:
        self.data = data
        self.file = data / "vault.sqlite3"
        self.socket = socket_path(data)
        self._log = log
        self._environment = os.environ | {"SLUICE_DATA": str(data)} | settings
        self.process: subprocess.Popen[bytes]

    def start(self) -> "RunningVault":
        """Start it and wait until it says that it is ready."""
        lines = len(self.log())
        self.launch()
        patience.until(lambda: self._is_ready(self.log()[lines:]), why=self.log)
        return self

    def _is_ready(self, lines: list[dict[str, Any]]) -> bool:
        assert self.process.poll() is None, lines
        return any(line["event"] == "vault.ready" for line in lines)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it and wait for nothing."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "gateway.vault"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        return self.process

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def log(self) -> list[dict[str, Any]]:
        """Its log lines so far; each must be one JSON object."""
        whole = self._log.read_text().rpartition("\n")[0] if self._log.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def audit(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind."""
        return [line for line in self.log() if line["event"] == event]


@pytest.fixture
def new_vault(tmp_path: Path) -> Iterator[Callable[..., RunningVault]]:
    """`new_vault(data=…, SLUICE_…=…)` prepares a vault process; whatever is started is killed at the end."""
    made: list[RunningVault] = []

    def make(data: Path | None = None, **settings: str) -> RunningVault:
        log = tmp_path / f"vault-{len(made)}.log"
        made.append(RunningVault(data or tmp_path / "data", log, **settings))
        return made[-1]

    yield make
    for vault in made:
        if hasattr(vault, "process"):
            vault.kill()


@pytest.fixture
def vault(new_vault: Callable[..., RunningVault]) -> RunningVault:
    """A vault that runs, on an empty data directory."""
    return new_vault().start()


@pytest.fixture
async def new_client() -> AsyncIterator[Callable[..., VaultClient]]:
    """`new_client(path, …)` makes a client that is closed at the end."""
    made: list[VaultClient] = []

    def make(path: Path, **settings: float) -> VaultClient:
        made.append(VaultClient(path, **settings))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
def client(vault: RunningVault, new_client: Callable[..., VaultClient]) -> VaultClient:
    """A client of `vault`."""
    return new_client(vault.socket)


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """`await until(condition)`: wait until it says True."""
    return patience.eventually


@pytest.fixture
def number() -> Callable[[int], str]:
    """`number(i)`: the i-th Visa number of a test BIN."""

    def make(i: int) -> str:
        payload = f"411111{i:09d}"
        return payload + check_digit(payload)

    return make
