"""The vault's client secret is rotated: either side may be the first that has the new one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.secret_files import SecretFile, put_next, take_next
from gateway.vault import proof
from gateway.vault.client import Unproven
from tests.gateway.vault.conftest import RunningVault, SeeingClient


async def test_a_client_that_is_open_goes_on_and_the_old_one_is_refused(
    vault: RunningVault, new_client: Callable[..., SeeingClient]
) -> None:
    path, before, old = vault.data / "secrets" / "vault.client", new_client(vault), vault.secret
    await before.ping()
    put_next(path, "another")
    await new_client(vault, secret=old).ping()
    take_next(path, overlap_s=3600)
    await new_client(vault, secret=SecretFile(path)).ping()
    with pytest.raises(Unproven):  # the vault proves the new one, which it does not know
        await new_client(vault, secret=old).ping()
    for overlapping in path.parent.glob("vault.client.old.*"):
        overlapping.unlink()
    await before.ping()


@pytest.mark.parametrize("first", ["vault", "client"])
def test_whoever_is_the_first_to_take_the_next_one_is_believed(tmp_path: Path, first: str) -> None:
    vaults, clients = (SecretFile(tmp_path / name / "vault.client") for name in ("vault", "client"))
    for side in (vaults, clients):
        side.path.parent.mkdir()
        side.path.write_text("old")
        put_next(side.path, "new")
    sides = [vaults, clients] if first == "vault" else [clients, vaults]
    assert _agree(vaults, clients)
    for side in sides:
        take_next(side.path, overlap_s=60)
        assert _agree(vaults, clients)
    vaults.path.write_text("a third")
    assert not _agree(vaults, clients)


def _agree(vaults: SecretFile, clients: SecretFile) -> bool:
    nonces = (b"c" * 16, b"v" * 16)
    known = proof.proved_to(clients, proof.of_vault(proof.shown(vaults), *nonces), *nonces)
    return known is not None and proof.is_of_client(vaults, proof.of_client(known, *nonces), *nonces)
