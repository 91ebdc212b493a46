"""Bounds on what readers ask: DuckDB cannot be told to drop another's statement, so the flow restarts.

That is free: offsets stand in the file, and the restarted flow goes on from its last commit.
"""

import resource
from pathlib import Path

import duckdb
import msgspec

from flows.analytics.settings import AnalyticsSettings

RESTART = 75  # EX_TEMPFAIL: the supervisor starts the flow again at once
LOOK_EVERY_S = 0.25

RUNNING = """
SELECT connection_id, query, (epoch_ms(now()::TIMESTAMP) - epoch_ms(query_started_at)) / 1000.0
FROM quack_active_connections() WHERE query_started_at IS NOT NULL AND state <> 'idle' ORDER BY query_started_at
"""


class Statement(msgspec.Struct, frozen=True):
    """A statement in work."""

    connection: str
    text: str
    seconds: float


def running(con: duckdb.DuckDBPyConnection) -> list[Statement]:
    """The statements in work, the longest first."""
    return [Statement(*row) for row in con.execute(RUNNING).fetchall()]


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def overrun(statements: list[Statement], process_mb: float, settings: AnalyticsSettings) -> Statement | None:
    """The statement to end: one that takes too long, or the longest one where memory runs out."""
    if statements and (statements[0].seconds > settings.statement_s or process_mb > settings.warehouse_process_mb):
        return statements[0]
    return None
