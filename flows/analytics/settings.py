"""Settings of the two processes that keep a warehouse: `analytics`, and `sql` with a copy for readers."""

from pathlib import Path
from typing import Annotated

import msgspec

from schemas.settings import BadSetting, Settings

# `sluice outbox resend` sends events of 30 days again: what comes again may be new here, so it has to be written.
DAYS_MIN = 31


class WarehouseFile(msgspec.Struct, frozen=True):
    """A DuckDB file, how many MB its buffers may take, and the threads of one statement.

    `days`: for how long it keeps details; None: for ever. `night`: the hour (UTC) in which its process may end to
    compact it; None: never. `history_h`: for how many hours it knows how payments stood. `logged`: whether what is
    committed survives a kill; of one that is not, what was written since its last checkpoint is gone.
    """

    path: Path
    memory_mb: int
    threads: int
    days: int | None = None
    night: int | None = 3
    history_h: float = 48
    logged: bool = True


class WarehouseSettings(Settings, frozen=True, kw_only=True):
    """`warehouse_days`: after so many days details go, 0: never; what is counted of them stays.

    `warehouse_night`: the hour (UTC) of what is done once a day. `warehouse_history_h`: for how many hours
    `payments_as_of` knows how payments stood.
    """

    warehouse_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0
    warehouse_night: Annotated[int, msgspec.Meta(ge=0, le=23)] = 3
    warehouse_history_h: Annotated[float, msgspec.Meta(ge=0, le=8760)] = 48

    def __post_init__(self) -> None:
        if 0 < self.warehouse_days < DAYS_MIN:
            raise BadSetting(f"SLUICE_WAREHOUSE_DAYS: {DAYS_MIN} or more: events may come again for a month")

    def kept_as(self, name: str, memory_mb: int, threads: int) -> WarehouseFile:
        """A file of that name in the data directory."""
        days = self.warehouse_days or None
        path, history_h = self.data / name, self.warehouse_history_h
        return WarehouseFile(path, memory_mb, threads, days, self.warehouse_night, history_h)


class AnalyticsSettings(WarehouseSettings, frozen=True, kw_only=True):
    """`warehouse_memory_mb`: DuckDB's own buffers.

    `warehouse_threads`: of one statement; small commits take half the CPU with one.
    `warehouse_export`: the folder of the nightly exports (default: `export` in the data directory).
    `warehouse_exports`: how many are kept; 0: there are none by night.
    """

    warehouse_memory_mb: int = 512
    warehouse_threads: int = 1
    warehouse_export: Path | None = None
    warehouse_exports: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 2

    def file(self) -> WarehouseFile:
        """The warehouse's file."""
        return self.kept_as("warehouse.duckdb", self.warehouse_memory_mb, self.warehouse_threads)

    def exports(self) -> Path:
        """The folder of the exports."""
        return self.warehouse_export or self.data / "export"


class SqlSettings(WarehouseSettings, frozen=True, kw_only=True):
    """Limits of what readers ask; a statement that is over one is interrupted.

    `sql_memory_mb`: DuckDB's own buffers. `sql_process_mb`: the whole process, since some functions ignore
    DuckDB's limit: at four fifths of it the newest statement is interrupted, beyond it the process ends and starts
    again. `sql_answers_mb`: of all answers that wait for their readers, part of the buffers. `sql_threads`: of one
    statement. `statement_s`: the duration of one. `sql_per_minute`: how many of one account, of those that came
    with a person's token. `refuse_s`: how long an account is refused that brought the process down.
    """

    sql_memory_mb: int = 512
    sql_process_mb: int = 1536
    sql_answers_mb: int = 128
    sql_threads: int = 1
    sql_per_minute: int = 120
    statement_s: float = 10
    refuse_s: float = 60

    def file(self) -> WarehouseFile:
        """The file of the copy."""
        return self.kept_as("sql.duckdb", self.sql_memory_mb, self.sql_threads)

    def readers_file(self) -> Path:
        """Who the next process refuses: who is asking now, or is refused."""
        return self.data / "run" / "sql-readers.json"

    def query_log(self) -> Path:
        """Who asked what, a line for each statement."""
        return self.data / "logs" / "queries.jsonl"
