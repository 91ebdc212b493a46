"""The latest payments, newest first."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.look import Look
from dashboards.page import html
from dashboards.tile import Tile
from dashboards.tiles.processors import NAMES
from schemas.times import now as now_


class PaymentLine(msgspec.Struct, frozen=True):
    """One payment as it is shown. `note`: why it was declined, or what was taken or given back of it."""

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
    return [line(dict(zip(table.columns, row, strict=True)), now, look) for row in table.rows]


def line(row: dict[str, object], now: datetime, look: Look = Look()) -> PaymentLine:  # noqa: B008 - it is frozen
    """The line of a row of the view `payments`; its age is counted at `now` (UTC), its time by the look's zone."""
    created_at, minor, score = row["created_at"], row["amount"], row["risk_score"]
    assert isinstance(created_at, datetime)
    assert isinstance(minor, int)
    return PaymentLine(
        id=str(row["id"]),
        time=formats.clock(look.local(created_at)),
        age=formats.age((now - created_at).total_seconds()),
        status=str(row["status"]),
        state=str(row["state"]).replace("_", " "),
        note=str(row["decline_code"] or "").replace("_", " ") or " · ".join(_moved(row)),
        amount=formats.amount(minor, str(row["currency"])),
        currency=str(row["currency"]),
        instrument=_instrument(row),
        processor=NAMES.get(str(row["processor"]), formats.NONE),
        outcome=str(row["risk_outcome"] or ""),
        score=f"{score:.2f}" if isinstance(score, float) else "",
    )


def _moved(row: dict[str, Any]) -> Iterator[str]:
    """What became of the amount, where that is not all of it taken and kept."""
    currency, captured, refunded = row["currency"], row["amount_captured"], row["amount_refunded"]
    if 0 < captured < row["amount"]:
        yield f"{formats.amount(captured, currency)} taken"
    if refunded:
        yield "refunded" if refunded == captured else f"{formats.amount(refunded, currency)} refunded"


def _instrument(row: dict[str, object]) -> str:
    if row["method"] == "paypal":
        return "PayPal"
    return f"{NAMES.get(str(row['brand']), 'Card')} ···· {row['last4'] or '????'}"


def _draw(table: Table, look: Look) -> None:
    html("latest.html", lines=latest(table, look, look.until or look.at or now_()))


LATEST = Tile(
    "latest",
    "Latest payments",
    "What came in last, and what became of it?",
    """
SELECT id, created_at, status, state, amount, currency, processor, method, brand, last4, risk_outcome, risk_score,
       decline_code, amount_captured, amount_refunded
FROM payments
WHERE created_at < $until
  AND created_at >= (SELECT max(created_at) FROM payments WHERE created_at < $until) - INTERVAL 1 HOUR
ORDER BY created_at DESC LIMIT 12
""",
    _draw,
    as_of=True,
)
