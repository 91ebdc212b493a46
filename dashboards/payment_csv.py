"""The rows of the page Payments as CSV: amounts as minor units with their currency, and as decimals."""

from collections.abc import Iterable
from typing import Any

from connectors.warehouse import Table
from dashboards.payment_reading import ListedPayment
from dashboards.session_checks import Person
from dashboards.tile import as_csv
from schemas.money import Money, UnknownCurrency

ROWS_MAX = 10_000
COLUMNS = (
    *("id", "created_at", "updated_at", "status", "state", "currency"),
    *("amount_minor", "amount", "captured_minor", "captured", "refunded_minor", "refunded"),
    *("method", "brand", "last4", "processor", "reference", "decline_code", "capture", "attempts"),
)
STAFF_COLUMNS = ("customer", "merchant", "risk_outcome", "risk_score", "risk_reasons")


def payments_csv(payments: Iterable[ListedPayment], person: Person) -> bytes:
    """A line for each payment, UTF-8; what is for staff stands behind the rest."""
    is_staff = person.is_staff
    columns = [*COLUMNS, *(STAFF_COLUMNS if is_staff else ())]
    return as_csv(Table(columns, [tuple(_cells(payment, is_staff)) for payment in payments]))


def _cells(payment: ListedPayment, is_staff: bool) -> list[Any]:
    paid = payment.payment_method
    cells: list[Any] = [payment.id, payment.created_at.isoformat(), payment.updated_at.isoformat()]
    cells += [payment.status, payment.state, payment.currency]
    for minor in (payment.amount, payment.amount_captured, payment.amount_refunded):
        cells += [minor, _decimal(minor, payment.currency)]
    cells += [paid.type, paid.brand, paid.last4, payment.processor, payment.reference, payment.decline_code]
    cells += [payment.capture, payment.attempts]
    if is_staff:
        risk = payment.risk
        cells += [payment.customer, payment.merchant]
        cells += [risk.outcome, risk.score, " ".join(risk.reasons)] if risk else [None, None, None]
    return cells


def _decimal(minor: int, currency: str) -> str | None:
    try:
        return Money(minor, currency).decimal()
    except UnknownCurrency:
        return None
