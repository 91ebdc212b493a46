"""The fraud check's outcomes, and the share of them that the stand-in rules decided."""

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.page import card, html
from schemas.fraud import OUTCOMES

QUERY = """
SELECT date_trunc('minute', created_at) AS minute, risk_outcome, risk_source, count(*) AS count
FROM payments
WHERE created_at >= now()::TIMESTAMP - INTERVAL 15 MINUTE AND risk_outcome IS NOT NULL
GROUP BY ALL ORDER BY minute
"""

MEANING = {
    "allow": "went through",
    "flag": "went through, marked",
    "review": "held for a person",
    "block": "stopped",
}


class OutcomeShare(msgspec.Struct, frozen=True):
    """One outcome: `percent` for the bar, `rate` the same to read."""

    outcome: str
    meaning: str
    count: int
    percent: float
    rate: str


class VerdictShares(msgspec.Struct, frozen=True):
    """`stopped`: share that was held or blocked, `minutes` the same by minute; `stand_in`: share it decided."""

    stopped: str
    minutes: list[float]
    stand_in: str
    shares: list[OutcomeShare]


def verdicts(table: Table) -> VerdictShares:
    """The figures of the rows."""
    total = sum(row[3] for row in table.rows)
    stopped = sum(row[3] for row in table.rows if row[1] in ("review", "block"))
    stand_in = sum(row[3] for row in table.rows if row[2] == "stand_in")
    return VerdictShares(
        formats.percent(stopped, total),
        _by_minute(table),
        formats.percent(stand_in, total),
        [_share(outcome, table, total) for outcome in OUTCOMES],
    )


def _share(outcome: str, table: Table, total: int) -> OutcomeShare:
    count = sum(row[3] for row in table.rows if row[1] == outcome)
    part = 100 * count / total if total else 0
    return OutcomeShare(outcome, MEANING[outcome], count, part, formats.percent(count, total))


def _by_minute(table: Table) -> list[float]:
    minutes: dict[object, list[int]] = {}
    for minute, outcome, _, count in table.rows:
        so_far = minutes.setdefault(minute, [0, 0])
        so_far[0] += count if outcome in ("review", "block") else 0
        so_far[1] += count
    return [100 * stopped / all for stopped, all in minutes.values()]


def show(figures: VerdictShares) -> None:
    """Show a bar for each outcome."""
    with card("verdicts", "Fraud check", "last 15 minutes"):
        html("verdicts.html", shares=figures.shares, stand_in=figures.stand_in)
