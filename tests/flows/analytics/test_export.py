"""An export is whole or not there, says what is in it, and anybody reads it."""

import hashlib
import re
import stat
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from connectors.warehouse import WRITERS_READERS, WarehouseReader, tokens
from flows.analytics import export as exporting
from flows.analytics.export import Day, conditions, export
from flows.analytics.export_folder import ExportedFile, ExportRuns, Manifest, alone, exports
from flows.analytics.settings import AnalyticsSettings
from flows.analytics.upkeep import NightlyExport
from tests.flows.analytics.conftest import BIRTH, Kept, Log, own_ports, payment, step
from tests.patience import until


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> AnalyticsSettings:
    return AnalyticsSettings(data=tmp_path_factory.mktemp("exported"), port_offset=own_ports())


@pytest.fixture(scope="module")
def served(settings: AnalyticsSettings) -> Iterator[Kept]:
    """A warehouse of payments of two days."""
    kept, log = Kept(settings.data), Log()
    for n in range(5):
        born = payment(id=f"pay_{n}", created_at=BIRTH + timedelta(days=n % 2), amount=100 + n)
        kept.write(log.event("payments.v1", step(1, None, born)))
    kept.warehouse.save_lag({("payments.v1", 0): 0})
    kept.warehouse.serve(f"quack:localhost:{settings.port('warehouse')}", tokens(settings, WRITERS_READERS))
    yield kept
    kept.warehouse.close()


@pytest.fixture
def reader(settings: AnalyticsSettings, served: Kept) -> WarehouseReader:
    return WarehouseReader(settings, "reconcile")


def manifest(path: Path) -> Manifest:
    return msgspec.json.decode((path / "manifest.json").read_bytes(), type=Manifest)


def inodes(path: Path) -> dict[str, int]:
    return {str(file.relative_to(path)): file.stat().st_ino for file in path.rglob("*.parquet")}


def test_every_view_is_read_back_as_it_is(reader: WarehouseReader, served: Kept, tmp_path: Path) -> None:
    """By pyarrow, and by a DuckDB that knows nothing of us."""
    path = export(reader, tmp_path / "out", 2, lambda file: None)
    told = manifest(path)
    views = {view for [view] in served.ask("SELECT view_name FROM duckdb_views() WHERE NOT internal")}
    assert set(told.views) == views - {"judged", "standing"}
    assert told.offsets == {"payments.v1": [5]}
    bare = duckdb.connect()
    for view, shown in told.views.items():
        for file in shown.files:
            content = (path / file.path).read_bytes()
            assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
            table = pq.read_table(path / file.path, partitioning=None)
            assert (table.num_rows, table.column_names) == (file.rows, [each.name for each in shown.columns])
        assert shown.files, view  # also where it has no rows
        if view != "pipeline_health":
            unsorted = f"FROM read_parquet('{path}/{view}/**/*.parquet', hive_partitioning = false) ORDER BY ALL"
            assert bare.execute(unsorted).fetchall() == served.ask(f"FROM {view} ORDER BY ALL")
            types = [(each.name, each.type) for each in shown.columns]
            described = bare.execute(f"DESCRIBE {unsorted.partition(' ORDER')[0]}").fetchall()
            assert [(name, type) for name, type, *_ in described] == types
    days = [(str(file.day), file.rows) for file in told.views["payments"].files]
    assert days == [("2026-11-23", 3), ("2026-11-24", 2)]


def test_a_day_in_which_nothing_changed_is_not_written_again(
    reader: WarehouseReader, served: Kept, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    first = export(reader, folder, 2, lambda file: None)
    (folder / first.name).rename(folder / "2026-01-01T000000Z")
    (folder / "latest").unlink()
    (folder / "latest").symlink_to("2026-01-01T000000Z")
    served.write(
        Log().event("payments.v1", step(2, "processing", payment(id="pay_1", created_at=BIRTH + timedelta(1))))
    )
    second = export(reader, folder, 2, lambda file: None)
    before, after = inodes(folder / "2026-01-01T000000Z"), inodes(second)
    kept, written = "payments/day=2026-11-23/0.parquet", "payments/day=2026-11-24/0.parquet"
    assert before[kept] == after[kept]
    assert before[written] != after[written]
    assert pq.read_table(second / kept, partitioning=None).num_rows == 3
    (folder / "2026-01-01T000000Z" / kept).unlink()
    (second / kept).unlink()
    (folder / second.name).rename(folder / "2026-01-02T000000Z")
    (folder / "latest").unlink()
    (folder / "latest").symlink_to("2026-01-02T000000Z")
    third = export(reader, folder, 1, lambda file: None)
    assert pq.read_table(third / kept, partitioning=None).num_rows == 3, "somebody had removed it"
    assert exports(folder) == [third], "one is kept"


def test_a_day_of_many_rows_has_several_files(
    reader: WarehouseReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "ROWS_MAX", 1)
    files: list[ExportedFile] = []
    told = manifest(export(reader, tmp_path / "out", 1, files.append))
    assert [file for view in told.views.values() for file in view.files] == files
    assert [(file.path, file.rows) for file in told.views["payments"].files] == [
        *((f"payments/day=2026-11-23/{n}.parquet", 3 if n == 1 else 0) for n in range(3)),
        *((f"payments/day=2026-11-24/{n}.parquet", 2 if n == 1 else 0) for n in range(2)),
    ]


def test_half_an_export_has_no_name(reader: WarehouseReader, tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def fail(file: ExportedFile) -> None:
        assert exports(folder) == []
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        export(reader, folder, 1, fail)
    assert not (folder / "latest").exists()
    assert exports(folder) == []
    whole = export(reader, folder, 1, lambda file: None)
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] in (
        [whole.name, "latest"],
        ["latest", whole.name],
    )


def test_what_is_no_export_is_left_alone(reader: WarehouseReader, tmp_path: Path) -> None:
    """As the results of dbt, which have a file of that name, in a folder that somebody chose for both."""
    folder = tmp_path / "out"
    for name in ("0-older", "target"):
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").write_text("{}")
    whole = export(reader, folder, 1, lambda file: None)
    assert exports(folder) == [whole]
    assert {path.name for path in folder.iterdir()} >= {"0-older", "target", whole.name}


def test_no_manifest_leads_out_of_the_folder(reader: WarehouseReader, tmp_path: Path) -> None:
    """What is in the one before is what somebody may have written who may write there."""
    folder, outside = tmp_path / "out", tmp_path / "data"
    outside.mkdir()
    (outside / "books.sqlite").write_text("ours")
    first = export(reader, folder, 2, lambda file: None)
    told = (first / "manifest.json").read_text()
    (first / "manifest.json").write_text(re.sub(r'"payments/day=[^"]*"', '"../../data/0.parquet"', told))
    (folder / first.name).rename(folder / "2026-01-01T000000Z")
    (folder / "latest").unlink()
    (folder / "latest").symlink_to("2026-01-01T000000Z")
    second = export(reader, folder, 2, lambda file: None)
    assert (outside / "books.sqlite").read_text() == "ours"
    assert all(file.path.startswith("payments/") for file in manifest(second).views["payments"].files)


def test_who_reads_a_folder_of_a_group_writes_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o2775)
    with alone(tmp_path / "out"):
        (tmp_path / "written").mkdir()
    assert stat.S_IMODE((tmp_path / "written").stat().st_mode) & 0o777 == 0o755


def test_a_payment_of_the_last_day_there_is_stops_no_export() -> None:
    first, last = conditions("created_at", Day(date.max, exporting.ROWS_MAX + 1))
    assert first.endswith("created_at < TIMESTAMP '9999-12-31 12:00:00'")
    assert last.endswith("created_at <= TIMESTAMP '9999-12-31 23:59:59.999999'")


def test_the_folder_is_its_owners_alone_unless_somebody_opens_it(reader: WarehouseReader, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    path = export(reader, folder, 2, lambda file: None)
    assert {stat.S_IMODE(each.stat().st_mode) & 0o077 for each in (folder, path, path / "payments")} == {0}
    assert stat.S_IMODE((path / "payments/day=2026-11-23/0.parquet").stat().st_mode) == 0o600
    with alone(folder), pytest.raises(ExportRuns):
        export(reader, folder, 2, lambda file: None)


def test_the_process_exports_once_a_night(
    settings: AnalyticsSettings, served: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process of its own, which does nothing where there is an export of the day."""
    folder = tmp_path / "out"
    for name, value in (
        ("DATA", settings.data),
        ("PORT_OFFSET", settings.port_offset),
        ("WAREHOUSE_EXPORT", folder),
    ):
        monkeypatch.setenv(f"SLUICE_{name}", str(value))
    night = datetime.now(UTC)
    nightly = NightlyExport(night.hour)
    nightly.look(night - timedelta(hours=1))
    assert not nightly.runs()
    nightly.look(night)
    assert nightly.runs()
    until(lambda: not nightly.runs())
    [path] = exports(folder)
    again = NightlyExport(night.hour)
    again.look(night)
    until(lambda: not again.runs())
    nightly.look(night)
    assert not nightly.runs()
    assert exports(folder) == [path]
