"""`sluice keys`: the vault's keys, those that the gateway signs tokens with, and the secrets that lie in files."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import asyncpg  # type: ignore[import-untyped]  # it has types, but no marker that says so
import click
import msgspec
from sqlalchemy.exc import DBAPIError

from connectors.keyfiles import SecretMissing
from connectors.processors.http_signature import is_shared_key
from connectors.processors.settings import SECRET_FILES
from connectors.secret_files import next_of, put_next
from gateway.identity.signing_keys import add_next, remove_old
from gateway.settings import GatewaySettings
from gateway.vault.client import NoKey, Unproven, VaultAway, VaultClient
from gateway.vault.frames import CardCounts
from gateway.vault.proof import client_secret
from gateway.vault.settings import VaultSettings
from schemas.settings import BadSetting, Settings, load
from schemas.times import from_micros
from sluice.cli import DATA, DURATION
from sluice.rotation import ROTATIONS, SecretRotation, place_of
from sluice.vault import running_vaults

POLL_S = 0.1


@click.group()
def keys() -> None:
    """The vault's keys, those of tokens, and secrets in files."""


@keys.command()
@click.argument("name", default="")
@DATA
@click.option("--tokens", is_flag=True, help="The key that the gateway signs tokens with, instead of the vault's.")
@click.option("--from", "given", type=click.File(), help="A file with the new secret; - is standard input.")
@click.option(
    "--next", "only_next", is_flag=True, help="Only put it beside the present one, to be copied to other hosts."
)
@click.option("--overlap", type=DURATION, default="15m", help="How long the one before counts (default 15m).")
def rotate(
    name: str, data: Path | None, tokens: bool, given: TextIO | None, only_next: bool, overlap: timedelta
) -> None:
    """Put every card under a new key version, or replace the secret in the file NAME, while serving.

    An interrupted rotation goes on: call it again, or restart the vault.
    """
    if name:
        _rotate_file(name, data, given, overlap, only_next=only_next)
        return None
    settings = load(VaultSettings)
    settings = msgspec.structs.replace(settings, data=data or settings.data)
    if tokens:
        return _rotate_tokens(settings)
    where = settings.vault or settings.socket()
    try:
        counts = asyncio.run(_rotate(_client(settings)))
    except Unproven:
        raise click.ClickException(
            f"the vault on {where} knows another client secret (SLUICE_VAULT_CLIENT)"
        ) from None
    except VaultAway:
        raise click.ClickException(f"no vault answers on {where}: is the stack running?") from None
    except NoKey:
        raise click.ClickException(
            "there is no newer key: put the next vault.kek.<n> into the directory of keys"
        ) from None
    _report(counts)
    return None


def _rotate_file(
    name: str, data: Path | None, given: TextIO | None, overlap: timedelta, *, only_next: bool
) -> None:
    """Replace the secret in a file, by one of ours or one that is given."""
    settings = load(GatewaySettings, checked=False)  # a vault's host has no public address
    settings = msgspec.structs.replace(settings, data=data or settings.data)
    path, rotation = place_of(settings, name), ROTATIONS[name]
    try:
        if given or not next_of(path).exists():
            put_next(path, _new_secret(name, rotation, given))
        if only_next:
            click.echo(f"{next_of(path)} is the next one: copy it to each host, then rotate without --next.")
            return
        rotation.carry_out(settings, path, int(overlap.total_seconds()))
    except (SecretMissing, asyncpg.PostgresError, DBAPIError) as error:
        raise click.ClickException(f"{name} stays as it is: {error}") from None
    click.echo(f"{path} is new. {rotation.then}".strip())


def _new_secret(name: str, rotation: SecretRotation, given: TextIO | None) -> str:
    """Never from the command line, which every process of the machine can read. Raises `BadSetting`."""
    if given is not None:
        new = given.read().strip()
    else:
        new = rotation.made() if rotation.made else click.prompt(f"The new {name}", hide_input=True).strip()
    if not new or not new.isprintable() or not new.isascii():
        raise BadSetting(f"the new {name} has to be one line of ASCII")
    if name == SECRET_FILES["visa"] and not is_shared_key(new.rpartition(" ")[2]):
        raise BadSetting(f"the new {name} has to be base64, as the Business Center shows it")
    return new


def _rotate_tokens(settings: Settings) -> None:
    """Add the next key to the secret store, and delete those that nobody needs any more."""
    try:
        old, key = remove_old(settings), add_next(settings)
    except (OSError, SecretMissing, ValueError) as error:
        raise click.ClickException(f"the keys of tokens in {settings.secrets()}: {error}") from None
    click.echo(f"{key.path.name} signs tokens from {from_micros(key.signs_from * 1_000_000):%H:%M} UTC on.")
    for path in old:
        click.echo(f"{path.name} is deleted: the last token by it has expired.")


def _client(settings: VaultSettings) -> VaultClient:
    """Raises `VaultAway`; no secret is made for a vault that is not there."""
    if not (found := running_vaults(settings)):
        raise VaultAway
    try:
        secret = client_secret(settings, settings.vault_client)
    except SecretMissing as missing:
        raise click.ClickException(str(missing)) from None
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
