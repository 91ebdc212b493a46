"""`sluice keys`: the vault's keys, and those that the gateway signs tokens with."""

import asyncio
from pathlib import Path

import click
import msgspec

from connectors.keyfiles import SecretMissing
from gateway.identity.signing_keys import add_next, remove_old
from gateway.vault.addresses import addresses_of
from gateway.vault.client import NoKey, Unproven, VaultAway, VaultClient
from gateway.vault.frames import CardCounts
from gateway.vault.isolation import socket_path
from gateway.vault.proof import client_secret
from gateway.vault.settings import VaultSettings
from schemas.settings import Settings, load
from schemas.times import from_micros
from sluice.cli import DATA
from sluice.vault import vaults_of

POLL_S = 0.1


@click.group()
def keys() -> None:
    """The vault's keys, and those of tokens."""


@keys.command()
@DATA
@click.option("--tokens", is_flag=True, help="The key that the gateway signs tokens with, instead of the vault's.")
def rotate(data: Path | None, tokens: bool) -> None:
    """Put every card under a new key version, while serving.

    An interrupted rotation goes on: call it again, or restart the vault.
    """
    settings = load(VaultSettings)
    settings = msgspec.structs.replace(settings, data=data or settings.data)
    if tokens:
        return _rotate_tokens(settings)
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
    return None


def _rotate_tokens(settings: Settings) -> None:
    """Add the next key to the secret store, and delete those that nobody needs any more."""
    try:
        old, key = remove_old(settings), add_next(settings)
    except (OSError, SecretMissing, ValueError) as error:
        raise click.ClickException(f"the keys of tokens in {settings.secrets()}: {error}") from None
    click.echo(f"{key.path.name} signs tokens from {from_micros(key.signs_from * 1_000_000):%H:%M} UTC on.")
    for path in old:
        click.echo(f"{path.name} is deleted: the last token by it has expired.")


def _client(settings: VaultSettings, path: Path) -> VaultClient:
    """Raises `VaultAway`; no secret is made for a vault that is not there."""
    if not path.exists():
        raise VaultAway
    try:
        secret = client_secret(settings, settings.vault_client)
    except SecretMissing as missing:
        raise click.ClickException(str(missing)) from None
    found = vaults_of(settings, str(settings.vault or ""))
    if settings.vault_other:  # whichever of the two serves
        found += addresses_of(
            settings.data, settings.vault_other, settings.vault_users, settings.vault_certificates
        )
    return VaultClient(found, secret)


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
