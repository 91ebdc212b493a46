"""Captured, refunded and pending amounts per currency; amounts of two currencies are never added."""

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.page import card, html

# Payments of the minutes that lie wholly or partly in the last 24 hours, as they stand now.
QUERY = """
SELECT currency, sum(amount_captured)::BIGINT AS captured,
       coalesce(sum(count) FILTER (state IN ('captured', 'partially_captured')), 0)::BIGINT AS payments,
       coalesce(sum(amount) FILTER (
           state IN ('processing', 'requires_action', 'in_review', 'authorized', 'unknown')
       ), 0)::BIGINT AS open,
       sum(amount_refunded)::BIGINT AS refunded
FROM payments_by_minute
WHERE minute >= date_trunc('minute', now()::TIMESTAMP - INTERVAL 24 HOUR)
GROUP BY currency ORDER BY payments DESC, currency
"""

SHOWN = 6


class CurrencyAmounts(msgspec.Struct, frozen=True):
    """One currency as it is shown; amounts as texts without its code. `net`: captured less refunded."""

    code: str
    captured: str
    payments: int
    mean: str
    pending: str
    refunded: str
    net: str


def amounts(table: Table) -> list[CurrencyAmounts]:
    """The amounts of each currency, the one with the most payments first."""
    return [
        CurrencyAmounts(
            code,
            formats.amount(captured, code),
            payments,
            formats.amount(round(captured / payments), code) if payments else formats.NONE,
            formats.amount(pending, code) if pending else formats.NONE,
            formats.amount(refunded, code) if refunded else formats.NONE,
            formats.amount(captured - refunded, code),
        )
        for code, captured, payments, pending, refunded in table.rows
    ]


def show(lines: list[CurrencyAmounts]) -> None:
    """Show the first `SHOWN` currencies and how many more there are."""
    with card("amounts", "Captured amounts", "last 24 hours"):
        html("amounts.html", lines=lines[:SHOWN], more=max(0, len(lines) - SHOWN))
