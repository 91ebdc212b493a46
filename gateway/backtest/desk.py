"""Backtests for analysts: the warehouse is asked span by span, one statement at a time, in a thread.

Who hangs up is given up: the statement that is running ends, and no further one begins.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from itertools import pairwise
from time import monotonic
from typing import Any

import msgspec

from connectors.warehouse import WarehouseAway, WarehouseError, WarehouseReader
from gateway.backtest.results import Backtest, total
from gateway.backtest.statements import cuts, figures
from gateway.refusals import Refusal
from schemas.expressions import Expression
from schemas.settings import Settings
from schemas.times import as_utc

READER = "backtest"
DURATION_MAX_S = 120.0


class WarehouseSilent(Refusal):
    """The warehouse does not answer, or cannot in time; or another backtest is running."""


class BacktestProgress(msgspec.Struct, frozen=True):
    """How far a backtest is: the share of its span that is done, 0 to 1, and the payments in it."""

    progress: float
    payments: int


class BacktestDesk:
    """Asks the warehouse; one backtest at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: WarehouseReader | None = None
        self._running = False
        self._free = asyncio.Lock()

    async def run(self, expression: Expression, begin: datetime, end: datetime) -> Backtest:
        """What a rule would have done from `begin` to before `end` (UTC). Raises `WarehouseSilent`."""
        async with aclosing(self.steps(expression, begin, end)) as steps:
            async for step in steps:
                if isinstance(step, Backtest):
                    return step
        raise AssertionError("steps end with a backtest")

    async def steps(
        self, expression: Expression, begin: datetime, end: datetime
    ) -> AsyncGenerator[BacktestProgress | Backtest, None]:
        """How far it is, from the first moment on and after each part of the span; at last what came of it.

        Raises `WarehouseSilent`. To be closed by who does not read all of it.
        """
        if self._running:
            raise WarehouseSilent("Another backtest is running.", retry_after_s=5)
        self._running, give_up = True, monotonic() + DURATION_MAX_S
        try:
            minutes = [as_utc(row["minute"]) for row in await self._ask(cuts(begin, end))]
            rows: list[dict[str, Any]] = []
            yield BacktestProgress(0.0, 0)
            for number, (since, until) in enumerate(pairwise([begin, *minutes, end]), 1):
                if monotonic() > give_up:
                    raise WarehouseSilent("It took too long: ask for a shorter span.")
                rows += await self._ask(figures(expression, since, until))
                yield BacktestProgress(number / (len(minutes) + 1), sum(row["payments"] for row in rows))
            yield total(expression, rows)
        finally:
            self._running = False

    async def _ask(self, sql: str) -> list[dict[str, Any]]:
        """A statement runs to its end, also where nobody waits for it any more: the next one waits for that."""
        return await asyncio.shield(asyncio.ensure_future(self._alone(sql)))

    async def _alone(self, sql: str) -> list[dict[str, Any]]:
        async with self._free:
            try:
                return await asyncio.to_thread(self._answer, sql)
            except WarehouseError:
                raise WarehouseSilent from None

    def _answer(self, sql: str) -> list[dict[str, Any]]:
        """Once more where it was ended: the memory that it lacked may have been others' for a moment."""
        self._reader = self._reader or WarehouseReader(self._settings, READER)
        try:
            return self._reader.query(sql).by_name()
        except WarehouseAway:
            raise
        except WarehouseError:
            return self._reader.query(sql).by_name()
