"""How old the warehouse's newest payment is while payments go through, and how fast verdicts came."""

import asyncio
from datetime import UTC, datetime
from statistics import quantiles as cut
from types import TracebackType

from connectors.warehouse import QueryRefused, Reader, WarehouseAway

from sluice.settings import ReplaySettings

EVERY_S = 0.5
NEWEST = "SELECT max(updated_at) FROM payments"
VERDICTS = """
    SELECT quantile_cont(waited_ms, 0.5), quantile_cont(waited_ms, 0.99) FROM risk
    WHERE waited_ms IS NOT NULL AND recorded_at >= TIMESTAMPTZ '{since}'
"""


class Freshness:
    """Samples in the background between `async with` and its end; `ages_ms` and `verdict_ms` hold the results."""

    def __init__(self, settings: ReplaySettings) -> None:
        self._reader = Reader(settings, "replay")
        self.ages_ms: list[float] = []
        self.verdict_ms: dict[str, float] = {}

    async def __aenter__(self) -> "Freshness":
        self._since = datetime.now(UTC)
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        row = await self._ask(VERDICTS.format(since=self._since.isoformat()))
        if row and row[0] is not None:
            self.verdict_ms = {"p50": round(float(str(row[0])), 1), "p99": round(float(str(row[1])), 1)}

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            row = await self._ask(NEWEST)
            if row and isinstance(row[0], datetime) and row[0] >= self._since:
                self.ages_ms.append((datetime.now(UTC) - row[0]).total_seconds() * 1000)

    async def _ask(self, statement: str) -> tuple[object, ...] | None:
        try:
            table = await asyncio.to_thread(self._reader.query, statement)
        except (WarehouseAway, QueryRefused):
            return None
        return table.rows[0] if table.rows else None


def quantiles(values: list[float]) -> dict[str, float]:
    """The median and the 99th percentile; empty where there are fewer than two values."""
    if len(values) < 2:
        return {}
    hundredths = cut(values, n=100)
    return {"p50": round(hundredths[49], 1), "p99": round(hundredths[98], 1)}
