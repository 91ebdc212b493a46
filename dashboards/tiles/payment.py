"""One payment in detail, with the features that the fraud check scored."""

from datetime import datetime
from typing import Any

import msgspec

from connectors.warehouse import Table, quoted
from dashboards import formats
from dashboards.page import card, html
from dashboards.tiles.latest import PaymentLine, line

LabelledValues = list[tuple[str, str]]


class RefundLine(msgspec.Struct, frozen=True):
    """One refund as it is shown; `note`: why it failed or gave back less than was asked."""

    id: str
    time: str
    amount: str
    status: str
    note: str


class PaymentDetail(msgspec.Struct, frozen=True):
    """One payment as it is shown: its line of the list, money, refunds, verdict and fraud features."""

    line: PaymentLine
    money: LabelledValues
    refunds: list[RefundLine]
    verdict: LabelledValues
    features: LabelledValues


def query(payment_id: str) -> str:
    """The query for a payment; `payment_id` comes from the address and may be any text."""
    found = quoted(payment_id)
    refunds = f"SELECT list(f ORDER BY f.created_at, f.id) FROM refunds f WHERE f.payment = {found}"  # noqa: S608
    joined = "payments p LEFT JOIN risk r ON r.payment = p.id"
    return f"SELECT p.*, r.features, ({refunds}) AS refunds FROM {joined} WHERE p.id = {found}"  # noqa: S608


def detail(table: Table, now: datetime) -> PaymentDetail | None:
    """The payment's detail; None where there is no such payment."""
    if not table.rows:
        return None
    row = dict(zip(table.columns, table.rows[0], strict=True))
    features: dict[str, float] = msgspec.json.decode(row["features"] or "{}")
    return PaymentDetail(
        line(row, now),
        _money(row),
        [_refund(refund) for refund in row["refunds"] or ()],
        _verdict(row),
        [(name, f"{value:,.4f}".rstrip("0").rstrip(".")) for name, value in features.items()],
    )


def _money(row: dict[str, Any]) -> LabelledValues:
    def amount(column: str) -> str:
        return f"{formats.amount(row[column], row['currency'])} {row['currency']}"

    return [
        ("Captured", amount("amount_captured")),
        ("Still held", amount("amount_capturable")),
        ("Refunded", amount("amount_refunded")),
        ("Last refusal", _last_refusal(row)),
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


def _last_refusal(row: dict[str, Any]) -> str:
    if not row["last_refusal_kind"]:
        return formats.NONE
    return f"{row['last_refusal_kind']}: {row['last_refusal_code']}".replace("_", " ")


def _refund(refund: dict[str, Any]) -> RefundLine:
    return RefundLine(
        refund["id"],
        formats.moment(refund["created_at"]),
        f"{formats.amount(refund['amount'], refund['currency'])} {refund['currency']}",
        refund["status"],
        (refund["decline_code"] or "").replace("_", " "),
    )


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
        html("payment.html", p=found.line, facts=found.money, refunds=found.refunds)
    with card("judged", "Fraud check", "as it was judged"):
        html("judged.html", p=found.line, facts=found.verdict, features=found.features)
