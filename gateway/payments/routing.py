"""Which processor takes a payment: the one its client named, else the brand's own, then the others by priority."""

from gateway.books.payments import PaymentRow
from schemas.payments import ProcessorName

PRIORITY: dict[str, tuple[ProcessorName, ...]] = {
    "visa": ("visa", "mastercard"),
    "mastercard": ("mastercard", "visa"),
}


def candidates(payment: PaymentRow) -> tuple[ProcessorName, ...]:
    """The processors to try in order; one that a client named never fails over."""
    if payment.method == "paypal":
        return ("paypal",)
    if payment.wanted_processor:
        return (payment.wanted_processor,)
    return PRIORITY[payment.brand or "visa"]


def next_processor(payment: PaymentRow) -> ProcessorName | None:
    """The processor after the `attempts` that were made; None where all were tried."""
    left = candidates(payment)[payment.attempts :]
    return left[0] if left else None
