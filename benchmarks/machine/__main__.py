"""`python -m benchmarks.machine`: random operations against core, books and twins; prints one JSON line."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import assert_never, get_args

import click
import msgspec
from sqlalchemy import Connection, func, select

from benchmarks.machine.opening import await_vault, running, settings_of
from benchmarks.machine.plants import PLANTS, planted
from benchmarks.machine.search import search
from benchmarks.postgres import serving
from benchmarks.stack import Database, free_offset
from connectors.processors.settings import ProcessorSettings
from gateway.books.operations import operations
from sluice.child_process import LAUNCH

VAULT_WITHIN_S = 60.0


class MachineFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `found`: what did not hold first; then `operations` are those until it did.

    `calls`: the operations in the books by kind and status, `replies`: what the requests were answered.
    """

    database: str
    seed: int
    plant: str | None
    operations: int
    runs: int
    seconds: float
    per_second: float
    calls: dict[str, int]
    replies: dict[str, int]
    found: str | None


@click.command()
@click.option("--operations", "most", default=10_000, help="How many, at least.")
@click.option("--database", type=click.Choice(get_args(Database)), default="sqlite")
@click.option("--seed", "chosen", type=int, help="Makes the same operations again.")
@click.option("--plant", type=click.Choice(sorted(PLANTS)), help="A bug to be found.")
@click.option("--shrink", is_flag=True, help="Print the shortest run that shows what was found; takes minutes.")
def main(most: int, database: Database, chosen: int | None, plant: str | None, shrink: bool) -> None:
    """Run the machine until OPERATIONS were asked for, or something does not hold (exit 1)."""
    chosen = time.time_ns() % 2**32 if chosen is None else chosen
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, _vault(Path(name)) as vault, _database(database) as url:
        folder = Path(name)
        processors = ProcessorSettings(data=folder, port_offset=free_offset())
        with running(settings_of(folder, vault, url), processors) as world, planted(plant):
            found = search(world, most, chosen, shrink=shrink)
            seconds = time.monotonic() - began
            figures = MachineFigures(
                database=database,
                seed=chosen,
                plant=plant,
                operations=world.found_after or world.operations,
                runs=world.runs,
                seconds=round(seconds, 1),
                per_second=round(world.operations / seconds, 1),
                calls=world.do(world.runtime.books.read(_calls)),
                replies=dict(world.replies.most_common()),
                found=found,
            )
    click.echo(msgspec.json.encode(figures))
    sys.exit(found is not None)


def _calls(conn: Connection) -> dict[str, int]:
    c = operations.c
    by_kind = select(c.kind, c.status, c.replaces_id.is_not(None), func.count()).group_by(
        c.kind, c.status, c.replaces_id.is_not(None)
    )
    found = conn.execute(by_kind.order_by(c.kind, c.status))
    return {f"{kind} {status}{' anew' if anew else ''}": number for kind, status, anew, number in found}


@contextmanager
def _database(database: Database) -> Iterator[str]:
    """The URL of new books; of SQLite's, none: they are in the data directory."""
    match database:
        case "sqlite":
            yield ""
        case "postgres":
            with serving(durable=False) as server:
                yield server.url()
        case _:
            assert_never(database)


@contextmanager
def _vault(data: Path) -> Iterator[Path]:
    """The socket of a vault process of our own; it ends with us, however we end."""
    path = data / "vault.sock"
    environment = {"SLUICE_DATA": str(data), "SLUICE_VAULT": str(path)}
    launch = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid())]
    command = [*launch, sys.executable, "-m", "gateway.vault"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            await_vault(path, VAULT_WITHIN_S)
            yield path
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
