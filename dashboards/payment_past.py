"""The list of payments as they stood at a moment: the warehouse remembers, the books do not."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from connectors.warehouse import Table, quoted
from dashboards.look import Look
from dashboards.payment_filters import Filters
from dashboards.payment_list import ROWS, ListPlace
from dashboards.payment_reading import ListedPayment, PaidWith, Risk
from dashboards.tile import Tile

FIELDS = """id, created_at, updated_at, status, state, amount, currency, amount_captured, amount_refunded, method,
       brand, last4, processor, decline_code, capture, attempts, customer, merchant, risk_outcome, risk_score,
       risk_reasons"""
SQL = f"""
SELECT {FIELDS}
FROM payments
WHERE created_at >= $since AND created_at < $until
ORDER BY created_at DESC, id DESC LIMIT {ROWS + 1}"""  # noqa: S608 - constants of ours
COLUMN_OF = {"customer": "customer", "merchant": "merchant", "risk": "risk_outcome", "last4": "last4"}
COLUMN_OF |= {name: name for name in ("status", "state", "processor", "currency", "amount")}
MICROS = re.compile(r"[0-9]{1,18}")  # since 1970; of more digits no time can be made
# What the books alone have, and the words that say so.
NOT_THERE = {
    "reference": "The past has no references: look for the payment's id, its card or its amount.",
    "email": "The past has no e-mail addresses: look for the customer's id.",
}


def why_not(filters: Filters) -> str | None:
    """Why the past cannot be asked for this; None where it can."""
    return NOT_THERE.get(filters.search.taken)


def past_tile(
    filters: Filters, place: ListPlace, draw: Callable[[Table, Look], None], rows: int = ROWS + 1
) -> Tile:
    """The tile of a page of the past, with its own statement: up to `rows` rows, one more than are shown."""
    return Tile(
        "payments-past",
        "Payments",
        "Which payments were there, and how did they stand?",
        _statement(filters, place, rows),
        draw,
        "as they stood, newest first",
        "No payment was like that.",
        as_of=True,
        fills=False,
    )


def _statement(filters: Filters, place: ListPlace, rows: int) -> str:
    conditions = [*_times(filters, place), *_behind(place), *_filtered(filters)]
    where = "\n  AND ".join(conditions) or "true"
    return f"SELECT {FIELDS}\nFROM payments\nWHERE {where}\nORDER BY created_at DESC, id DESC LIMIT {rows}"


def _times(filters: Filters, place: ListPlace) -> list[str]:
    if filters.one_id() or place.since is None:
        return []
    return ["created_at >= $since", "created_at < $until"]


def _behind(place: ListPlace) -> list[str]:
    """Behind the last row of the page before; its time, said by itself, leads past what is newer."""
    at, mark, payment_id = place.cursor.partition("_at_")
    if not mark or not MICROS.fullmatch(at):
        return []
    moment = f"make_timestamp({int(at)})"
    return [f"created_at <= {moment}", f"(created_at, id) < ({moment}, {quoted(payment_id)})"]


def _filtered(filters: Filters) -> list[str]:
    found = quoted(filters.search.value)
    match filters.search.taken:
        case "payment":
            return [f"id = {found}"]
        case "refund":
            return [f"id IN (SELECT payment FROM refunds WHERE id = {found})"]  # noqa: S608
        case _:
            asked = filters.asked()
            return [f"{COLUMN_OF[name]} = {_literal(value)}" for name, value in asked.items() if name in COLUMN_OF]


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else quoted(value)


def following(rows: Sequence[ListedPayment]) -> str:
    """The cursor behind the last of the rows that are shown."""
    last = rows[-1]
    return f"{int(last.created_at.timestamp() * 1_000_000)}_at_{last.id}"


def listed(table: Table) -> list[ListedPayment]:
    """The rows as the gateway would list them."""
    return [_payment(row) for row in table.by_name()]


def _payment(row: dict[str, Any]) -> ListedPayment:
    fields = {name: value for name, value in row.items() if name in ListedPayment.__struct_fields__}
    times = {name: _utc(row[name]) for name in ("created_at", "updated_at")}
    outcome = row["risk_outcome"]
    risk = Risk(outcome, score=row["risk_score"], reasons=list(row["risk_reasons"] or ())) if outcome else None
    paid_with = PaidWith(row["method"], row["brand"], row["last4"])
    return ListedPayment(**fields | times, payment_method=paid_with, risk=risk)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _nothing(_table: Table, _look: Look) -> None:
    """Of the tile by itself: the page draws its rows."""


PAST = msgspec.structs.replace(past_tile(Filters(), ListPlace(), _nothing), sql=SQL)
