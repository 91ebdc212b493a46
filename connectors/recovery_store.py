"""Bytewax's recovery store, which keeps what a killed process had not finished, and would resume from it later.

Each step writes its snapshots of an epoch when the epoch ends for that step. If the process is killed before it
ends for all, the next process resumes before it, and reads the same records again. It overwrites the snapshot of
every key that it meets in the same epoch. But it may meet a key in a later one, and be killed before that is
finished: then the third process finds the first one's snapshot, which has those records, and reads them once more.
One step counts a payment twice then, and another once. So what was not finished is deleted before each start
(`RecoveryPart::resume_from` and `SerializedSnapshotLoader` in Bytewax's `src/recovery.rs`, 0.21).
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import structlog

PARTS = "part-*.sqlite3"

log = structlog.get_logger()


@contextmanager
def alone_in(store: Path) -> Iterator[None]:
    """Wait until no other process is in here with this store: those of a cluster start at the same time."""
    directory = os.open(store, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def drop_unfinished(store: Path) -> None:
    """Delete the snapshots of unfinished epochs from all partitions of a store, with which no flow runs.

    The processes of a cluster each do it before they meet the others, so the last one does it when those of before
    have all ended; only then does Bytewax read the store. Raises `sqlite3.Error` where it is no recovery store.
    """
    parts = sorted(store.glob(PARTS))
    first_unfinished = _resume_epoch(parts)
    dropped = sum(_drop_from(part, first_unfinished) for part in parts)
    if dropped:
        log.info("snapshots.dropped", count=dropped)


def _resume_epoch(parts: list[Path]) -> int:
    """The first epoch that is not finished: Bytewax resumes at it. What tells of it lies in any of the partitions.

    An epoch is finished when all workers of the last cluster are beyond it, or that had resumed beyond it. Without
    any that got as far as to say where it resumed, none is.
    """
    clusters = [row for part in parts for row in _rows(part, "SELECT ex_num, worker_count, resume_epoch FROM exs")]
    if not clusters:
        return 0
    last, workers, resumed = max(clusters)
    told = "SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?"
    reached = dict.fromkeys(range(workers), resumed)
    for part in parts:
        for worker, frontier in _rows(part, told, last):
            reached[worker] = max(reached[worker], frontier)
    return min(reached.values())


def _rows(part: Path, statement: str, *values: int) -> list[tuple[int, ...]]:
    with closing(_opened(part)) as database:
        return database.execute(statement, values).fetchall()


def _drop_from(part: Path, first: int) -> int:
    with closing(_opened(part)) as database, database:
        return database.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (first,)).rowcount


def _opened(part: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{part}?mode=rw", uri=True)
