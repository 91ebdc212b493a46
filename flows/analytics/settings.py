"""Settings of the analytics flow."""

from pathlib import Path

from schemas.settings import Settings


class AnalyticsSettings(Settings, frozen=True, kw_only=True):
    """Limits of the warehouse and its readers; where a statement or the process is over one, the flow restarts.

    `warehouse_threads`: of one statement; small commits take half the CPU with one.
    `warehouse_memory_mb`: DuckDB's own buffers.
    `warehouse_process_mb`: the whole process, since some functions ignore DuckDB's limit.
    `statement_s`: the duration of one statement. `refuse_s`: how long its reader is locked out.
    """

    warehouse_threads: int = 1
    warehouse_memory_mb: int = 512
    warehouse_process_mb: int = 1536
    statement_s: float = 10
    refuse_s: float = 60

    def warehouse_file(self) -> Path:
        """The DuckDB file."""
        return self.data / "warehouse.duckdb"

    def lockouts(self) -> Path:
        """The file of the readers that are locked out."""
        return self.data / "run" / "warehouse-refused.json"
