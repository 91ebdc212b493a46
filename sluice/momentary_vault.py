"""The vault for a command: that of the stack that runs, or where none does one that ends with the command."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click

from gateway.settings import GatewaySettings
from gateway.vault.client import VaultAway, VaultClient
from gateway.vault.proof import client_secret
from gateway.vault.settings import VaultSettings
from sluice.settings import environment
from sluice.vault import vaults_of

UP_WITHIN_S = 10.0
PAUSE_S = 0.05


@asynccontextmanager
async def vault_at_hand(settings: GatewaySettings, vault_keys: Path | None) -> AsyncIterator[VaultClient]:
    """A client of a vault that answers. `vault_keys`: for one that has to be started.

    Raises `click.ClickException` where it does not start: another user may have to.
    """
    vault = VaultClient(
        vaults_of(settings, settings.vault),
        client_secret(settings, settings.vault_client),
    )
    try:
        if await _answers(vault):
            yield vault
            return
        with _started(settings, vault_keys) as process:
            await _await(vault, process)
            yield vault
    finally:
        await vault.close()


async def _answers(vault: VaultClient) -> bool:
    try:
        await vault.ping()
    except VaultAway:
        return False
    return True


async def _await(vault: VaultClient, process: "subprocess.Popen[bytes]") -> None:
    give_up = asyncio.get_running_loop().time() + UP_WITHIN_S
    while not await _answers(vault):
        if process.poll() is not None or asyncio.get_running_loop().time() > give_up:
            raise click.ClickException("the vault does not run, and cannot be started here: start it first")
        await asyncio.sleep(PAUSE_S)


@contextmanager
def _started(settings: GatewaySettings, vault_keys: Path | None) -> Iterator["subprocess.Popen[bytes]"]:
    variables = environment([VaultSettings], settings.data)
    if vault_keys:
        variables["SLUICE_VAULT_KEYS"] = str(vault_keys)
    command = [sys.executable, "-m", "gateway.vault"]
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        try:
            yield process
        finally:
            process.terminate()
