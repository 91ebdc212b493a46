"""The command `sluice warehouse`: a hash over what it has, the same built anew from Kafka, an export."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import click
import duckdb
import msgspec
from confluent_kafka import KafkaException

from connectors.heartbeat import last_beat
from connectors.kafka_login import Bootstrap
from connectors.private_files import OTHERS
from connectors.record_reader import OffsetGone
from connectors.warehouse import WarehouseAway, WarehouseError, WarehouseReader
from flows.analytics import compaction
from flows.analytics.export import export
from flows.analytics.export_folder import ExportedFile, ExportRuns
from flows.analytics.rebuild import rebuild as rebuild_file
from flows.analytics.settings import AnalyticsSettings, SqlSettings, WarehouseFile
from flows.analytics.view_hash import HashedSpan, ViewHash, differing, view_hash
from flows.analytics.warehouse import open_file
from schemas.settings import load
from schemas.times import boot_micros
from sluice.cli import MOMENT
from sluice.kafka import reach

TAKEN_WITHIN_S = 120.0
RESTARTS_WITHIN_US = 30_000_000  # a process that has not beaten for so long does not run
PRUNED = "SELECT max(before) FROM store.pruned"

ProcessName = Literal["analytics", "sql"]

since = click.option("--from", "begin", type=MOMENT, help="Rows created since then (default: all that is kept).")
until = click.option("--to", "end", type=MOMENT, help="Rows created before then.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class CannotRebuild(click.ClickException):
    """Why the new file is not used."""


@click.group()
def warehouse() -> None:
    """Look after the warehouse."""


@warehouse.command("hash")
@since
@until
@as_json
def hash_command(begin: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Print a hash over the rows of all views of the running warehouse, and the offsets that it is at."""
    reader = WarehouseReader(load(AnalyticsSettings), "reconcile")
    try:
        span = HashedSpan(begin or _kept_since(reader), end)
        show(_hash_of(reader, span), span, as_json)
    except WarehouseError as error:
        raise click.ClickException(str(error)) from error


@warehouse.command("rebuild")
@click.option("--process", type=click.Choice(["analytics", "sql"]), default="analytics", show_default=True)
@since
@until
@click.option("--dry-run", is_flag=True, help="Build and compare, but do not use the new file.")
@click.option("--keep", is_flag=True, help="Keep the old file, as NAME.before.duckdb.")
@click.option("--force", is_flag=True, help="Use the new file also where it differs from the old one.")
@as_json
def rebuild(
    process: ProcessName,
    begin: datetime | None,
    end: datetime | None,
    dry_run: bool,
    keep: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Build the warehouse anew from Kafka, compare it with the running one, and put it in its place.

    Both are compared at the offsets that the running one is at when this begins. Payments and readers go on.
    """
    settings = load(AnalyticsSettings) if process == "analytics" else load(SqlSettings)
    bootstrap = reach(settings, process)
    try:
        running, span = _running(HashedSpan(begin, end))
        with _new_file(settings.file()) as fresh:
            _fill(bootstrap, fresh, running)
            built = _hash_of_file(fresh, span)
            show(built, span, as_json)
            if running is not None:
                _compare(running, built, force)
            if not dry_run:
                _hand_over(settings, process, fresh.path, keep)
    except (WarehouseError, KafkaException, OffsetGone, duckdb.Error) as error:
        raise CannotRebuild(str(error)) from error


@warehouse.command("export")
@click.option("--folder", type=click.Path(path_type=Path), help="The folder (SLUICE_WAREHOUSE_EXPORT).")
def export_command(folder: Path | None) -> None:
    """Write every view of the running warehouse as Parquet files, now; it is done each night by itself."""
    settings = load(AnalyticsSettings)
    reader = WarehouseReader(settings, "reconcile")
    written: list[ExportedFile] = []
    try:
        path = export(reader, folder or settings.exports(), settings.warehouse_exports, written.append)
    except (WarehouseError, ExportRuns) as error:
        raise click.ClickException(str(error)) from error
    rows, size = sum(file.rows for file in written), sum(file.bytes for file in written)
    click.echo(f"{path}: {rows:,} rows, {len(written):,} files, {size / 2**20:,.1f} MB")


def show(found: ViewHash, span: HashedSpan, as_json: bool) -> None:
    """Print a hash, its span and its offsets."""
    offsets: dict[str, list[int]] = {}
    for (topic, _), offset in sorted(found.offsets.items()):
        offsets.setdefault(topic, []).append(offset)
    shown = {"hash": found.digest, "rows": found.rows, "from": span.begin, "to": span.end, "offsets": offsets}
    if as_json:
        click.echo(msgspec.json.encode(shown).decode())
        return
    edges = f"{span.begin or 'the first'} to {span.end or 'the last'}"
    click.echo(f"hash      {found.digest}\nrows      {found.rows:,} in {len(found.views)} views, {edges}")
    for topic, nexts in offsets.items():
        click.echo(f"offsets   {topic:20} {' '.join(map(str, nexts))}")


def _running(span: HashedSpan) -> tuple[ViewHash | None, HashedSpan]:
    """The hash of the running warehouse; None where it does not run, or is not asked from here."""
    reader = WarehouseReader(load(AnalyticsSettings), "reconcile")
    try:
        span = msgspec.structs.replace(span, begin=span.begin or _kept_since(reader))
        return _hash_of(reader, span), span
    except WarehouseAway:
        click.echo("The warehouse does not run: there is nothing to compare the new one with.", err=True)
        return None, span


def _kept_since(reader: WarehouseReader) -> datetime | None:
    """The first whole day of which retention took nothing; None where it took nothing at all.

    A row that is created then is recorded no earlier, and a verdict of it may come in the night before.
    """
    [(before,)] = reader.query(PRUNED).rows
    if before is None:
        return None
    day: datetime = before.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=2)


def _hash_of(reader: WarehouseReader, span: HashedSpan) -> ViewHash:
    return view_hash(lambda sql: reader.query(sql).rows, span)


def _hash_of_file(file: WarehouseFile, span: HashedSpan) -> ViewHash:
    con = open_file(file)
    try:
        return view_hash(lambda sql: con.execute(sql).fetchall(), span)
    finally:
        con.close()


@contextmanager
def _new_file(file: WarehouseFile) -> Iterator[WarehouseFile]:
    """A file beside it that is gone afterwards, unless it was handed over. Another one's half is removed.

    Nothing of it is pruned, and nothing ends this process for it: whoever takes it looks after it.
    """
    path = compaction.beside(file.path, "rebuilding")
    compaction.remove(path)
    umask = os.umask(OTHERS)  # it becomes the warehouse, whoever builds it
    try:
        yield msgspec.structs.replace(file, path=path, days=None, night=None)
    finally:
        os.umask(umask)
        with suppress(OSError):
            compaction.remove(path)


def _fill(bootstrap: Bootstrap, fresh: WarehouseFile, running: ViewHash | None) -> None:
    """Build the file, with a bar of records, their rate and the time left."""
    began, done = time.monotonic(), 0
    rate = lambda _: f"{done / max(0.001, time.monotonic() - began):,.0f}/s"  # noqa: E731
    with click.progressbar(length=1, label="records", show_pos=True, item_show_func=rate, file=sys.stderr) as bar:

        def more(records: int, total: int) -> None:
            nonlocal done
            done += records
            bar.length = total
            bar.update(records)

        rebuild_file(bootstrap, fresh, None if running is None else running.offsets, more)


def _compare(running: ViewHash, built: ViewHash, force: bool) -> None:
    if views := differing(running, built):
        click.echo(f"The running warehouse has other rows at these offsets in: {', '.join(views)}", err=True)
        if not force:
            raise CannotRebuild("the new file is not used; with --force it is")
    else:
        click.echo("The running warehouse has the same rows at the same offsets.", err=True)


def _hand_over(settings: AnalyticsSettings | SqlSettings, process: str, fresh: Path, keep: bool) -> None:
    """Leave the file to the process, which restarts by itself to take it, and wait until it has."""
    path = settings.file().path
    if keep:
        compaction.ask_to_keep(path)
    rebuilt = compaction.beside(path, "rebuilt")
    fresh.replace(rebuilt)
    by = time.monotonic() + TAKEN_WITHIN_S
    while _runs(settings, process) and rebuilt.exists() and time.monotonic() < by:
        time.sleep(0.2)
    later = f"{process} takes the new file at its next start: {rebuilt}"
    click.echo(later if rebuilt.exists() else f"{process} has taken the new file.", err=True)


def _runs(settings: AnalyticsSettings | SqlSettings, process: str) -> bool:
    beat = last_beat(settings, process)
    return beat is not None and boot_micros() - beat.up_us < RESTARTS_WITHIN_US
