"""What the analytics flow is told."""

from pathlib import Path

from schemas.settings import Settings


class AnalyticsSettings(Settings, frozen=True, kw_only=True):
    """Limits of what readers may ask; past one of the process's or the statement's the flow restarts.

    `warehouse_threads`: of one statement; small commits cost half the CPU with one.
    `warehouse_memory_mb`: DuckDB's own buffers.
    `warehouse_process_mb`: the whole process, since some functions ignore DuckDB's limit.
    `statement_s`: one statement. `refuse_s`: how long its reader is not let in.
    """

    warehouse_threads: int = 1
    warehouse_memory_mb: int = 512
    warehouse_process_mb: int = 1536
    statement_s: float = 10
    refuse_s: float = 60

    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.data / "warehouse.duckdb"

    def refusals(self) -> Path:
        """Where it is kept which readers are not let in."""
        return self.data / "run" / "warehouse-refused.json"
