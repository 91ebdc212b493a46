"""Backtests for analysts: the warehouse is asked span by span, one statement at a time, in a thread.

Who hangs up is given up: the statement that is running ends, and no further one begins.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from math import sqrt
from typing import Any

import msgspec

from connectors.warehouse import WarehouseError, WarehouseReader
from gateway.backtest.statements import cuts, figures
from gateway.refusals import Refusal
from schemas.expressions import Expression, names_of
from schemas.settings import Settings
from schemas.times import as_utc

READER = "backtest"
DURATION_MAX_S = 120.0
Z = 1.96  # of a normal distribution, 95 % lie within


class WarehouseSilent(Refusal):
    """The warehouse does not answer, or cannot in time; or another backtest is running."""


class WeekFigures(msgspec.Struct, frozen=True):
    """What a rule would have done in a week, which begins on `week` (a Monday, UTC)."""

    week: date
    payments: int
    hits: int
    frauds_caught: int
    good_lost: int


class CurrencyFigures(msgspec.Struct, frozen=True):
    """The sums of what was caught and lost in one currency, in minor units."""

    currency: str
    caught: int
    lost: int


class Backtest(msgspec.Struct, frozen=True):
    """What a rule would have done. `precision`: frauds among the hits that are known; null where there are none.

    `interval`: where it lies with 95 % (Wilson). `good_lost`: hits that a label calls good, or that were paid and
    that none calls fraud. `coverage`: of each name the share of the payments that had a value of it.
    """

    payments: int
    hits: int
    frauds_caught: int
    good_lost: int
    amounts: list[CurrencyFigures]
    precision: float | None
    interval: tuple[float, float] | None
    by_week: list[WeekFigures]
    coverage: dict[str, float]


class BacktestDesk:
    """Asks the warehouse; one backtest at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: WarehouseReader | None = None
        self._running = False
        self._free = asyncio.Lock()

    async def run(self, expression: Expression, begin: datetime, end: datetime) -> Backtest:
        """What a rule would have done from `begin` to before `end` (UTC). Raises `WarehouseSilent`."""
        if self._running:
            raise WarehouseSilent("Another backtest is running.", retry_after_s=5)
        self._running = True
        try:
            async with asyncio.timeout(DURATION_MAX_S):
                return total(expression, await self._rows(expression, begin, end))
        except TimeoutError:
            raise WarehouseSilent("It took too long: ask for a shorter span.") from None
        finally:
            self._running = False

    async def _rows(self, expression: Expression, begin: datetime, end: datetime) -> list[dict[str, Any]]:
        minutes = [as_utc(row["minute"]) for row in await self._ask(cuts(begin, end))]
        rows: list[dict[str, Any]] = []
        for since, until in pairwise([begin, *minutes, end]):
            rows += await self._ask(figures(expression, since, until))
        return rows

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
        self._reader = self._reader or WarehouseReader(self._settings, READER)
        return self._reader.query(sql).by_name()


def total(expression: Expression, rows: list[dict[str, Any]]) -> Backtest:
    """The figures of all spans together."""
    sums: Counter[str] = Counter()
    for row in rows:
        sums.update({name: value for name, value in row.items() if isinstance(value, int)})
    caught, known = sums["frauds_caught"], sums["frauds_caught"] + sums["good_lost"]
    return Backtest(
        payments=sums["payments"],
        hits=sums["hits"],
        frauds_caught=caught,
        good_lost=sums["good_lost"],
        amounts=[
            CurrencyFigures(currency, *found) for currency, *found in _by(rows, "currency", "caught", "lost")
        ],
        precision=caught / known if known else None,
        interval=wilson(caught, known) if known else None,
        by_week=[WeekFigures(*found) for found in _by(rows, "week", *WeekFigures.__struct_fields__[1:])],
        coverage={
            name: sums[f"known_{name}"] / sums["payments"] if sums["payments"] else 0.0
            for name in sorted(names_of(expression))
        },
    )


def _by(rows: list[dict[str, Any]], key: str, *columns: str) -> Iterator[tuple[Any, ...]]:
    for found in sorted({row[key] for row in rows}):
        of_it = [row for row in rows if row[key] == found]
        yield found, *(sum(row[column] for row in of_it) for column in columns)


def wilson(successes: int, tries: int) -> tuple[float, float]:
    """Between which shares the true one lies with 95 %: Wilson's interval, which holds for few tries too."""
    share, spread = successes / tries, Z * Z / tries
    middle = share + spread / 2
    reach = Z * sqrt(share * (1 - share) / tries + spread / tries / 4)
    return max(0.0, (middle - reach) / (1 + spread)), min(1.0, (middle + reach) / (1 + spread))
