"""Bytewax's recovery store, which keeps what a killed process had not finished, and would resume from it later.

Each step writes its snapshots of an epoch when the epoch ends for that step. If the process is killed before it
ends for all, the next process resumes before it, and reads the same records again. It overwrites the snapshot of
every key that it meets in the same epoch. But it may meet a key in a later one, and be killed before that is
finished: then the third process finds the first one's snapshot, which has those records, and reads them once more.
One step counts a payment twice then, and another once. So what was not finished is deleted before each start
(`RecoveryPart::resume_from` and `SerializedSnapshotLoader` in Bytewax's `src/recovery.rs`, 0.21).
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import structlog

STORE = "part-0.sqlite3"
# An epoch is finished when all workers of the last process are beyond it, or it had resumed beyond it. Without any
# that got as far as to say where it resumed, none is.
UNFINISHED = """
    DELETE FROM snaps WHERE snap_epoch >= COALESCE((
        SELECT CASE WHEN COUNT(worker_frontier) < worker_count THEN resume_epoch ELSE MIN(worker_frontier) END
        FROM exs LEFT JOIN fronts USING (ex_num) WHERE ex_num = (SELECT MAX(ex_num) FROM exs)), 0)
"""

log = structlog.get_logger()


def drop_unfinished(store: Path) -> None:
    """Delete the snapshots of unfinished epochs from a store of one partition, which no process has open.

    Raises `sqlite3.Error` where it is no recovery store.
    """
    with closing(sqlite3.connect(f"file:{store / STORE}?mode=rw", uri=True)) as database, database:
        dropped = database.execute(UNFINISHED).rowcount
    if dropped:
        log.info("snapshots.dropped", count=dropped)
