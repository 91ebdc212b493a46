"""How long payments take to reach the warehouse while a replay runs, and how long their verdicts took."""

import asyncio
from contextlib import suppress
from datetime import datetime
from statistics import quantiles as cut
from types import TracebackType
from typing import Any

from connectors.warehouse import WarehouseError, WarehouseReader
from schemas.settings import Settings
from schemas.times import now

EVERY_S = 1.0
POLL_S = 0.03  # each query costs the warehouse a few milliseconds
GIVEN_UP_S = 30.0
LAST_WITHIN_S = 5.0
SEEN = """
    SELECT count(*) FROM payments
    WHERE id = '{payment_id}' AND created_at >= now()::TIMESTAMP - INTERVAL 1 HOUR
      AND updated_at >= TIMESTAMP '{at:%Y-%m-%d %H:%M:%S.%f}'
"""
VERDICTS = """
    SELECT quantile_cont(waited_ms, 0.5), quantile_cont(waited_ms, 0.99) FROM risk
    WHERE waited_ms IS NOT NULL AND recorded_at >= TIMESTAMP '{since:%Y-%m-%d %H:%M:%S.%f}'
"""


class Freshness:
    """Samples in the background between `async with` and its end; `ages_ms` and `verdict_ms` hold the results.

    A sample, once a second and at the end: the payment `answered` last is queried until the warehouse has it as it
    was answered. Its age then counts from `recorded_at` in the books. Without a warehouse there are no samples.
    """

    def __init__(self, settings: Settings) -> None:
        self._reader = WarehouseReader(settings, "replay")
        self._newest: tuple[str, datetime] | None = None
        self.ages_ms: list[float] = []
        self.verdict_ms: dict[str, float] = {}

    def answered(self, payment_id: str, recorded_at: datetime) -> None:
        """Note a payment that a client has just got an answer about."""
        self._newest = payment_id, recorded_at

    async def __aenter__(self) -> "Freshness":
        self._since = now()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        await asyncio.wait([self._task], timeout=0 if error else LAST_WITHIN_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        row = await self._ask(VERDICTS.format(since=self._since))
        if row and row[0] is not None:
            self.verdict_ms = {"p50": round(row[0], 1), "p99": round(row[1], 1)}

    async def _sample(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), EVERY_S)
            newest, self._newest = self._newest, None
            if newest and await self._seen(*newest):
                self.ages_ms.append((now() - newest[1]).total_seconds() * 1000)

    async def _seen(self, payment_id: str, at: datetime) -> bool:
        give_up = asyncio.get_running_loop().time() + GIVEN_UP_S
        while asyncio.get_running_loop().time() < give_up:
            if await self._ask(SEEN.format(payment_id=payment_id, at=at)) == (1,):
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def _ask(self, statement: str) -> tuple[Any, ...] | None:
        try:
            table = await asyncio.to_thread(self._reader.query, statement)
        except WarehouseError:
            return None
        return table.rows[0]


def quantiles(values: list[float]) -> dict[str, float]:
    """The median and the 99th percentile; empty where there are no values."""
    if not values:
        return {}
    hundredths = cut(values if len(values) > 1 else values * 2, n=100, method="inclusive")
    return {"p50": round(hundredths[49], 1), "p99": round(hundredths[98], 1)}
