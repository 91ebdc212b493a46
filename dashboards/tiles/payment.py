"""One payment in detail, with the features that the fraud check scored."""

from datetime import datetime
from typing import Any

import msgspec

from connectors.warehouse import Table, quoted
from dashboards import formats
from dashboards.page import card, html
from dashboards.tiles.latest import PaymentLine, line

LabelledValues = list[tuple[str, str]]


class PaymentDetail(msgspec.Struct, frozen=True):
    """One payment as it is shown: its line of the list, its money, its verdict, its fraud features."""

    line: PaymentLine
    money: LabelledValues
    verdict: LabelledValues
    features: LabelledValues


def query(payment_id: str) -> str:
    """The query for a payment; `payment_id` comes from the address and may be any text."""
    joined = "payments p LEFT JOIN risk r ON r.payment = p.id"
    return f"SELECT p.*, r.features FROM {joined} WHERE p.id = {quoted(payment_id)}"  # noqa: S608


def detail(table: Table, now: datetime) -> PaymentDetail | None:
    """The payment's detail; None where there is no such payment."""
    if not table.rows:
        return None
    row = dict(zip(table.columns, table.rows[0], strict=True))
    features: dict[str, float] = msgspec.json.decode(row["features"] or "{}")
    return PaymentDetail(
        line(row, now),
        _money(row),
        _verdict(row),
        [(name, f"{value:,.4f}".rstrip("0").rstrip(".")) for name, value in features.items()],
    )


def _money(row: dict[str, Any]) -> LabelledValues:
    currency = row["currency"]
    return [
        ("Captured", f"{formats.amount(row['amount_captured'], currency)} {currency}"),
        ("Refunded", f"{formats.amount(row['amount_refunded'], currency)} {currency}"),
        ("Capture", row["capture"]),
        ("Attempts", str(row["attempts"])),
        ("Country", row["country"] or formats.NONE),
        ("Customer", row["customer"]),
        ("Merchant", row["merchant"]),
        ("Occurred", formats.moment(row["occurred_at"])),
        ("Created", formats.moment(row["created_at"])),
        ("Changed", formats.moment(row["updated_at"])),
        ("Trace", row["trace_id"] or formats.NONE),
    ]


def _verdict(row: dict[str, Any]) -> LabelledValues:
    return [
        ("Decided by", row["risk_source"] or formats.NONE),
        ("Reasons", ", ".join(row["risk_reasons"] or ()) or formats.NONE),
        ("Model", row["risk_model"] or formats.NONE),
        ("Waited", formats.millis(row["waited_ms"])),
    ]


def show(table: Table, now: datetime) -> None:
    """Show the detail, and a link back to all payments."""
    html("back.html")
    found = detail(table, now)
    if not found:
        html("unknown.html")
        return
    with card("payment", "Payment", found.line.id):
        html("payment.html", p=found.line, facts=found.money)
    with card("judged", "Fraud check", "as it was judged"):
        html("judged.html", p=found.line, facts=found.verdict, features=found.features)
