"""Settings of the two processes that keep a warehouse: `analytics`, and `sql` with a copy for readers."""

from pathlib import Path

import msgspec

from schemas.settings import Settings


class WarehouseFile(msgspec.Struct, frozen=True):
    """A DuckDB file, how many MB its buffers may take, and the threads of one statement."""

    path: Path
    memory_mb: int
    threads: int


class AnalyticsSettings(Settings, frozen=True, kw_only=True):
    """`warehouse_memory_mb`: DuckDB's own buffers.

    `warehouse_threads`: of one statement; small commits take half the CPU with one.
    """

    warehouse_memory_mb: int = 512
    warehouse_threads: int = 1

    def file(self) -> WarehouseFile:
        """The warehouse's file."""
        return WarehouseFile(self.data / "warehouse.duckdb", self.warehouse_memory_mb, self.warehouse_threads)


class SqlSettings(Settings, frozen=True, kw_only=True):
    """Limits of what readers ask; where a statement or the process is over one, the process ends and starts again.

    `sql_memory_mb`: DuckDB's own buffers. `sql_process_mb`: the whole process, since some functions ignore
    DuckDB's limit. `sql_threads`: of one statement. `statement_s`: the duration of one. `refuse_s`: how long its
    reader is refused then.
    """

    sql_memory_mb: int = 512
    sql_process_mb: int = 1536
    sql_threads: int = 1
    statement_s: float = 10
    refuse_s: float = 60

    def file(self) -> WarehouseFile:
        """The file of the copy."""
        return WarehouseFile(self.data / "sql.duckdb", self.sql_memory_mb, self.sql_threads)

    def readers_file(self) -> Path:
        """Who the next process refuses: who is asking now, or is refused."""
        return self.data / "run" / "sql-readers.json"
