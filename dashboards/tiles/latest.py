"""The latest payments, newest first."""

from datetime import datetime
from typing import Any

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.look import Look
from dashboards.page import html
from dashboards.tile import Tile
from dashboards.wording import paid_with, processor_name, state_words, what_became, words
from schemas.times import now as now_


class PaymentLine(msgspec.Struct, frozen=True):
    """One payment as it is shown. `note`: why it was declined, or what was captured or refunded of it."""

    id: str
    time: str
    age: str
    status: str
    state: str
    note: str
    amount: str
    currency: str
    instrument: str
    processor: str
    outcome: str
    score: str


def latest(table: Table, look: Look, now: datetime) -> list[PaymentLine]:
    """A line for each payment."""
    return [line(row, now, look) for row in table.by_name()]


def line(row: dict[str, Any], now: datetime, look: Look = Look()) -> PaymentLine:  # noqa: B008 - it is frozen
    """The line of a row of the view `payments`; its age is counted at `now` (UTC), its time by the look's zone."""
    created_at, minor, score = row["created_at"], row["amount"], row.get("risk_score")
    assert isinstance(created_at, datetime)
    assert isinstance(minor, int)
    became = what_became(minor, row["amount_captured"], row["amount_refunded"], row["currency"])
    return PaymentLine(
        id=str(row["id"]),
        time=formats.clock(look.local(created_at)),
        age=formats.age((now - created_at).total_seconds()),
        status=str(row["status"]),
        state=state_words(str(row["state"])),
        note=words(row["decline_code"]) or became,
        amount=formats.amount(minor, str(row["currency"])),
        currency=str(row["currency"]),
        instrument=paid_with(row["method"], row["brand"], row["last4"]),
        processor=processor_name(row["processor"]),
        outcome=str(row.get("risk_outcome") or ""),
        score=f"{score:.2f}" if isinstance(score, float) else "",
    )


def _draw(table: Table, look: Look) -> None:
    lines, has_risk = latest(table, look, look.until or look.at or now_()), "risk_outcome" in table.columns
    html("latest.html", lines=lines, has_risk=has_risk)


LATEST = Tile(
    "latest",
    "Latest payments",
    "What came in last, and what became of it?",
    """
SELECT id, created_at, status, state, amount, currency, processor, method, brand, last4, risk_outcome, risk_score,
       decline_code, amount_captured, amount_refunded
FROM payments
WHERE created_at < $until
  AND created_at >= (SELECT max(hour) FROM payments_by_hour WHERE hour < $until) - INTERVAL 1 HOUR
ORDER BY created_at DESC LIMIT 12
""",
    _draw,
    as_of=True,
)
# A merchant's people are not told of verdicts.
OWN_LATEST = msgspec.structs.replace(
    LATEST, name="own-latest", sql=LATEST.sql.replace(" risk_outcome, risk_score,", ""), for_merchants=True
)
