"""`sluice keys`: the vault's keys."""

import asyncio
from pathlib import Path

import click
import msgspec

from connectors.keyfiles import SecretMissing
from gateway.vault.client import NoKey, Unproven, VaultAway, VaultClient
from gateway.vault.frames import CardCounts
from gateway.vault.isolation import socket_path, users_of
from gateway.vault.proof import client_secret
from gateway.vault.settings import VaultSettings
from schemas.settings import load

POLL_S = 0.1


@click.group()
def keys() -> None:
    """The vault's keys."""


@keys.command()
@click.option("--data", type=click.Path(path_type=Path), help="The data directory (SLUICE_DATA, default ./data).")
def rotate(data: Path | None) -> None:
    """Put every card under a new key version, while serving.

    An interrupted rotation goes on: call it again, or restart the vault.
    """
    settings = load(VaultSettings)
    settings = msgspec.structs.replace(settings, data=data or settings.data)
    path = socket_path(settings.data, settings.vault)
    try:
        counts = asyncio.run(_rotate(_client(settings, path)))
    except Unproven:
        raise click.ClickException(
            f"the vault on {path} knows another client secret (SLUICE_VAULT_CLIENT)"
        ) from None
    except VaultAway:
        raise click.ClickException(f"no vault answers on {path}: is the stack running?") from None
    except NoKey:
        raise click.ClickException(
            "there is no newer key: put the next vault.kek.<n> into the directory of keys"
        ) from None
    _report(counts)


def _client(settings: VaultSettings, path: Path) -> VaultClient:
    """Raises `VaultAway`; no secret is made for a vault that is not there."""
    if not path.exists():
        raise VaultAway
    try:
        secret = client_secret(settings, settings.vault_client)
    except SecretMissing as missing:
        raise click.ClickException(str(missing)) from None
    return VaultClient(path, secret, users_of(settings.vault_users))


async def _rotate(client: VaultClient) -> CardCounts:
    try:
        counts = await client.rotate()
        with click.progressbar(length=counts.left, label=f"key version {counts.key_version}") as bar:
            while counts.rotating:
                await asyncio.sleep(POLL_S)
                before, counts = counts.left, await client.count()
                bar.update(before - counts.left)
            return counts
    finally:
        await client.close()


def _report(counts: CardCounts) -> None:
    if counts.left:
        raise click.ClickException(
            f"{counts.left} of {counts.cards} cards are still under an older key: the vault's log says why"
        )
    click.echo(
        f"{counts.cards} cards are under key version {counts.key_version};"
        " the files of older versions may be removed."
    )
