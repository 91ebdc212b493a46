"""The share of payments that each processor approves."""

from datetime import datetime

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.page import card, html

# A payment our own fraud gate stopped never reached a processor; one still open has no answer yet.
QUERY = """
SELECT date_trunc('minute', created_at) AS minute, processor,
       count(*) FILTER (
           state IN ('captured', 'partially_captured', 'authorized', 'in_review', 'voided')
       ) AS approved,
       count(*) FILTER (state IN ('declined', 'failed')) AS refused,
       count(*) FILTER (state = 'unknown') AS unknown
FROM payments
WHERE created_at >= now()::TIMESTAMP - INTERVAL 15 MINUTE
  AND processor IS NOT NULL AND decline_code IS DISTINCT FROM 'blocked'
GROUP BY ALL ORDER BY minute
"""

NAMES = {"visa": "Visa", "mastercard": "Mastercard", "paypal": "PayPal"}


class ProcessorSuccess(msgspec.Struct, frozen=True):
    """One processor: `share` of approvals in percent for the bar, `rate` the same to read."""

    name: str
    share: float
    rate: str
    answered: int
    unknown: int


class Success(msgspec.Struct, frozen=True):
    """All together, by minute (percent) for the sparkline, and by processor."""

    rate: str
    minutes: list[float]
    processors: list[ProcessorSuccess]


def success(table: Table) -> Success:
    """The figures of the rows."""
    approved, refused = (sum(row[at] for row in table.rows) for at in (2, 3))
    minutes: dict[datetime, list[int]] = {}
    for minute, _, yes, no, _ in table.rows:
        so_far = minutes.setdefault(minute, [0, 0])
        so_far[0] += yes
        so_far[1] += yes + no
    return Success(
        formats.percent(approved, approved + refused),
        [100 * yes / all for yes, all in minutes.values() if all],
        [_processor(name, table) for name in sorted({row[1] for row in table.rows}, key=list(NAMES).index)],
    )


def _processor(name: str, table: Table) -> ProcessorSuccess:
    rows = [row for row in table.rows if row[1] == name]
    approved, refused, unknown = (sum(row[at] for row in rows) for at in (2, 3, 4))
    answered = approved + refused
    share = 100 * approved / answered if answered else 0
    return ProcessorSuccess(NAMES.get(name, name), share, formats.percent(approved, answered), answered, unknown)


def show(figures: Success) -> None:
    """Show a bar for each processor."""
    with card("processors", "Success by processor", "last 15 minutes"):
        html("processors.html", processors=figures.processors)
