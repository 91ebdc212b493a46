"""Vault processes of the test's own, which it may call, kill and inspect."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.processors.contract import CardDetails
from gateway.vault import frames, proof
from gateway.vault.addresses import UnixAddress
from gateway.vault.audit_chain import AuditEntry, entry_of, files
from gateway.vault.client import VaultClient
from gateway.vault.isolation import socket_path
from schemas.cards import check_digit
from schemas.ids import new_id
from tests import patience

ROOT = Path(__file__).parents[3]


class RunningVault:
    """`python -m gateway.vault` on a data directory; its log goes to a file beside it."""

    def __init__(self, data: Path, log: Path, **settings: str) -> None:
        self.data = data
        self.file = data / "vault.sqlite3"
        self.socket = socket_path(data)
        self._log = log
        many = dict.fromkeys(("SLUICE_VAULT_OPENS_PER_S", "SLUICE_VAULT_PERSON_KEYS_PER_S"), "1000000")
        self.settings = {"SLUICE_DATA": str(data)} | many | settings
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
            known = os.environ | self.settings
            self.process = subprocess.Popen(command, cwd=ROOT, env=known, stdout=log, stderr=log)
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

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind."""
        return [line for line in self.log() if line["event"] == event]

    def audit(self, event: str = "") -> list[AuditEntry]:
        """The entries of its audit so far, all or of one kind."""
        lines = [line for path in files(self.data / "audit") for line in path.read_bytes().split(b"\n")[:-1]]
        entries = [entry_of(line)[0] for line in lines]
        return [entry for entry in entries if event in (entry.event, "")]

    @property
    def secret(self) -> bytes:
        """What its clients have to know."""
        return (self.data / "secrets" / "vault.client").read_bytes()

    def connect(self, peer: socket.socket) -> None:
        """Connect a plain socket, and prove that it knows the secret."""
        peer.connect(str(self.socket))
        mine = bytes(frames.NONCE_BYTES)
        challenge = exchange(peer, frames.Hello(1, mine))
        assert isinstance(challenge, frames.Challenge)
        answer = proof.of_client(self.secret, mine, challenge.nonce)
        assert exchange(peer, frames.Prove(2, answer)) == frames.Done(2)


def exchange(peer: socket.socket, request: frames.Frame) -> frames.ReplyFrame:
    """The reply to one request on a plain socket."""
    peer.sendall(frames.pack(request))
    [reply] = frames.Splitter(frames.REPLIES).feed(peer.recv(1_000))
    return reply


class SeeingClient(VaultClient):
    """A client that opens a card as often as a test likes, each time for another operation."""

    async def see(self, card_id: str, owner_id: str) -> CardDetails:
        """The card."""
        return (await self.open(card_id, owner_id, new_id("op"))).details


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
async def new_client() -> AsyncIterator[Callable[..., SeeingClient]]:
    """`new_client(vault)` makes a client that is closed at the end; `secret=…`: one that knows another secret."""
    made: list[SeeingClient] = []

    def make(vault: RunningVault, secret: bytes = b"", timeout_s: float = patience.PATIENCE_S) -> SeeingClient:
        made.append(SeeingClient([UnixAddress(vault.socket)], secret or vault.secret, timeout_s))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
def client(vault: RunningVault, new_client: Callable[..., SeeingClient]) -> SeeingClient:
    """A client of `vault`."""
    return new_client(vault)


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
