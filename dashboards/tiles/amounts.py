"""Captured, refunded and still open amounts per currency; amounts of two currencies are never added."""

from collections.abc import Sequence

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.compared import ComparedRows, FigureChange, line
from dashboards.look import Look
from dashboards.page import html
from dashboards.tile import Tile

SHOWN = 6
COURSE_HEIGHT = 22  # pixels


class CurrencyAmounts(msgspec.Struct, frozen=True):
    """One currency as it is shown; amounts as texts without its code. `net`: captured less refunded."""

    code: str
    captured: str
    payments: int
    mean: str
    open: str
    refunded: str
    net: str
    course: str
    changes: Sequence[FigureChange]


def amounts(table: Table, look: Look) -> list[CurrencyAmounts]:
    """The amounts of each currency, the one with the most payments first."""
    at = table.columns.index("currency")
    codes = dict.fromkeys(row[at] for row in table.rows)
    lines = [_line(code, [row for row in table.rows if row[at] == code], table, look) for code in codes]
    return sorted((line for line in lines if line), key=lambda line: (-line.payments, line.code))


def _line(code: str, rows: list[tuple[object, ...]], table: Table, look: Look) -> CurrencyAmounts | None:
    kept = ComparedRows(Table(table.columns, rows))
    sums = kept.shown()
    if not sums["payments"]:
        return None

    def amount(minor: int) -> str:
        return formats.amount(minor, code) if minor else formats.NONE

    return CurrencyAmounts(
        code,
        formats.amount(sums["captured"], code),
        sums["paid"],
        amount(round(sums["captured"] / sums["paid"])) if sums["paid"] else formats.NONE,
        amount(sums["open"]),
        amount(sums["refunded"]),
        formats.amount(sums["captured"] - sums["refunded"], code),
        line(kept.course(look, lambda step: step["captured"]), COURSE_HEIGHT),
        kept.changes(look, lambda span: span["captured"], "of_it"),
    )


def _draw(table: Table, look: Look) -> None:
    """Show the first `SHOWN` currencies and how many more there are."""
    lines = amounts(table, look)
    spans = list(look.compared)
    html("captured.html", lines=lines[:SHOWN], spans=spans, more=max(0, len(lines) - SHOWN))


CAPTURED = Tile(
    "captured",
    "Captured",
    "How much was captured and refunded in each currency, and how does that compare?",
    """
WITH told AS (
    SELECT span, since, until, $grain AS begins, currency, sum(count) AS payments,
           sum(amount_captured) AS captured, sum(amount_refunded) AS refunded,
           sum(count) FILTER (state IN ('captured', 'partially_captured')) AS paid,
           sum(amount) FILTER (
               state IN ('processing', 'requires_action', 'in_review', 'authorized', 'unknown')) AS open
    FROM $spans(payments_by_$grain, $grain) GROUP BY ALL
)
SELECT currency, span, CASE WHEN span = 'shown' THEN time_bucket($step, begins, since) END AS step,
       begins + INTERVAL 1 $grain <= until AS is_over,
       sum(payments)::BIGINT AS payments, sum(captured)::BIGINT AS captured, sum(refunded)::BIGINT AS refunded,
       coalesce(sum(paid), 0)::BIGINT AS paid, coalesce(sum(open), 0)::BIGINT AS open
FROM told GROUP BY ALL ORDER BY ALL
""",
    _draw,
    note="of the payments of this period",
    as_of=True,
    for_merchants=True,
)
