"""`sluice audit`: the vault's audit, compared with the heads that the books keep, and written out."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO

import click
import msgspec

from gateway.books.opening import check_existing, run_once
from gateway.books.operations import list_audit_heads
from gateway.settings import GatewaySettings
from gateway.vault.audit_chain import CheckedChain, Head, KeptHead, entry_of, files, head_of
from gateway.vault.audit_trail import OPENS_FILE
from gateway.vault.opens import tip_of
from gateway.vault.settings import VaultSettings
from schemas.ids import earliest_id
from schemas.settings import load
from schemas.times import now, to_micros
from sluice.cli import MOMENT

PAGE = 1_000
YEAR_DAYS = 365

data_option = click.option(
    "--data", type=click.Path(path_type=Path), help="The vault's data directory (SLUICE_DATA, default ./data)."
)


class OperationHead(msgspec.Struct, frozen=True):
    """A line of `sluice audit heads`: an operation, and the head it keeps, if a card was opened for it."""

    operation: str
    head: str | None


@click.group()
def audit() -> None:
    """The vault's audit."""


@audit.command()
def heads() -> None:
    """Write what the books keep of the audit, as JSON lines, for `verify --heads` where the vault runs."""
    for each in _books_heads(load(GatewaySettings)):
        click.echo(msgspec.json.encode(each))


@audit.command()
@data_option
@click.option(
    "--heads", "file", type=click.File("rb"), help="What `sluice audit heads` wrote, instead of the books."
)
def verify(data: Path | None, file: IO[bytes] | None) -> None:
    """Check the chain and compare it with the books; exit 0 only if nothing was changed, cut or left out.

    Heads are read before the chain, and operations after it: both may grow meanwhile.
    """
    settings = load(VaultSettings)
    directory = (data or settings.data) / "audit"
    operations = list(_read_heads(file) if file else _books_heads(load(GatewaySettings)))
    kept = [KeptHead(each.operation, head_of(each.head)) for each in operations if each.head]
    if tip := tip_of(directory / OPENS_FILE):
        kept.append(KeptHead(OPENS_FILE, tip))
    if not files(directory):
        raise click.ClickException(f"there is no audit in {directory}")
    # A year in any case: what was kept for longer may since be kept for less, or the other way round.
    age_max = timedelta(days=min(settings.vault_audit_days, YEAR_DAYS))
    chain, opened = checked(directory, age_max)
    found = chain.compare(kept)
    _note_missing(chain, kept, age_max)
    newest = max((each.head.n for each in kept if each.kept_by != OPENS_FILE), default=0) if file else chain.last.n
    known = operations if file else _books_heads(load(GatewaySettings))
    for operation_id, n in _unknown(opened, known):
        if n <= newest:  # what was opened since a file was written is not in it
            what = f"a card was opened for {operation_id}, which is no operation of the books that needs one"
            chain.fault(n, what)
    _report(chain, found, len(opened))


@audit.command()
@data_option
@click.option("--since", type=MOMENT, metavar="TIME", help="ISO 8601, UTC without a zone.")
@click.option("--until", type=MOMENT, metavar="TIME", help="Up to, and without, this moment.")
def export(data: Path | None, since: datetime | None, until: datetime | None) -> None:
    """Write the entries of a range of time, as JSON lines."""
    directory = (data or load(VaultSettings).data) / "audit"
    with suppress(BrokenPipeError):
        for line in exported(directory, since, until):
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def checked(directory: Path, kept: timedelta) -> tuple[CheckedChain, dict[str, int]]:
    """The chain in a directory, and the entries of opened cards by their operations."""
    chain, opened, moment = CheckedChain(), {}, now()
    for path in files(directory):
        for entry in chain.read(path, kept, moment):
            opened[entry.operation_id or ""] = entry.n
    return chain, opened


def exported(directory: Path, since: datetime | None, until: datetime | None) -> Iterator[bytes]:
    """The entries from `since` on and before `until`, each as the JSON that was written."""
    there = files(directory)
    for path, following in zip(there, [*there[1:], None], strict=True):
        if since and following and (begun := _begun(following)) and begun < since:
            continue  # all of it is older
        for line in path.read_bytes().split(b"\n")[:-1]:
            with suppress(ValueError):  # `verify` tells of what is no entry
                entry, _ = entry_of(line)
                if (since is None or entry.at >= since) and (until is None or entry.at < until):
                    yield line.partition(b" ")[2]


def _begun(path: Path) -> datetime | None:
    with path.open("rb") as file, suppress(ValueError):
        return entry_of(file.readline().rstrip(b"\n"))[0].at
    return None


def _books_heads(settings: GatewaySettings) -> Iterator[OperationHead]:
    url, last = settings.books_url(), ""
    check_existing(url)
    while page := run_once(url, partial(list_audit_heads, after_id=last, most=PAGE), readonly=True):
        yield from (OperationHead(*row) for row in page)
        last = page[-1][0]


def _read_heads(file: IO[bytes]) -> Iterator[OperationHead]:
    decoder = msgspec.json.Decoder(OperationHead)
    try:
        yield from map(decoder.decode, file)
    except ValueError as error:
        raise click.ClickException(f"--heads: not what `sluice audit heads` writes: {error}") from None


def _unknown(
    opened: dict[str, int], operations: Iterator[OperationHead] | list[OperationHead]
) -> list[tuple[str, int]]:
    left = dict(opened)
    for each in operations:
        left.pop(each.operation, None)
    return sorted(left.items(), key=lambda item: item[1])


def _note_missing(chain: CheckedChain, kept: list[KeptHead], time: timedelta) -> None:
    """Note each head from before the chain's first entry whose operation is not old enough for that.

    Else all files could be put away, and one put there that begins with a number nobody keeps.
    """
    young = earliest_id("op", to_micros(now() - time))
    for each in kept:
        if each.head.n < chain.first and each.kept_by >= young:
            chain.fault(each.head.n, f"missing: {each.kept_by} keeps it, and the chain begins at {chain.first}")


def _report(chain: CheckedChain, found: int, opened: int) -> None:
    last = Head(chain.last.n, chain.last.hash[:16])
    click.echo(f"entries {chain.first} to {last.n} ({chain.entries}), head {last}…")
    click.echo(f"{found} heads are kept elsewhere and stand in it; {opened} cards were opened")
    for fault in chain.faults:
        click.echo(f"entry {fault.n}: {fault.what}")
    if chain.faults:
        raise click.ClickException(f"{len(chain.faults) + chain.faults_left_out} faults: the audit was changed")
