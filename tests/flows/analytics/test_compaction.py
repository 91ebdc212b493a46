"""A file gives back what is free in it, and whatever happens meanwhile, one whole file is there."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from msgspec.structs import replace

from flows.analytics import compaction
from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import open_file
from tests.flows.analytics.conftest import Kept, looked_after

ROWS = 300_000
SUMS = "SELECT count(*), sum(amount)::BIGINT, max(id) FROM store.payments"

# Compacts the file; dies at its nth change of a name or file, or meets a full disk at so many bytes.
CHILD = """
import os, pathlib, resource, sys
from flows.analytics import compaction, warehouse
from flows.analytics.settings import WarehouseFile
path, dies_at, bytes_max = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
con = warehouse._connect(WarehouseFile(path, 256, 1))
seen = []
def watch(event, args):
    if event in ("os.remove", "os.rename") or event == "open" and str(path.parent) in str(args[0]):
        seen.append(event)
        if len(seen) == dies_at:
            os.kill(os.getpid(), 9)
if bytes_max:
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
sys.addaudithook(watch)
compaction.compact(con, path)
print(len(seen))
"""


def in_a_process(path: Path, dies_at: int = 0, bytes_max: int = 0) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", CHILD, str(path), str(dies_at), str(bytes_max)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wasteful(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of which most is free."""
    path = tmp_path_factory.mktemp("wasteful") / "warehouse.duckdb"
    con = open_file(WarehouseFile(path, 256, 1))
    con.execute(
        "INSERT INTO store.payments BY NAME SELECT 'pay_' || md5(i::VARCHAR) AS id, i AS amount, "
        "TIMESTAMP '2026-01-01' + to_seconds(i) AS created_at FROM range($1) r(i)",
        [ROWS],
    )
    con.execute("CHECKPOINT")
    con.execute("DELETE FROM store.payments WHERE amount < $1", [ROWS * 5 // 6])
    con.execute("CHECKPOINT")
    con.close()
    return path.read_bytes()


@pytest.fixture
def file(tmp_path: Path, wasteful: bytes) -> WarehouseFile:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(wasteful)
    return WarehouseFile(path, 256, 1)


def found(path: Path) -> Any:
    with duckdb.connect(str(path)) as con:
        return con.execute(SUMS).fetchall(), con.execute("SELECT count(*) FROM payments").fetchall()


def test_a_start_compacts_a_file_with_much_free(
    file: WarehouseFile, wasteful: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(file.path)
    open_file(file).close()
    assert file.path.stat().st_size == len(wasteful), "so little is not worth it"
    monkeypatch.setattr(compaction, "FREE_MB", 1)
    con = open_file(file)
    assert file.path.stat().st_size < len(wasteful) / 2
    assert not compaction.is_worthwhile(con)
    assert con.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'payments'").fetchone() != (None,)
    con.close()
    assert found(file.path) == before


def test_a_kill_at_any_point_leaves_one_whole_file(file: WarehouseFile, wasteful: bytes) -> None:
    """At each change of a name, or where a file is put on disk."""
    before = found(file.path)
    whole = in_a_process(file.path)
    points = int(whole.stdout.splitlines()[-1])
    assert points >= 4
    for point in range(1, points + 1):
        file.path.write_bytes(wasteful)
        assert in_a_process(file.path, dies_at=point).returncode == -9
        open_file(file).close()
        assert found(file.path) == before
        assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]


def test_a_full_disk_leaves_the_old_file_and_a_warning(file: WarehouseFile, wasteful: bytes) -> None:
    before = found(file.path)
    done = in_a_process(file.path, bytes_max=600_000)
    assert "file.not_compacted" in done.stdout
    assert file.path.read_bytes() == wasteful
    assert found(file.path) == before
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]


def test_a_rebuilt_file_is_taken_and_the_old_ones_log_is_not_applied_to_it(file: WarehouseFile) -> None:
    con = open_file(file)
    con.execute("DELETE FROM store.payments")  # stays in its log, for it ends without a checkpoint
    log = file.path.with_name(f"{file.path.name}.wal").read_bytes()
    con.close()
    rebuilt = compaction.beside(file.path, "rebuilt")
    con = open_file(WarehouseFile(rebuilt, 256, 1))
    con.execute("INSERT INTO store.payments BY NAME SELECT 'pay_1' AS id, 7 AS amount")
    con.close()
    file.path.with_name(f"{file.path.name}.wal").write_bytes(log)
    open_file(file).close()
    assert found(file.path) == ([(1, 7, "pay_1")], [(1,)])
    assert not rebuilt.exists()


def test_a_process_restarts_for_a_rebuilt_file_and_once_a_night(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.duckdb"
    upkeep, whys = looked_after(kept, path)
    upkeep.look()
    compaction.beside(path, "rebuilt").touch()
    upkeep.look()
    assert whys == ["rebuilt"]
    compaction.beside(path, "rebuilt").unlink()
    monkeypatch.setattr(compaction, "FREE_MB", 0)
    monkeypatch.setattr(compaction, "FREE_SHARE", 0)
    upkeep.look()
    assert whys == ["rebuilt"], "it has compacted at its start, a moment ago"
    upkeep._began -= 3601
    upkeep._file, by_night = replace(upkeep._file, night=None), upkeep._file
    upkeep.look()
    assert whys == ["rebuilt"], "one that is being built, by a command, ends nothing"
    upkeep._file = by_night
    upkeep.look()
    assert whys == ["rebuilt", "compaction"]
