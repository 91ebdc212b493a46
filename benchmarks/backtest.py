"""`python -m benchmarks.backtest`: how long a backtest takes over a warehouse full of payments, as JSON.

Fills a warehouse with 90 days of payments whose verdicts have every feature as a row of numbers (the JSON of them
is left out: a backtest does not read it), has the process `sql` serve it, and asks as the gateway does.
Ends with 1 where a million payments take longer than they may.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from benchmarks.warehouse_stack import broker, keeping
from flows.analytics.settings import SqlSettings, WarehouseFile
from flows.analytics.warehouse import open_file
from gateway.backtest.desk import BacktestDesk
from gateway.backtest.results import Backtest
from schemas.expressions import parse
from schemas.features import LAYOUT, NUMBERS
from schemas.settings import Settings
from schemas.times import now

GOAL_S = 5.0  # for a million payments
DAYS = 90
SLICE = 100_000  # payments of one transaction
MEMORY_MB = 2048
RULES = (
    "amount_eur > 50",
    "count_1h >= 3 and amount_eur > 20",
    "count_1h > 3 and device_cards_7d > 2 or gap < 4 and score > 0.1 and merchant_risk > 0.01",
)
ROWS = """
CREATE OR REPLACE TEMP TABLE drawn AS
SELECT i, 'pay_' || lpad(i::VARCHAR, 26, '0') AS id, 100 + hash(i) % 9900 AS amount,
       $began::TIMESTAMP + to_microseconds(i * $apart::BIGINT) AS moment
FROM range($first::BIGINT, $first::BIGINT + $count::BIGINT) t(i);
"""
PAYMENTS = """
INSERT INTO store.payments BY NAME
SELECT id, 'succeeded' AS status, 'captured' AS state, amount, amount AS amount_eur_cents, 'EUR' AS currency,
       'acc_' || i % 9999 AS customer, 'acc_' || i % 300 AS merchant, 'visa' AS brand, '411111' AS bin,
       'DE' AS country, 'card' AS method, moment AS occurred_at, moment AS created_at, moment AS updated_at
FROM drawn
"""
VERDICTS = """
INSERT INTO store.verdicts BY NAME
SELECT 'evt_' || i AS event, id AS payment, 'allow' AS outcome, hash(i) % 1000 / 1000.0 AS score,
       true AS score_live, []::VARCHAR[] AS reasons, list_transform(range($places::BIGINT), k ->
           CASE WHEN k % 2 = 0 THEN hash(i, k) % 9 ELSE hash(i, k) % 1000003 / 1000003 END::DOUBLE) AS numbers,
       $layout AS layout, moment AS occurred_at, moment AS recorded_at
FROM drawn
"""
LABELS = """
INSERT INTO store.labels BY NAME
SELECT 'evt_' || i AS event, id AS payment, CASE WHEN i % 40 = 0 THEN 'fraud' ELSE 'good' END AS label,
       moment AS occurred_at, moment + INTERVAL 7 DAY AS recorded_at
FROM drawn WHERE i % 20 = 0
"""


class BacktestFigures(msgspec.Struct, frozen=True):
    """Of one condition: `seconds` from the question to the answer, by the million payments, and what it met."""

    expression: str
    seconds: float
    per_million_s: float
    payments: int
    hits: int


@click.command()
@click.option("--payments", default=1_000_000)
@click.option("--data", type=click.Path(path_type=Path), help="A data directory that stays; filled if it is not.")
def main(payments: int, data: Path | None) -> None:
    """Measure some conditions, one after the other."""
    with broker(data) as stack:
        path = SqlSettings(data=stack.settings.data).file().path
        if not path.exists():
            fill(path, payments)
        with keeping(stack, "sql") as keeper:
            keeper.ask("SELECT 1")
            found = asyncio.run(measured(stack.settings))
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    raise SystemExit(any(figures.per_million_s > GOAL_S for figures in found))


def fill(path: Path, payments: int) -> None:
    """Write so many payments of the last `DAYS` days, their verdicts, and a label of every twentieth."""
    began = (now() - timedelta(days=DAYS)).replace(tzinfo=None)
    apart = timedelta(days=DAYS) // timedelta(microseconds=1) // payments
    con = open_file(WarehouseFile(path, MEMORY_MB, 2))
    try:
        for first in range(0, payments, SLICE):
            count = min(SLICE, payments - first)
            con.execute(ROWS, {"first": first, "count": count, "began": began, "apart": apart})
            con.execute(PAYMENTS)
            con.execute(VERDICTS, {"places": len(NUMBERS), "layout": LAYOUT})
            con.execute(LABELS)
        con.execute("CHECKPOINT")
    finally:
        con.close()


async def measured(settings: Settings) -> list[BacktestFigures]:
    """The figures of each condition, asked of the process `sql` as the gateway asks it."""
    desk = BacktestDesk(settings)
    end = datetime.now(UTC)
    return [await _measured(desk, text, end - timedelta(days=DAYS + 1), end) for text in RULES]


async def _measured(desk: BacktestDesk, text: str, begin: datetime, end: datetime) -> BacktestFigures:
    began = time.perf_counter()
    found: Backtest = await desk.run(parse(text), begin, end)
    seconds = time.perf_counter() - began
    per_million = round(seconds * 1_000_000 / max(found.payments, 1), 2)
    return BacktestFigures(text, round(seconds, 2), per_million, found.payments, found.hits)


if __name__ == "__main__":
    main()
