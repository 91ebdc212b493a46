"""Payments per second: now, and over the last five minutes by status."""

from datetime import datetime

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.look import Look
from dashboards.page import COLOURS, chart, html, points
from dashboards.tile import Tile

STATUSES = ("succeeded", "pending", "failed")  # as bars stand on one another


class Throughput(msgspec.Struct, frozen=True):
    """Payments per second: of the newest bar, and of each by status, oldest first."""

    now: float
    times: list[datetime]
    bars: dict[str, list[float]]


def throughput(table: Table) -> Throughput:
    """The figures of the rows, which have a column for each of `STATUSES`."""
    times = [row[0] for row in table.rows]
    bars = {status: [row[at] for row in table.rows] for at, status in enumerate(STATUSES, start=1)}
    return Throughput(sum(values[-1] for values in bars.values()), times, bars)


def _draw(table: Table, look: Look) -> None:
    figures = throughput(table)
    series = [
        {
            "name": status,
            "type": "bar",
            "stack": "all",
            "barCategoryGap": "18%",
            "color": COLOURS[status],
            "data": points(look, figures.times, bars),
        }
        for status, bars in figures.bars.items()
    ]
    html("rate.html", rate=formats.rate(figures.now))
    chart("throughput", "Payments per second by status", "/s", 250, series, None)


# Bars begin at round times, so that they stand still while the clock goes on. Payments of the newest two seconds
# may not be in the warehouse yet.
THROUGHPUT = Tile(
    "throughput",
    "Throughput",
    "How many payments a second are there now, and how do they end?",
    """
WITH counted AS (
    SELECT time_bucket(INTERVAL 5 SECOND, created_at) AS bar,
           count(*) FILTER (status = 'succeeded') / 5 AS succeeded,
           count(*) FILTER (status = 'pending') / 5 AS pending, count(*) FILTER (status = 'failed') / 5 AS failed
    FROM payments WHERE created_at >= $until - INTERVAL 310 SECOND AND created_at < $until GROUP BY bar
), bars AS (
    SELECT unnest(generate_series(
        time_bucket(INTERVAL 5 SECOND, $until - INTERVAL 302 SECOND),
        time_bucket(INTERVAL 5 SECOND, $until - INTERVAL 2 SECOND) - INTERVAL 5 SECOND, INTERVAL 5 SECOND)) AS bar
)
SELECT bar, coalesce(succeeded, 0) AS succeeded, coalesce(pending, 0) AS pending, coalesce(failed, 0) AS failed
FROM bars LEFT JOIN counted USING (bar) ORDER BY bar
""",
    _draw,
    note="the last 5 minutes",
    as_of=True,
    for_merchants=True,
)
