"""Fraud rules as the stand-in obeys them: by the fields of a payment, the features being the fraud flow's.

A live rule that reads a name which is unknown here does not hold, whatever else it says.
"""

from datetime import datetime
from functools import lru_cache

import msgspec
from sqlalchemy import Connection

from gateway.books.payments import PaymentRow
from gateway.books.rules import select_live
from schemas.expressions import Compiled, compiled, names_of
from schemas.expressions.compiler import Values
from schemas.features import FEATURES
from schemas.fraud import OUTCOMES
from schemas.rules import FraudRule, field_values, snoozed_for, usable
from schemas.times import from_micros

KNOWN = frozenset(name for name, feature in FEATURES.items() if feature.source == "payment")

_decode = lru_cache(1000)(msgspec.json.Decoder(FraudRule).decode)


def rules_met(conn: Connection, payment: PaymentRow, moment: datetime) -> list[FraudRule]:
    """The live rules that a payment meets as far as it can be known here, the most severe first."""
    values = _values_of(payment)
    met = [rule for rule in map(_decode, select_live(conn)) if _holds(rule, values, payment.customer_id, moment)]
    return sorted(met, key=lambda rule: (-OUTCOMES.index(rule.outcome), rule.id))


def _holds(rule: FraudRule, values: Values, customer_id: str, moment: datetime) -> bool:
    condition = _condition(rule.expression)
    if rule.mode != "live" or condition is None or not condition(values):
        return False
    until = snoozed_for(rule.snoozed).get(customer_id)
    return until is None or moment >= until


@lru_cache(1000)
def _condition(expression: str) -> Compiled | None:
    """The function of an expression; None where it reads what is unknown here."""
    tree = usable(expression)
    return compiled(tree) if tree is not None and names_of(tree) <= KNOWN else None


def _values_of(payment: PaymentRow) -> Values:
    return field_values(
        amount=payment.amount,
        amount_eur_cents=payment.amount_eur_cents,
        currency=payment.currency,
        brand=payment.brand,
        bin=payment.bin,
        country=payment.country,
        method=payment.method,
        merchant=payment.merchant_id,
        customer=payment.customer_id,
        occurred_at=from_micros(payment.occurred_at),
    )
