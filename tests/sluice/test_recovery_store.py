"""The store of the flows' snapshots is private: they are pickles, and who writes there can run code."""

from pathlib import Path

from connectors.heartbeat import beat, beating
from sluice.processes import fraud_workers, stack
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


def test_workers_are_processes_that_meet_on_one_store(tmp_path: Path) -> None:
    settings = StackSettings(data=tmp_path, kafka="elsewhere:9092", fraud_workers=3, port_offset=100)
    workers = fraud_workers(settings)
    assert [worker.name for worker in workers] == ["fraud", "fraud_2", "fraud_3"]
    beat(settings, "fraud_3", 1, 0)
    beat(settings, "fraud_4", 1, 0)
    for number, worker in enumerate(workers):
        meeting = ["-i", str(number), "-a", "localhost:9211;localhost:9212;localhost:9213"]
        assert worker.command[-4:] == meeting
        assert worker.ports == (f"{worker.name}_metrics", worker.name)
        assert worker.prepare
        worker.prepare()
    stores = sorted(path.name for path in (tmp_path / "fraud").iterdir())
    assert stores == [f"part-{number}.sqlite3" for number in range(3)]
    assert beating(settings, "fraud") == ["fraud_3"], "of a fourth one nobody waits for a beat any more"


def test_a_store_keeps_its_partitions_whatever_the_number_of_workers(tmp_path: Path) -> None:
    for count in (2, 4, 1):
        for worker in fraud_workers(StackSettings(data=tmp_path, kafka="elsewhere:9092", fraud_workers=count)):
            assert worker.prepare
            worker.prepare()
    assert len(list((tmp_path / "fraud").glob("part-*"))) == 2
