"""Payments per second: now, and over the last five minutes by status."""

from collections import Counter
from datetime import UTC, datetime

import msgspec

from connectors.warehouse import Table
from dashboards.page import COLOURS, card, chart, points

QUERY = """
SELECT epoch(date_trunc('second', created_at))::BIGINT AS second, status, count(*) AS count
FROM payments
WHERE created_at >= now()::TIMESTAMP - INTERVAL 310 SECOND
GROUP BY ALL
"""

STATUSES = ("succeeded", "pending", "failed")
SHOWN_S = 300
BAR_S = 5
SETTLED_S = 2  # payments of the newest seconds may not be in the warehouse yet
NOW_S = 5  # the rate of now is a mean over so many seconds


class Throughput(msgspec.Struct, frozen=True):
    """`now` and `seconds` (the last minute) in payments per second; `bars` by status, oldest first."""

    now: float
    seconds: list[int]
    times: list[datetime]
    bars: dict[str, list[float]]


def throughput(table: Table, now: datetime) -> Throughput:
    """The figures of the rows at `now` (UTC)."""
    last = int(now.timestamp()) - SETTLED_S  # the first second that does not count
    counts: Counter[tuple[int, str]] = Counter()
    for second, status, count in table.rows:
        counts[second, status] += count
    seconds = [sum(counts[second, status] for status in STATUSES) for second in range(last - 60, last)]
    # Bars begin at round times, so that they stand still while the clock goes on.
    starts = range((last - SHOWN_S) // BAR_S * BAR_S, last // BAR_S * BAR_S, BAR_S)
    bars = {
        status: [sum(counts[second, status] for second in range(at, at + BAR_S)) / BAR_S for at in starts]
        for status in STATUSES
    }
    times = [datetime.fromtimestamp(at, UTC) for at in starts]
    return Throughput(sum(seconds[-NOW_S:]) / NOW_S, seconds, times, bars)


def show(figures: Throughput) -> None:
    """Show the bars."""
    series = [
        {
            "name": status,
            "type": "bar",
            "stack": "all",
            "barCategoryGap": "18%",
            "color": COLOURS[status],
            "data": points(figures.times, bars),
        }
        for status, bars in figures.bars.items()
    ]
    with card("throughput", "Throughput", "payments per second, last 5 minutes"):
        chart("throughput", "Payments per second by status", "/s", 310, series)
