"""What a killed flow had not finished is not resumed from."""

import pickle
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from connectors.recovery_store import drop_unfinished
from connectors.streams import write_step

STORE = "part-0.sqlite3"
NO_TIME = timedelta(0)
STOP, KILL = TestingSource.EOF(), TestingSource.ABORT()
COUNT = "counting.count.stateful_flat_map.stateful.stateful_batch"
FOREIGN = 1_000  # a count that no process of the test comes to


@pytest.fixture
def store(tmp_path: Path) -> Path:
    init_db_dir(tmp_path, 1)
    return tmp_path


def resume(store: Path, items: list[Any]) -> list[int]:
    """The counts that a process came to until its next `STOP` or `KILL`."""
    counted: list[tuple[str, int]] = []
    flow = Dataflow("counting")
    keyed = op.key_on("key", op.input("items", flow, TestingSource(items)), str)
    op.output(
        "out", op.stateful_map("count", keyed, lambda before, _: ((before or 0) + 1,) * 2), TestingSink(counted)
    )
    run_main(flow, epoch_interval=NO_TIME, recovery_config=RecoveryConfig(str(store), NO_TIME))
    return [count for _, count in counted]


def query(store: Path, statement: str, *values: object, part: str = STORE) -> list[tuple[int]]:
    with closing(sqlite3.connect(store / part)) as database, database:
        return database.execute(statement, values).fetchall()


def leave_unfinished(store: Path) -> None:
    """As a process leaves it that is killed after one step's snapshot of an epoch, before all had theirs."""
    ((epoch,),) = query(store, "SELECT MAX(worker_frontier) FROM fronts")
    statement = "INSERT OR REPLACE INTO snaps VALUES (datetime(), ?, 'a', ?, ?)"
    query(store, statement, COUNT, epoch, pickle.dumps(FOREIGN))


def test_a_key_goes_on_from_what_was_finished_though_the_next_process_never_met_it(store: Path) -> None:
    items = ["a", STOP, "b", "b", KILL, "a"]
    assert resume(store, items) == [1]
    leave_unfinished(store)
    drop_unfinished(store)
    assert resume(store, items) == [1, 2]
    assert resume(store, items)[-1] == 2


@pytest.mark.parametrize(
    ("workers", "frontiers", "kept"),
    [
        (2, [(1, 0, 9), (1, 1, 7)], [5, 6]),  # finished by all workers
        (2, [(1, 0, 9)], [5]),  # by what the process resumed from: one worker got no further
        (2, [(0, 0, 9), (0, 1, 9)], [5]),  # what an earlier process says does not count
    ],
)
def test_what_all_workers_finished_stays(
    store: Path, workers: int, frontiers: list[tuple[int, int, int]], kept: list[int]
) -> None:
    for row in [(0, workers, 1), (1, workers, 6)]:
        query(store, "INSERT INTO exs VALUES (datetime(), ?, ?, ?)", *row)
    for row in frontiers:
        query(store, "INSERT INTO fronts VALUES (datetime(), ?, ?, ?)", *row)
    for epoch in (5, 6, 7, 8):
        query(store, "INSERT INTO snaps VALUES (datetime(), 'step', 'key', ?, x'00')", epoch)
    drop_unfinished(store)
    assert [epoch for (epoch,) in query(store, "SELECT snap_epoch FROM snaps ORDER BY 1")] == kept


def test_of_a_process_that_never_said_where_it_resumed_nothing_stays(store: Path) -> None:
    query(store, "INSERT INTO snaps VALUES (datetime(), 'step', 'key', 1, x'00')")
    drop_unfinished(store)
    assert query(store, "SELECT COUNT(*) FROM snaps") == [(0,)]


def test_what_one_partition_tells_counts_in_all(tmp_path: Path) -> None:
    """Of two workers one got to epoch 9, the other to 7; each told it to another partition."""
    init_db_dir(tmp_path, 2)
    other = "part-1.sqlite3"
    query(tmp_path, "INSERT INTO exs VALUES (datetime(), 1, 2, 6)", part=other)
    query(tmp_path, "INSERT INTO fronts VALUES (datetime(), 1, 0, 9)")
    query(tmp_path, "INSERT INTO fronts VALUES (datetime(), 1, 1, 7)", part=other)
    for part in (STORE, other):
        for epoch in (6, 7, 8):
            query(tmp_path, "INSERT INTO snaps VALUES (datetime(), 'step', 'key', ?, x'00')", epoch, part=part)
    drop_unfinished(tmp_path)
    for part in (STORE, other):
        assert query(tmp_path, "SELECT snap_epoch FROM snaps", part=part) == [(6,)]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_still_on_its_way_to_the_sink_is_sent_after_a_kill(tmp_path: Path, workers: int) -> None:
    """With `op.output` the epoch was finished before the sink had its record, which was never written then."""
    init_db_dir(tmp_path, workers)
    written: list[str] = []
    flow = Dataflow("slow")
    way = op.input("items", flow, TestingSource(["a", KILL, "b"]))
    for number in range(60):  # longer than the way of a snapshot to the disk
        way = op.map(f"pass {number}", way, str)
    write_step("out", way, TestingSink(written))
    for _ in range(2):
        config = RecoveryConfig(str(tmp_path), NO_TIME)
        cluster_main(flow, [], 0, epoch_interval=NO_TIME, recovery_config=config, worker_count_per_proc=workers)
    assert set(written) == {"a", "b"}
