"""The commands `sluice backup` and `sluice restore`."""

import shutil
from pathlib import Path

import click
import msgspec

from connectors.durable_files import sync, sync_tree, write_durably
from gateway.settings import GatewaySettings
from gateway.vault.settings import VaultSettings
from gateway.vault.standing import FILE as STANDING
from gateway.vault.standing import NotInPlace, standing_of
from gateway.vault.witness import WitnessAway
from schemas.settings import BadSetting, load
from schemas.times import now
from sluice.admin import with_data
from sluice.backup.bringing_back import bring_back
from sluice.backup.copies import (
    MANIFEST,
    PARTS,
    BackupFailed,
    CopyManifest,
    Part,
    copies_in,
    forbid_beside,
    manifest_of,
    name_of,
    read_copy,
    release,
)
from sluice.backup.stores import Stores
from sluice.cli import DATA
from sluice.status import held
from sluice.vault import read_witness


@click.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@DATA
def backup(part: Part, folder: Path, data: Path | None) -> None:
    """Copy a PART of the stores into a new directory in FOLDER, while the stack serves.

    books: the gateway's books (SQLite, or PostgreSQL by pg_dump). vault: card numbers and the vault's audit, to be
    copied after the books. persons: persons' keys; each copy replaces the one before, so that who was erased stays
    erased. secrets: every secret and key. books and vault may lie together; persons and secrets each lie apart.
    """
    stores, moment = _stores(data), now()
    if part in ("vault", "persons"):
        _check_whole(stores.data)
    forbid_beside(part, folder, stores.data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / name_of(part, moment)
    fresh = folder / f".{target.name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        manifest = manifest_of(part, moment, stores.copy(part, fresh), fresh)
        write_durably(fresh / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        sync_tree(fresh)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    sync(folder)
    if part == "persons":
        _forget_before(folder, target)
    click.echo(f"{target}: {len(manifest.files)} files, {sum(file.bytes for file in manifest.files):,} bytes")


@click.command()
@click.argument("copy", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option("--from-kafka", is_flag=True, help="Without a COPY: write back what the books lost and topics tell.")
@click.option("--check", is_flag=True, help="Only look whether the copy is whole and fits; change nothing.")
@click.option("--replace", is_flag=True, help="Set aside what stands there (PostgreSQL: drop it).")
@DATA
def restore(copy: Path | None, from_kafka: bool, check: bool, replace: bool, data: Path | None) -> None:
    """Put back a COPY that `sluice backup` made, while the stack does not run.

    Files are compared with the manifest before anything changes. What stood there is renamed, not deleted. Then,
    with Kafka alone running, --from-kafka writes into the books what came after the copy, each payment once.
    """
    if (copy is None) != from_kafka or (from_kafka and (check or replace)):
        raise click.UsageError("name a COPY, or give --from-kafka alone")
    if copy is None:
        bring_back(data)
    else:
        _put_back(copy, check, replace, data)


def _put_back(copy: Path, check: bool, replace: bool, data: Path | None) -> None:
    stores, manifest = _stores(data), read_copy(copy)
    if check:
        click.echo(f"{copy}: whole; {_about(manifest)}")
        return
    with held(stores.data):
        replaced = stores.replaced_files(manifest)
        if replaced and not replace:
            raise BackupFailed(f"{replaced[0]} is there: --replace sets it aside, or drops PostgreSQL's tables")
        moved = stores.put_back(manifest, copy, f".before-{now():%Y%m%dT%H%M%SZ}")
    click.echo(f"put back: {_about(manifest)}")
    for path in moved:
        click.echo(f"set aside: {path}")
    if any(path.name.startswith(STANDING) for path in moved):
        click.echo("`sluice vault begin` says which of the two vaults serves with what was put back.")
    if manifest.part == "books":
        click.echo("What came after the copy is not in these books. With Kafka alone running,")
        click.echo("`sluice restore --from-kafka` brings back what topics tell of it, before a gateway starts.")


def _stores(data: Path | None) -> Stores:
    gateway = with_data(load(GatewaySettings, checked=False), data)  # a vault's host has no public address
    vault = load(VaultSettings)
    return Stores(gateway, msgspec.structs.replace(vault, data=gateway.data))


def _check_whole(data: Path) -> None:
    """Refuse the data of a vault that lacks what the other one has; warn where nobody can tell.

    Raises `BackupFailed`.
    """
    try:
        own = standing_of(data)
    except NotInPlace as error:
        raise BackupFailed(str(error)) from None
    if not own.vault:
        return  # it is the only one
    try:
        row = read_witness(data)
    except (BadSetting, WitnessAway):
        row = None
    if row is None:
        click.echo(f"beware: whether {own.vault} has every card is not known: the witness does not say", err=True)
    elif own.vault not in (row.serving, row.standby):
        raise BackupFailed(
            f"{data} lacks what {row.serving} has: copy that vault's, or wait until this one stands by"
        )


def _forget_before(folder: Path, newest: Path) -> None:
    """Delete older copies of persons' keys: they hold keys that have been destroyed since."""
    for part, path in copies_in(folder):
        if part == "persons" and path != newest:
            shutil.rmtree(path)


def _about(manifest: CopyManifest) -> str:
    at = f"{manifest.made_at:%Y-%m-%d %H:%M:%S} UTC"
    other = "" if manifest.release == release() else f", by release {manifest.release} (this is {release()})"
    return f"{manifest.part} of {at}, {len(manifest.files)} files{other}"
