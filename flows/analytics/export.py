"""Every view as Parquet files, for readers that do not speak SQL to us: `python -m flows.analytics.export`.

A process of its own asks the warehouse in small statements, as any reader does, so that commits go on beside it.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
import structlog

from connectors import logs
from connectors.warehouse import WarehouseError, WarehouseReader
from flows.analytics.export_folder import (
    LATEST,
    ExportedColumn,
    ExportedFile,
    ExportedView,
    ExportRuns,
    Manifest,
    alone,
    exports,
    manifest_of,
    publish,
)
from flows.analytics.own_process import NICE
from flows.analytics.settings import AnalyticsSettings
from flows.analytics.view_hash import COLUMNS
from schemas.settings import load
from schemas.times import now

ROWS_MAX = 200_000  # of one file: one statement of a second or two
TIMES = ("created_at", "opened_at", "minute", "recorded_at")  # the first of them says the day of a row

# Views of the rows of one table, each of which says in `ingested_at` when it was written last: a day without such
# a row is not asked for again.
OF_ONE_TABLE = {"payments", "refunds", "notifications", "labels", "operations", "ledger"}

log = structlog.get_logger()


class Day(msgspec.Struct, frozen=True):
    """The rows of a view in a UTC day; None: all of a view that has no day."""

    day: date | None
    rows: int
    changed_at: datetime | None = None


def export(reader: WarehouseReader, folder: Path, kept: int, wrote: Callable[[ExportedFile], None]) -> Path:
    """Export all views into a new directory of `folder`; the `kept` newest stay. Returns its path.

    `wrote` is called with each file. Raises `ExportRuns`, `WarehouseError`, `OSError`.
    """
    with alone(folder):
        began = now()
        partial = folder / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        offsets = _offsets(reader)
        before = manifest_of(folder / LATEST)
        views = {
            view: _View(reader, view, names, partial, folder / LATEST, before).export(wrote)
            for view, names in reader.query(COLUMNS).rows
        }
        manifest = Manifest(1, began, now(), offsets, views)
        return publish(partial, manifest, folder, kept)


class _View:
    """One view on its way into the directory `into`; `last` is the export before it, of the manifest `before`."""

    def __init__(
        self,
        reader: WarehouseReader,
        name: str,
        columns: list[str],
        into: Path,
        last: Path,
        before: Manifest | None,
    ) -> None:
        self._reader, self._name, self._into, self._last = reader, name, into, last
        self._day_of = next((column for column in TIMES if column in columns), None)
        described = reader.query(f"DESCRIBE {name}").rows
        self._columns = [ExportedColumn(column, type) for column, type, *_ in described]
        self._unchanged = self._reusable(before)

    def export(self, wrote: Callable[[ExportedFile], None]) -> ExportedView:
        """Write its files. Raises `WarehouseError`, `OSError`."""
        files: list[ExportedFile] = []
        for day in self._days():
            for file in self._reused(day) or self._written(day):
                wrote(file)
                files.append(file)
        return ExportedView(self._day_of, sum(file.rows for file in files), self._columns, files)

    def _reusable(self, before: Manifest | None) -> dict[Any, list[ExportedFile]]:
        """The files of the export before, by day and when that changed last."""
        known = before.views.get(self._name) if before and self._name in OF_ONE_TABLE else None
        found: dict[Any, list[ExportedFile]] = {}
        if known and known.columns == self._columns:
            for file in known.files:
                found.setdefault((file.day, file.changed_at), []).append(file)
        return found

    def _days(self) -> list[Day]:
        if self._day_of is None:
            return [Day(None, 0)]
        changed = "max(ingested_at)" if self._name in OF_ONE_TABLE else "NULL::TIMESTAMP"
        asked = f"SELECT {self._day_of}::DATE, count(*), {changed} FROM {self._name} GROUP BY 1 ORDER BY 1"  # noqa: S608
        # Whoever reads a view finds its columns there also while it has no rows: a file of today with none.
        return [Day(*row) for row in self._reader.query(asked).rows] or [Day(now().date(), 0)]

    def _reused(self, day: Day) -> list[ExportedFile]:
        """The files of a day that are as they were; none where one of them is not."""
        files = self._unchanged.get((day.day, day.changed_at), []) if day.changed_at else []
        ours = [self._path(day, number) for number in range(len(files))]
        if sum(file.rows for file in files) != day.rows or [file.path for file in files] != ours:
            return []
        try:
            for file in files:
                path = self._into / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to((self._last / file.path).resolve())
        except OSError:  # somebody removed it, or the folder is on another disk now
            shutil.rmtree((self._into / files[0].path).parent, ignore_errors=True)
            return []
        return files

    def _written(self, day: Day) -> Iterator[ExportedFile]:
        for number, condition in enumerate(conditions(self._day_of, day)):
            path = self._path(day, number)
            whole = self._into / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            rows = self._reader.copy(f"FROM {self._name}{condition}", whole)
            with whole.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
            yield ExportedFile(path, day.day, rows, whole.stat().st_size, digest, day.changed_at)

    def _path(self, day: Day, number: int) -> str:
        """Of a file in its export; no other one is ours, whatever a manifest says."""
        partition = "" if self._day_of is None else f"day={day.day}/"
        return f"{self._name}/{partition}{number}.parquet"


def conditions(day_of: str | None, day: Day) -> list[str]:
    """Which rows each file of a day has: parts of the day, where that has too many for one."""
    if day_of is None or day.day is None:
        return ["" if day_of is None else f" WHERE {day_of} IS NULL"]
    parts = max(1, -(-day.rows // ROWS_MAX))
    begin = datetime.combine(day.day, time.min)
    edges = [begin + timedelta(days=1) * part / parts for part in range(parts)]
    ends = [f"< TIMESTAMP '{edge}'" for edge in edges[1:]]
    ends.append(f"<= TIMESTAMP '{datetime.combine(day.day, time.max)}'")  # there is no day after 9999-12-31
    return [
        f" WHERE {day_of} >= TIMESTAMP '{edge}' AND {day_of} {end}" for edge, end in zip(edges, ends, strict=True)
    ]


def _offsets(reader: WarehouseReader) -> dict[str, list[int]]:
    asked = "SELECT topic, list(next_offset ORDER BY partition) FROM pipeline_health GROUP BY 1 ORDER BY 1"
    return dict(reader.query(asked).rows)


def main() -> None:
    """The nightly export, after everybody else on this machine, unless there is one of this day.

    Exits 1 where it failed, which is logged.
    """
    settings = load(AnalyticsSettings)
    if any(path.name.startswith(f"{now():%Y-%m-%d}") for path in exports(settings.exports())):
        return
    logs.configure("analytics")
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    try:
        reader = WarehouseReader(settings, "reconcile")
        path = export(reader, settings.exports(), settings.warehouse_exports, lambda file: None)
        log.info("views.exported", directory=path.name)
    except (WarehouseError, ExportRuns, OSError) as error:
        log.error("export.failed", reason=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
