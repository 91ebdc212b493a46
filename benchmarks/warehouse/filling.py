"""A warehouse full of payments, written straight into its tables: what there would be after a long time."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import duckdb

from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import open_file
from schemas.times import now

HISTORY = Path(__file__).with_name("history.sql")
DAYS = 30
SLICE = 500_000  # payments per transaction; what comes after the last one goes on there
MEMORY_MB = 1536


def fill(path: Path, payments: int, until: float, beside: Sequence[Path] = ()) -> int:
    """Write payments until there are so many, or until `until` (`time.monotonic`, s); how many there are now.

    A file that was begun is gone on with. `beside`: files of statements that write more of each `slice`.
    """
    con = open_file(WarehouseFile(path, MEMORY_MB, 2))
    try:
        there, began = con.execute("SELECT count(*), min(created_at) FROM store.standing").fetchall()[0]
        began = began or (now() - timedelta(days=DAYS)).replace(tzinfo=None, minute=0, second=0, microsecond=0)
        while there < payments and time.monotonic() < until:
            count = min(SLICE, payments - there)
            given = {"first": there, "last": there + count - 1, "began": began, "apart": _apart(payments)}
            _write(con, (HISTORY, *beside), given)
            there += count
        con.execute("CHECKPOINT")
    finally:
        con.close()
    return int(there)


def _apart(payments: int) -> int:
    """Microseconds between two payments, so that a slice ends with an hour: its sums are a row then."""
    slices = max(1, payments // SLICE)
    return DAYS * 24 // slices * 3_600_000_000 // min(SLICE, payments)


def _write(con: duckdb.DuckDBPyConnection, files: Iterable[Path], given: Mapping[str, object]) -> None:
    con.execute("BEGIN")
    for statement in chain.from_iterable(con.extract_statements(file.read_text()) for file in files):
        con.execute(statement, {name: given[name] for name in statement.named_parameters})
    con.execute("COMMIT")


def newest(con: duckdb.DuckDBPyConnection) -> datetime:
    """When the newest payment was created, UTC."""
    [(found,)] = con.execute("SELECT coalesce(max(created_at), now()::TIMESTAMP) FROM store.standing").fetchall()
    return found.replace(tzinfo=UTC)  # type: ignore[no-any-return]
