"""The DuckDB file: opened by this process alone, written by one thread, served to readers."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, timedelta
from pathlib import Path

import duckdb
import structlog

from connectors.quack import load_quack
from connectors.records import Offsets, Out, Place, dead_letter
from connectors.warehouse import READERS, address, token
from flows.analytics import apply
from flows.analytics.door import Door, serve
from flows.analytics.limits import LOOK_EVERY_S, RESTART, Statement, overrun, resident_mb, running
from flows.analytics.rows import SOURCE, Entry, positions
from flows.analytics.settings import AnalyticsSettings
from schemas.cards import mask_numbers
from schemas.times import now

SCHEMA = ("tables.sql", "views.sql")
SPILL_MAX = "2GB"
COMMIT_WITHIN_S = 2.0

# What DuckDB says when a value does not fit its column; anything else is no fault of a record.
UNFIT = (duckdb.DataError, duckdb.InvalidInputException)

log = structlog.get_logger()


def open_file(settings: AnalyticsSettings) -> duckdb.DuckDBPyConnection:
    """The warehouse with its tables and views. Raises `duckdb.IOException` where another process has it open."""
    settings.data.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(
        str(settings.warehouse()),
        config={
            "memory_limit": f"{settings.warehouse_memory_mb}MB",
            "max_temp_directory_size": SPILL_MAX,
            "threads": settings.warehouse_threads,
        },
    )
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    load_quack(con)
    con.execute("LOAD json")
    for name in SCHEMA:
        con.execute(Path(__file__).with_name(name).read_text())
    return con


class Warehouse:
    """The open file. `write` and `checked` belong to one thread; readers come in by threads of DuckDB."""

    def __init__(self, settings: AnalyticsSettings, send: Callable[[list[Out]], None]) -> None:
        """`send` delivers dead letters, and returns once Kafka has them."""
        self._settings, self._send = settings, send
        self._con = open_file(settings)
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None

    def offsets(self) -> Offsets:
        """Where to read on."""
        return apply.offsets(self._con)

    def write(self, entries: Sequence[Entry]) -> None:
        """One batch: dead letters first, then rows and offsets at once, so that a stop in between repeats letters.

        Raises `duckdb.Error` where the file cannot be written; then nothing of the batch is.
        """
        letters = [entry.letter for entry in entries if entry.letter]
        if letters:
            self._send(letters)
        with self._writing:
            self._apply(entries)

    def checked(self, lag: Mapping[Place, int]) -> None:
        """Keep how far each partition is behind."""
        with self._writing:
            apply.save_lag(self._con, lag)

    def serve(self) -> None:
        """Let readers in, and watch what they ask."""
        tokens = {reader: token(self._settings, reader) for reader in READERS}
        refused = self._con.execute("SELECT reader, max(until) FROM store.refusals GROUP BY reader").fetchall()
        door = Door(tokens, {reader: until.replace(tzinfo=UTC) for reader, until in refused})
        serve(self._con, address(self._settings), door)
        self._watcher = threading.Thread(target=self._watch, args=[door], name="watch", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Close the file, and the door with it."""
        self._closing.set()
        if self._watcher:
            self._watcher.join()
        self._con.close()

    def _apply(self, entries: Sequence[Entry]) -> None:
        """Apply a batch; where DuckDB takes offence, halve it until the record is found that does not fit."""
        rows = [entry.row for entry in entries if entry.row]
        try:
            apply.apply(self._con, rows, positions(entry.record for entry in entries))
        except UNFIT as error:
            if len(entries) == 1:
                self._set_aside(entries[0], error)
            else:
                half = len(entries) // 2
                self._apply(entries[:half])
                self._apply(entries[half:])

    def _set_aside(self, entry: Entry, error: duckdb.Error) -> None:
        record = entry.record
        log.warning("record_unfit", topic=record.topic, partition=record.partition, offset=record.offset)
        if entry.row is None:
            raise error  # there is nothing in it that could not fit: the fault is ours
        self._send([dead_letter(record, "a value does not fit the warehouse", SOURCE)])
        apply.apply(self._con, [], positions([record]))

    def _watch(self, door: Door) -> None:
        con = self._con.cursor()
        while not self._closing.wait(LOOK_EVERY_S):
            statement = overrun(running(con), resident_mb(), self._settings)
            if statement:
                self._end(con, door.reader(statement.connection), statement)

    def _end(self, con: duckdb.DuckDBPyConnection, reader: str | None, statement: Statement) -> None:
        """Refuse the reader for a while and restart, not in the middle of a commit if that takes no longer."""
        log.error(
            "statement_over_limit",
            reader=reader,
            seconds=round(statement.seconds, 1),
            process_mb=round(resident_mb()),
            statement=mask_numbers(statement.text[:500]),
        )
        until = now() + timedelta(seconds=self._settings.refuse_s)
        con.execute(
            "INSERT INTO store.refusals SELECT $reader, $until::TIMESTAMP", {"reader": reader, "until": until}
        )
        self._writing.acquire(timeout=COMMIT_WITHIN_S)
        os._exit(RESTART)
