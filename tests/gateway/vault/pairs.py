"""Two vaults of a test's own, one of which stands by for the other."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from gateway.vault.addresses import UnixAddress
from gateway.vault.audit_chain import AuditEntry, CheckedChain, entry_of, files
from gateway.vault.isolation import socket_path
from gateway.vault.witness import WitnessRow, open_witness
from schemas.times import now
from sluice.vault import begin_with
from tests import patience
from tests.gateway.vault.conftest import RunningVault, SeeingClient


class Pair:
    """Vaults `a` and `b`, `a` of which serves first; the keys and secrets are those of `a`'s data directory."""

    def __init__(
        self,
        folder: Path,
        new_vault: Callable[..., RunningVault],
        other_of_a: Path | None = None,
        other_of_b: Path | None = None,
    ) -> None:
        self.witness = f"sqlite:///{folder / 'witness.sqlite3'}"
        self.folder = folder
        data = {name: folder / name for name in ("a", "b")}
        for each in data.values():
            each.mkdir(mode=0o700)
        with ThreadPoolExecutor(1) as thread:  # a test's own loop may be running
            thread.submit(asyncio.run, begin_with(data["a"], "a", open_witness(self.witness))).result()
        common = {"SLUICE_SECRETS": str(folder / "secrets"), "SLUICE_VAULT_WITNESS": self.witness}
        others = {"a": other_of_a or socket_path(data["b"]), "b": other_of_b or socket_path(data["a"])}
        self.a, self.b = (
            new_vault(data[name], **common, SLUICE_VAULT_NAME=name, SLUICE_VAULT_OTHER=str(others[name]))
            for name in ("a", "b")
        )

    def start(self) -> "Pair":
        """Start both; `b` has a copy of everything then."""
        self.a.start()
        self.b.launch()
        self.until_joined("b")
        return self

    def until_joined(self, name: str) -> None:
        """Wait until this one may take over."""
        patience.until(lambda: self.row().standby == name, why=lambda: (self.row(), self.a.log(), self.b.log()))

    def row(self) -> WitnessRow:
        """What the witness says."""
        with closing(sqlite3.connect(self.witness.removeprefix("sqlite:///"))) as conn:
            found = conn.execute("SELECT store_id, serving, run_id, standby, term, beats FROM vault_witness")
            return WitnessRow(*found.fetchone())

    @property
    def secret(self) -> bytes:
        """What clients have to know."""
        return (self.folder / "secrets" / "vault.client").read_bytes()

    def address(self, name: str) -> UnixAddress:
        """Where one of them is reached."""
        return UnixAddress({"a": self.a, "b": self.b}[name].socket)

    def client(self, timeout_s: float = patience.PATIENCE_S) -> SeeingClient:
        """A client of both."""
        return SeeingClient([self.address("a"), self.address("b")], self.secret, timeout_s)


def checked(vault: RunningVault) -> list[AuditEntry]:
    """All entries of a vault's audit, whose chain is whole."""
    chain = CheckedChain()

    for path in files(vault.data / "audit"):
        list(chain.read(path, timedelta(days=400), now()))
    assert not chain.faults
    lines = [line for path in files(vault.data / "audit") for line in path.read_bytes().split(b"\n")[:-1]]
    return [entry_of(line)[0] for line in lines]


def opened(vault: RunningVault) -> dict[str, int]:
    """How often each operation opened a card, by a vault's audit."""
    found: dict[str, int] = {}
    for entry in checked(vault):
        if entry.event == "card.open" and entry.result == "ok":
            found[entry.operation_id or ""] = found.get(entry.operation_id or "", 0) + 1
    return found


def lines_of(vault: RunningVault) -> dict[str, bytes]:
    """The files of a vault's audit."""
    return {path.name: path.read_bytes() for path in files(vault.data / "audit")}
