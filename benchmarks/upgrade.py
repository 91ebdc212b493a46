"""`python -m benchmarks.upgrade`: a stack is upgraded under load, process by process, one gateway after the other.

It starts from the code of `--before` and goes over to that of HEAD, to which a migration is added here: a column
and a table that the gateway of before does not know. Payments are made at one gateway and captured at the other,
as by `benchmarks.gateways`, also while there is one of each release. Prints JSON; ends with 1 unless all agree.
"""

import asyncio
import io
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import click
import msgspec

from benchmarks import stack
from benchmarks.fleet import SETTINGS, ProcessFault
from benchmarks.gateways import by_sides, purchases_of

ORDER = ("vault", "fraud", "notifications", "analytics", "sql", "gateway_2", "gateway")  # docs/upgrades.md
PAUSE_S = 6.0  # between two processes: of the gateways both releases take payments meanwhile
VERSIONS = Path("gateway", "migrations", "versions")
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "{number:04}"
down_revision = "{before:04}"

def upgrade() -> None:
    op.add_column("payments", sa.Column("planted", sa.Text(), nullable=True))
    op.create_table("planted", sa.Column("id", sa.Text(), nullable=False))
"""


@click.command()
@click.option("--before", default="HEAD", show_default=True, help="The revision of git to upgrade from.")
@click.option("--payments", default=1_000, help="At least.")
@click.option("--at-once", default=16, help="Payments.")
def main(before: str, payments: int, at_once: int) -> None:
    """Upgrade a stack of its own; some minutes."""
    with tempfile.TemporaryDirectory(prefix="sluice-upgrade-") as name:
        folder = Path(name)
        code = folder / "code"
        for release, revision in (("before", before), ("after", "HEAD")):
            _export(revision, folder / release)
        _plant(folder / "after" / VERSIONS)
        code.symlink_to(folder / "before")
        # Children of the supervisor import what the link names at their start, whatever folder they are in.
        given = {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}
        with stack.running("postgres", settings=SETTINGS | given) as measured:
            measured.await_ready()
            code.unlink()
            code.symlink_to(folder / "after")
            faults = [ProcessFault(signal.SIGTERM, process) for process in ORDER]
            figures = asyncio.run(
                by_sides(measured, purchases_of(None), payments, at_once, faults, pause_s=PAUSE_S)
            )
            assert measured.server
            migrated = "planted" in measured.server.sql(
                "SELECT tablename FROM pg_tables WHERE tablename = 'planted'"
            )
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not (figures.holds() and migrated))


def _export(revision: str, folder: Path) -> None:
    archive = subprocess.run(["git", "archive", revision], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def _plant(versions: Path) -> None:
    newest = max(int(path.name[:4]) for path in versions.glob("[0-9]*.py"))
    text = MIGRATION.format(number=newest + 1, before=newest)
    (versions / f"{newest + 1:04}_planted.py").write_text(text)


if __name__ == "__main__":
    main()
