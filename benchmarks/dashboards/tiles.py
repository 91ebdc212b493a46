"""How long the warehouse takes for what each tile asks: for its reader, and in CPU of the process that answers."""

import re
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from benchmarks.dashboards.meter import CpuClock, quantile
from connectors.warehouse import WarehouseReader
from dashboards import navigation
from dashboards.look import Look
from dashboards.tile import Tile

PERIODS = ("15m", "24h", "30d", "90d")
TIMES = 9
SOME = """
SELECT id AS payment, customer, instrument AS card, merchant FROM payments
WHERE created_at >= (SELECT max(created_at) - INTERVAL {days} DAY FROM payments)
  AND state = 'captured' AND method = 'card' ORDER BY created_at LIMIT 1
"""
DAYS_AGO = 20  # of the payment that is looked at: most that somebody looks up are not of today
ABOUT = re.compile(r"(customer|card|merchant|payment|case|messages-of|month)\b")
CURRENCY, MONTH = "EUR", "2026-11"


class TileFigures(msgspec.Struct, frozen=True):
    """Milliseconds of one tile over one period: of its reader, and of CPU in the process that answered."""

    p50_ms: float
    p95_ms: float
    cpu_ms: float


def all_tiles() -> list[Tile]:
    """Every tile of every page, once."""
    navigation.modules()
    ours = [module for name, module in [*sys.modules.items()] if name.startswith("dashboards.")]
    values = chain.from_iterable([*vars(module).values()] for module in ours)
    return sorted(
        {value.name: value for value in values if isinstance(value, Tile)}.values(), key=lambda t: t.name
    )


def some_ids(reader: WarehouseReader) -> dict[str, str]:
    """A payment of some days ago, and who paid whom with what."""
    [found] = reader.query(SOME.format(days=DAYS_AGO)).by_name()
    return found


def id_for(tile: Tile, ids: Mapping[str, str]) -> str:
    """What a tile is about, which the address names."""
    if tile.statement(Look(), "x") == tile.statement(Look(), ""):
        return ""
    found = ABOUT.match(tile.name)
    match found[1] if found else "":
        case "customer" | "card" | "merchant" as subject:
            return ids[subject]
        case "payment" | "case" | "messages-of":
            return ids["payment"]
        case "month":
            return MONTH
        case _:
            return CURRENCY


def measure(reader: WarehouseReader, answering: CpuClock, times: int = TIMES) -> dict[str, dict[str, TileFigures]]:
    """The figures of each tile, by period; one whose statement names no period has one alone."""
    ids = some_ids(reader)
    return {
        tile.name: {period: _of(reader, sql, answering, times) for period, sql in _statements(reader, tile, ids)}
        for tile in all_tiles()
    }


def _statements(reader: Any, tile: Tile, ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The statements of a tile that differ, by the period of each."""
    seen: set[str] = set()
    for period in PERIODS:
        volume = tile.volume(Look(period))
        payments = reader.query(volume).rows[0][0] or 0 if volume else 0
        sql = tile.statement(Look(period), id_for(tile, ids), payments)
        if sql not in seen:
            seen.add(sql)
            yield period, sql


def _of(reader: Any, sql: str, answering: CpuClock, times: int) -> TileFigures:
    took: list[float] = []
    before = answering.seconds()
    for _ in range(times):
        begun = time.perf_counter()
        reader.query(sql)
        took.append((time.perf_counter() - begun) * 1000)
    cpu_ms = (answering.seconds() - before) * 1000 / times
    return TileFigures(quantile(took, 0.5), quantile(took, 0.95), round(cpu_ms, 1))
