"""Settings of the two processes that keep a warehouse: `analytics`, and `sql` with a copy for readers."""

from pathlib import Path
from typing import Annotated

import msgspec

from schemas.settings import Settings


class WarehouseFile(msgspec.Struct, frozen=True):
    """A DuckDB file, how many MB its buffers may take, and the threads of one statement.

    `history_h`: for how many hours it knows how payments stood.
    """

    path: Path
    memory_mb: int
    threads: int
    history_h: float = 48


class AnalyticsSettings(Settings, frozen=True, kw_only=True):
    """`warehouse_memory_mb`: DuckDB's own buffers.

    `warehouse_threads`: of one statement; small commits take half the CPU with one. `warehouse_history_h`: for how
    many hours `payments_as_of` knows how payments stood.
    """

    warehouse_memory_mb: int = 512
    warehouse_threads: int = 1
    warehouse_history_h: Annotated[float, msgspec.Meta(ge=0, le=8760)] = 48

    def file(self) -> WarehouseFile:
        """The warehouse's file."""
        path = self.data / "warehouse.duckdb"
        return WarehouseFile(path, self.warehouse_memory_mb, self.warehouse_threads, self.warehouse_history_h)


class SqlSettings(Settings, frozen=True, kw_only=True):
    """Limits of what readers ask; where a statement or the process is over one, the process ends and starts again.

    `sql_memory_mb`: DuckDB's own buffers. `sql_process_mb`: the whole process, since some functions ignore
    DuckDB's limit. `sql_threads`: of one statement. `statement_s`: the duration of one. `refuse_s`: how long its
    reader is refused then. `warehouse_history_h`: as in `analytics`.
    """

    sql_memory_mb: int = 512
    sql_process_mb: int = 1536
    sql_threads: int = 1
    statement_s: float = 10
    refuse_s: float = 60
    warehouse_history_h: Annotated[float, msgspec.Meta(ge=0, le=8760)] = 48

    def file(self) -> WarehouseFile:
        """The file of the copy."""
        path = self.data / "sql.duckdb"
        return WarehouseFile(path, self.sql_memory_mb, self.sql_threads, self.warehouse_history_h)

    def readers_file(self) -> Path:
        """Who the next process refuses: who is asking now, or is refused."""
        return self.data / "run" / "sql-readers.json"
