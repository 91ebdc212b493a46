"""`sluice vault`: certificates of vaults on several hosts, and which of two serves."""

import asyncio
from datetime import timedelta
from pathlib import Path

import click

from connectors.private_files import keep_private
from gateway.settings import GatewaySettings
from gateway.vault.addresses import VaultAddress, addresses_of
from gateway.vault.certificates import Certificates, Certified, Role
from gateway.vault.isolation import socket_path
from gateway.vault.settings import VaultSettings
from gateway.vault.standing import NotInPlace, Standing, first_row, keep_standing, standing_of
from gateway.vault.witness import Witness, WitnessAway, WitnessRow, open_witness
from schemas.settings import BadSetting, load
from schemas.times import now
from sluice.cli import DATA, DURATION
from sluice.vault_certificates import authority_in, write_holder

LASTS = timedelta(days=397)


@click.group()
def vault() -> None:
    """Vaults on several hosts."""


@vault.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--vault", "vaults", multiple=True, metavar="NAME=HOST[,HOST…]", help="A vault, and its names.")
@click.option("--gateway", "gateways", multiple=True, metavar="NAME", help="A gateway.")
@click.option("--lasts", type=DURATION, default=LASTS, help="How long each counts.  [default: 397d]")
def certificates(directory: Path, vaults: tuple[str, ...], gateways: tuple[str, ...], lasts: timedelta) -> None:
    """Make certificates: DIRECTORY/NAME is for the host of that vault or gateway, DIRECTORY/ca.key for none.

    Without --vault and --gateway: show until when each of DIRECTORY counts.
    """
    if not vaults and not gateways:
        return _show(directory)
    holders = [*map(_vault, vaults), *((Certified("gateway", name), []) for name in gateways)]
    try:
        authority = authority_in(directory)
        for holder, hosts in holders:
            until = write_holder(authority, directory / holder.name, holder, hosts, lasts)
            click.echo(f"{directory / holder.name}: {holder}, until {until:%Y-%m-%d}")
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{directory}: {error}") from None
    return None


@vault.command()
@DATA
def begin(data: Path | None) -> None:
    """Tell the witness that the vault of this data directory serves: at first, and after a restore.

    Its cards count from now on, and what the other vault has is replaced by a copy of them.
    """
    settings = load(VaultSettings)
    data = data or settings.data
    keep_private(data)
    try:
        row = asyncio.run(begin_with(data, settings.vault_name, open_witness(settings.vault_witness)))
    except (BadSetting, WitnessAway, NotInPlace) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{row.serving} serves {row.store_id} as of term {row.term}; start it before the other one")


@vault.command()
@DATA
def status(data: Path | None) -> None:
    """Show which vault serves, and whether the other one has everything."""
    settings = load(VaultSettings)
    try:
        row = asyncio.run(_read(open_witness(settings.vault_witness)))
    except (BadSetting, WitnessAway) as error:
        raise click.ClickException(str(error)) from None
    if row is None:
        raise click.ClickException("the witness is empty: `sluice vault begin`")
    click.echo(f"serves:    {row.serving} (term {row.term}, {row.beats} beats)")
    click.echo(f"stands by: {row.standby or 'nobody: a copy is made, or the other vault is away'}")
    own = standing_of(data or settings.data)
    click.echo(f"here:      {settings.vault_name}, which took part up to term {own.term}")


async def begin_with(data: Path, name: str, witness: Witness) -> WitnessRow:
    """Have the witness say that the vault `name` of a data directory serves.

    Raises `WitnessAway` and `NotInPlace`.
    """
    try:
        row = first_row(data, name, await witness.read())
        keep_standing(data, Standing(row.store_id, row.term, name))
        await witness.begin(row)
        return row
    finally:
        await witness.close()


def local_witness(data: Path) -> str:
    """The witness of two vaults that `sluice up` starts: SLUICE_VAULT_WITNESS, or else a file beside the books."""
    return load(VaultSettings).vault_witness or f"sqlite:///{(data / 'witness.sqlite3').absolute()}"


def vaults_of(settings: GatewaySettings | VaultSettings, given: str) -> list[VaultAddress]:
    """Where commands find the vaults: as `given`, or else those of a stack on this data directory.

    To a vault's settings belongs the other one that they name: whichever of the two serves.
    """
    second, users = settings.data / "vault_2", settings.vault_users
    found = addresses_of(settings.data, given, users, settings.vault_certificates)
    if not given and socket_path(second).exists():
        found += addresses_of(second, "", users)
    if isinstance(settings, VaultSettings) and settings.vault_other:
        found += addresses_of(settings.data, settings.vault_other, users, settings.vault_certificates)
    return found


def running_vaults(settings: VaultSettings) -> list[VaultAddress]:
    """The vaults to ask by SLUICE_VAULT; none where the one of this data directory does not run.

    Raises `BadSetting`.
    """
    if not settings.asks_others() and not settings.socket().exists():
        return []
    return vaults_of(settings, settings.vault)


def who_serves(data: Path) -> str:
    """Which of the two vaults of a stack serves, as `sluice status` says it."""
    try:
        row = read_witness(data)
    except (BadSetting, WitnessAway):
        row = None
    if row is None:
        return "which vault serves is not known: the witness does not answer"
    return f"{row.serving} serves cards; {row.standby or 'no other vault'} may take over"


def read_witness(data: Path) -> WitnessRow | None:
    """What the witness of a stack's vaults says; None: nothing yet. Raises `BadSetting` and `WitnessAway`."""
    return asyncio.run(_read(open_witness(local_witness(data))))


async def begin_if_empty(data: Path, name: str, witness: Witness) -> None:
    """As `begin_with`, where the witness says nothing yet."""
    if await witness.read() is None:
        await begin_with(data, name, witness)


async def _read(witness: Witness) -> WitnessRow | None:
    try:
        return await witness.read()
    finally:
        await witness.close()


def _vault(given: str) -> tuple[Certified, list[str]]:
    name, _, hosts = given.partition("=")
    if not name or not hosts:
        raise click.UsageError(f"--vault {given}: NAME=HOST, with each name and address by which it is reached")
    role: Role = "vault"
    return Certified(role, name), hosts.split(",")


def _show(directory: Path) -> None:
    found = sorted(path.parent for path in directory.glob("*/own.pem"))
    for folder in found or [directory]:
        try:
            until = Certificates(folder).expires_at()
        except BadSetting as error:
            raise click.ClickException(str(error)) from None
        click.echo(f"{folder}: until {until:%Y-%m-%d}, {(until - now()).days} days")
