"""The DuckDB file: opened by this process alone, written by one thread, served to readers."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import structlog

from connectors.records import Offsets, Out, Place, dead_letter
from connectors.warehouse import READERS, address, load_quack, token
from flows.analytics import apply
from flows.analytics.door import Door, serve
from flows.analytics.limits import Watch
from flows.analytics.rows import SOURCE, Entry, positions
from flows.analytics.settings import AnalyticsSettings

SCHEMA = ("tables.sql", "views.sql")
SPILL_MAX = "2GB"

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
        self._writing = threading.RLock()
        self._watch: Watch | None = None

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
        with self._committing():
            self._apply(entries)

    def checked(self, lag: Mapping[Place, int]) -> None:
        """Keep how far each partition is behind."""
        with self._committing():
            apply.save_lag(self._con, lag)

    def serve(self) -> None:
        """Let readers in, and watch what they ask."""
        tokens = {reader: token(self._settings, reader) for reader in READERS}
        door = Door(tokens, self._settings.refusals())
        serve(self._con, address(self._settings), door)
        self._watch = Watch(self._con.cursor(), door, self._settings, self._writing)

    def close(self) -> None:
        """Close the file, and the door with it."""
        if self._watch:
            self._watch.close()
        self._con.close()

    @contextmanager
    def _committing(self) -> Iterator[None]:
        with self._writing:
            try:
                yield
            except duckdb.OutOfMemoryException:
                if self._watch:
                    self._watch.out_of_memory()
                raise

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
