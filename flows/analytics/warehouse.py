"""The DuckDB file: opened by this process alone, written by one thread, served to readers."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import duckdb
import structlog
from prometheus_client import REGISTRY

from connectors.record_reader import Bookmarks
from connectors.records import Out, Place, Record, dead_letter
from connectors.secret_files import Secret
from connectors.warehouse import load_quack, quoted
from flows.analytics import columns, compaction, writer
from flows.analytics.access_control import AccessControl, ReadOnly, serve
from flows.analytics.answers import Answers
from flows.analytics.asking import Asking
from flows.analytics.ingest import SOURCE, IngestedRecord, positions
from flows.analytics.kept_tables import LedgerUnbalanced
from flows.analytics.latest_payments import latest_events
from flows.analytics.policy import RoleViews
from flows.analytics.query_guard import QueryGuard
from flows.analytics.query_log import QueryLog
from flows.analytics.readers import Readers
from flows.analytics.rows import WarehouseRow
from flows.analytics.settings import SqlSettings, WarehouseFile
from flows.analytics.turns import Turns
from flows.analytics.upkeep import NightlyExport, Upkeep
from flows.metrics import WarehouseMetrics
from schemas.topics import PAYMENTS

SCHEMA = ("tables.sql", "books_tables.sql", "views.sql", "books_views.sql", "as_of.sql")
SPILL_MAX = "2GB"
UNLOGGED = "warehouse"  # what DuckDB calls a file that it was not opened on
NEVER = "1TB"  # of rows that a commit puts into the file by itself

# What is raised for a value that does not fit its column, a time that UTC does not have (the first day of the year
# 1, written in another zone), or entries that leave the ledger out of balance; any other error is no fault of a
# record.
UNFIT = (duckdb.DataError, duckdb.InvalidInputException, LedgerUnbalanced, *columns.UNFIT)

METRICS = WarehouseMetrics(REGISTRY)

log = structlog.get_logger()


def open_file(file: WarehouseFile) -> duckdb.DuckDBPyConnection:
    """The warehouse with its tables and views. Raises `duckdb.IOException` where another process has it open.

    Before that its file is exchanged for a better one, where there is one or that pays.
    """
    file.path.parent.mkdir(parents=True, exist_ok=True)
    compaction.take_rebuilt(file.path)
    con = _connect(file)
    if compaction.is_worthwhile(con):
        compaction.compact(con, file.path)
        con = _connect(file)
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    load_quack(con)
    con.execute("LOAD json")
    make_schema(con)
    return con


def make_schema(con: duckdb.DuckDBPyConnection) -> None:
    """Make or renew the tables, views and macros in the database of a connection."""
    [(catalog,)] = con.execute("SELECT current_catalog()").fetchall()
    for name in SCHEMA:
        con.execute(Path(__file__).with_name(name).read_text().replace("{catalog}", f'"{catalog}"'))


def _connect(file: WarehouseFile) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {
        "memory_limit": f"{file.memory_mb}MB",
        "max_temp_directory_size": SPILL_MAX,
        "threads": file.threads,
    }
    if file.logged:
        return duckdb.connect(str(file.path), config=config)
    con = duckdb.connect(config=config | {"temp_directory": f"{file.path}.tmp", "checkpoint_threshold": NEVER})
    con.execute(f"ATTACH {quoted(str(file.path))} AS {UNLOGGED} (RECOVERY_MODE no_wal_writes)")
    con.execute(f"USE {UNLOGGED}")
    return con


class Warehouse:
    """The open file. `write` and `save_lag` are called by one thread; readers are served by threads of DuckDB."""

    def __init__(
        self,
        file: WarehouseFile,
        send: Callable[[list[Out]], None],
        tell: Callable[[list[Out]], None] | None = None,
        exporting: NightlyExport | None = None,
    ) -> None:
        """`send` delivers dead letters, `tell` payments that changed; both return when Kafka has stored them.

        `exporting`: who exports it.
        """
        self._send, self._tell = send, tell
        self._con = open_file(file)
        self._upkeep = Upkeep(self._con, file, exporting)
        self._commit_lock = threading.RLock()
        self._guard: QueryGuard | None = None
        self._query_log: QueryLog | None = None

    def bookmarks(self) -> Bookmarks:
        """Where to read each partition on; who tells of payments may not have told of the last batch."""
        marks = writer.stored_bookmarks(self._con)
        return {**marks, **writer.untold_bookmarks(self._con, PAYMENTS.name)} if self._tell else marks

    def write(self, batch: Sequence[IngestedRecord]) -> None:
        """Write one batch: dead letters first, then rows and offsets in one transaction; then tell what changed.

        A kill in between repeats the dead letters, or reads the batch once more and tells of it then. A batch may
        have any size; it takes 3 KB of memory a row. Raises `duckdb.Error` where the file cannot be written; then
        no row and no offset of the batch is.
        """
        letters = [item.letter for item in batch if item.letter]
        if letters:
            self._send(letters)
        self._commit(self._upkeep.before_batch)
        began = perf_counter()
        self._commit(lambda: self._write(batch))
        newest_ms = max((item.record.timestamp_ms for item in batch), default=0)
        METRICS.wrote(sum(len(item.rows) for item in batch), newest_ms, perf_counter() - began)

    def save_lag(self, lag: Mapping[Place, int]) -> None:
        """Store how many records of each partition are still to be read, and look after the file."""
        self._commit(lambda: writer.save_lag(self._con, lag))
        METRICS.looked(sum(lag.values()))
        self._commit(self._upkeep.look)

    def checkpoint(self) -> None:
        """Put all that is committed into the file."""
        self._con.execute("CHECKPOINT")

    def serve(self, address: str, tokens: Mapping[str, Secret]) -> None:
        """Serve our own readers, by their tokens."""
        serve(self._con, address, AccessControl(Readers(tokens), ReadOnly().answer))

    def serve_guarded(self, address: str, readers: Readers, settings: SqlSettings) -> None:
        """Serve readers who ask what they like, each what they may see, within the limits."""
        [(catalog,)] = self._con.execute("SELECT current_catalog()").fetchall()
        policy = RoleViews(catalog)
        turns = Turns(settings.readers_file(), settings.refuse_s, settings.sql_per_minute)
        answers = Answers(self._con.cursor(), policy, settings.sql_answers_mb * 2**20)
        self._query_log = QueryLog(settings.query_log())
        asking = Asking(turns, answers, policy, self._query_log)
        serve(self._con, address, AccessControl(readers, asking.answer))
        self._guard = QueryGuard(turns, answers, settings, self._commit_lock)

    def close(self) -> None:
        """Close the file; readers are served no more."""
        if self._guard:
            self._guard.close()
        self._con.close()
        if self._query_log:
            self._query_log.close()

    def _commit(self, work: Callable[[], None]) -> None:
        """Do work in whole transactions; once more where readers had taken all memory, which is freed then.

        So each of its transactions has to be one that a repeat changes nothing by.
        """
        with self._commit_lock:
            try:
                work()
            except duckdb.OutOfMemoryException:
                if self._guard is None or not self._guard.free_memory():
                    raise
                work()

    def _write(self, batch: Sequence[IngestedRecord]) -> None:
        """Write a batch. Where DuckDB refuses a value, halve the batch until its record is found."""
        rows = [row for item in batch for row in item.rows]
        try:
            standing = self._write_rows(rows, [item.record for item in batch])
        except UNFIT as error:
            if len(batch) == 1:
                self._reject(batch[0], error)
            else:
                half = len(batch) // 2
                self._write(batch[:half])
                self._write(batch[half:])
        else:
            if self._tell and standing:
                self._tell(latest_events(batch, set(standing)))

    def _write_rows(self, rows: Sequence[WarehouseRow], records: Sequence[Record]) -> list[str]:
        upkeep = self._upkeep
        return writer.write_batch(self._con, rows, positions(records), upkeep.since, upkeep.pruned)

    def _reject(self, item: IngestedRecord, error: Exception) -> None:
        record = item.record
        log.warning("record.rejected", topic=record.topic, partition=record.partition, offset=record.offset)
        if not item.rows:
            raise error  # without rows only the offsets are written: no fault of the record
        self._send([dead_letter(record, "a value does not fit the warehouse", SOURCE)])
        self._write_rows([], [record])
