"""The store of the flows' snapshots is private: they are pickles, and who writes there can run code."""

from pathlib import Path

from sluice.processes import stack
from sluice.settings import StackSettings


def test_nobody_else_can_write_to_the_recovery_stores(tmp_path: Path) -> None:
    (tmp_path / "fraud").mkdir(mode=0o777)  # as an archive may have left it
    settings = StackSettings(data=tmp_path, kafka="elsewhere:9092")
    stores = {process.name: process for process in stack(settings) if process.name in ("fraud", "notifications")}
    for name, process in stores.items():
        assert process.prepare
        for _start in range(2):
            process.prepare()
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
            assert [path.name for path in (tmp_path / name).iterdir()] == ["part-0.sqlite3"]
    for process in stack(settings):
        if process.name in ("analytics", "sql"):
            assert "-r" not in process.command, "its offsets stand in DuckDB, and only there"


def test_half_a_store_of_a_start_that_failed_is_made_anew(tmp_path: Path) -> None:
    half = tmp_path / "fraud" / "new" / "part-0.sqlite3"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    settings = StackSettings(data=tmp_path, kafka="elsewhere:9092")
    (fraud,) = (process for process in stack(settings) if process.name == "fraud")
    assert fraud.prepare
    fraud.prepare()
    assert sorted(path.name for path in (tmp_path / "fraud").iterdir()) == ["part-0.sqlite3"]
