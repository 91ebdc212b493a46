"""`sluice audit`: the vault's audit and the books', each against what is kept of it elsewhere, and written out."""

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
from gateway.vault.audit_chain import CheckedChain, Head, KeptHead, entry_of, files, head_of, heads_in
from gateway.vault.audit_trail import OPENS_FILE
from gateway.vault.opens import tip_of
from gateway.vault.settings import VaultSettings
from schemas.ids import earliest_id
from schemas.settings import load
from schemas.times import now, to_micros
from sluice.books_audit import CheckedBooks, EntryLine, VaultHeads, entry_lines, exported_acts, record_export
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


class Written(msgspec.Struct, frozen=True):
    """The last line of `sluice audit heads`: when it began."""

    written_at: datetime


class Carried(msgspec.Struct):
    """What a file of `sluice audit heads` says, line by line."""

    operations: list[OperationHead] = []
    entries: list[EntryLine] = []
    written_at: datetime | None = None


@click.group()
def audit() -> None:
    """The vault's audit, and the books'."""


@audit.command()
def heads() -> None:
    """Write what the books keep of either audit, as JSON lines, for `verify --heads` where the vault runs."""
    settings, began = load(GatewaySettings), now()
    for part in (_books_heads(settings), entry_lines(settings), [Written(began)]):
        for each in part:
            click.echo(msgspec.json.encode(each))


@audit.command()
@data_option
@click.option(
    "--heads", "file", type=click.File("rb"), help="What `sluice audit heads` wrote, instead of the books."
)
def verify(data: Path | None, file: IO[bytes] | None) -> None:
    """Check both chains against each other; exit 0 only if nothing was changed, cut or left out.

    What the books keep of the vault's is read before the vault's chain, everything else of them after it: both may
    grow meanwhile.
    """
    settings = load(VaultSettings)
    directory = (data or settings.data) / "audit"
    carried = _carried(file) if file else None
    operations = carried.operations if carried else list(_books_heads(load(GatewaySettings)))
    kept = [KeptHead(each.operation, head_of(each.head)) for each in operations if each.head]
    if tip := tip_of(directory / OPENS_FILE):
        kept.append(KeptHead(OPENS_FILE, tip))
    if not files(directory):
        raise click.ClickException(f"there is no audit in {directory}")
    # A year in any case: what was kept for longer may since be kept for less, or the other way round.
    age_max = timedelta(days=min(settings.vault_audit_days, YEAR_DAYS))
    of_books = VaultHeads(carried.written_at if carried else None)
    chain, opened = checked(directory, age_max, of_books)
    found = chain.compare(kept)
    _note_missing(chain, kept, age_max)
    carried_to = max((each.head.n for each in kept if each.kept_by != OPENS_FILE), default=0)
    newest = carried_to if carried else chain.last.n
    known = carried.operations if carried else _books_heads(load(GatewaySettings))
    for operation_id, n in _unknown(opened, known):
        if n <= newest:  # what was opened since a file was written is not in it
            what = f"a card was opened for {operation_id}, which is no operation of the books that needs one"
            chain.fault(n, what)
    books = CheckedBooks()
    books.check(carried.entries if carried else entry_lines(load(GatewaySettings)), of_books, now())
    _report(chain, found, len(opened))
    _report_books(books)
    if faults := len(chain.faults) + chain.faults_left_out + len(books.faults) + books.faults_left_out:
        raise click.ClickException(f"{faults} faults: the audit was changed")


@audit.command()
@data_option
@click.option("--since", type=MOMENT, metavar="TIME", help="ISO 8601, UTC without a zone.")
@click.option("--until", type=MOMENT, metavar="TIME", help="Up to, and without, this moment.")
@click.option("--books", is_flag=True, help="The books' entries, not the vault's; it becomes one itself.")
def export(data: Path | None, since: datetime | None, until: datetime | None, books: bool) -> None:
    """Write the entries of a range of time, as JSON lines."""
    with suppress(BrokenPipeError):
        for line in _exported_books(since, until) if books else _exported_vault(data, since, until):
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def _exported_books(since: datetime | None, until: datetime | None) -> Iterator[bytes]:
    settings = load(GatewaySettings)
    check_existing(settings.books_url())
    given = {"since": since, "until": until}
    record_export(settings, {name: at.isoformat() for name, at in given.items() if at})
    return exported_acts(settings, since, until)


def _exported_vault(data: Path | None, since: datetime | None, until: datetime | None) -> Iterator[bytes]:
    return exported((data or load(VaultSettings).data) / "audit", since, until)


def checked(directory: Path, kept: timedelta, of_books: VaultHeads) -> tuple[CheckedChain, dict[str, int]]:
    """The chain in a directory, and the entries of opened cards by their operations; fills `of_books`."""
    chain, opened, moment = CheckedChain(), {}, now()
    for path in files(directory):
        for entry in chain.read(path, kept, moment):
            if entry.event == "card.open":
                opened[entry.operation_id or ""] = entry.n
            for head in heads_in(entry) if entry.event == "audit.head" else ():
                of_books.add(head, entry.at)
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


def _carried(file: IO[bytes]) -> Carried:
    carried = Carried()
    try:
        for line in file:
            if line.startswith(b'{"operation":'):
                carried.operations.append(msgspec.json.decode(line, type=OperationHead))
            elif line.startswith(b'{"entry":'):
                carried.entries.append(msgspec.json.decode(line, type=EntryLine))
            else:
                carried.written_at = msgspec.json.decode(line, type=Written).written_at
    except ValueError as error:
        raise click.ClickException(f"--heads: not what `sluice audit heads` writes: {error}") from None
    if carried.written_at is None:
        raise click.ClickException("--heads: its end is missing, which `sluice audit heads` writes last")
    return carried


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


def _report_books(books: CheckedBooks) -> None:
    click.echo(f"the books' audit: {books.entries} entries, of which {books.waiting} wait for the vault")
    for fault in books.faults:
        click.echo(f"entry {fault.n} of the books: {fault.what}")
    if books.faults:
        click.echo(f"entry {books.faults[0].n} is the first of the books that was altered")
