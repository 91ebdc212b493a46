"""How long payments waited for their verdict."""

from datetime import datetime

import msgspec

from connectors.warehouse import Table
from dashboards.page import COLOURS, card, chart, points

QUERY = """
SELECT time_bucket(INTERVAL 15 SECOND, created_at) AS quarter,
       quantile_cont(waited_ms, 0.5) AS p50, quantile_cont(waited_ms, 0.99) AS p99
FROM payments
WHERE created_at >= now()::TIMESTAMP - INTERVAL 15 MINUTE AND waited_ms IS NOT NULL
GROUP BY GROUPING SETS ((quarter), ()) ORDER BY quarter NULLS FIRST
"""


class VerdictLatency(msgspec.Struct, frozen=True):
    """Milliseconds over all (None where no payment waited), and by quarter of a minute, oldest first."""

    p50: float | None
    p99: float | None
    times: list[datetime]
    p50s: list[float]
    p99s: list[float]


def latency(table: Table) -> VerdictLatency:
    """The figures of the rows; the first row holds those over all."""
    p50, p99 = table.rows[0][1:] if table.rows else (None, None)
    times, p50s, p99s = zip(*table.rows[1:], strict=True) if len(table.rows) > 1 else ((), (), ())
    return VerdictLatency(p50, p99, list(times), list(p50s), list(p99s))


def show(figures: VerdictLatency) -> None:
    """Show the median and the 99th percentile as two lines."""
    lines = (
        ("median", figures.p50s, COLOURS["succeeded"], "solid"),
        ("99th percentile", figures.p99s, COLOURS["quiet"], "dashed"),
    )
    series = [
        {
            "name": name,
            "type": "line",
            "showSymbol": len(values) < 3,
            "color": colour,
            "lineStyle": {"width": 2, "type": dash},
            "data": points(figures.times, values),
        }
        for name, values, colour, dash in lines
    ]
    with card("waits", "Wait for the verdict", "last 15 minutes, ms"):
        chart("waits", "Median and 99th percentile of the wait for a verdict", " ms", 176, series)
