"""What rules are evaluated on: names and values of one payment, made once for all rules."""

from flows.fraud.scoring import ScoredPayment, StreamedPayment
from schemas.controls import SCORE
from schemas.expressions.compiler import Values
from schemas.payments import Payment
from schemas.rules import field_values


def values_of(item: StreamedPayment) -> Values:
    """The features of a scored payment, its fields, and its score where the model is live.

    What is not known has no value, and a comparison with it is false.
    """
    values = scored_values(item)
    values.update(fields_of(item.payment))
    return values


def scored_values(item: ScoredPayment) -> dict[str, float | str]:
    """The features of a payment, and its score where the model is live."""
    score = {SCORE: item.score} if item.live and item.score is not None else {}
    return {**item.features, **score}


def fields_of(payment: Payment) -> dict[str, float | str]:
    """The fields of a payment by the names that rules have for them."""
    return field_values(
        amount=payment.amount,
        amount_eur_cents=payment.amount_eur_cents,
        currency=payment.currency,
        brand=payment.method.brand,
        bin=payment.method.bin,
        country=payment.country,
        method=payment.method.type,
        merchant=payment.merchant,
        customer=payment.customer,
        occurred_at=payment.occurred_at,
    )
