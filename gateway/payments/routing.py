"""Which processor takes a payment: the one its client named, else those that take its method, by capability."""

from functools import cache

from connectors.processors.registry import CAPABILITIES
from gateway.books.payments import PaymentRow
from schemas.payments import MethodType, ProcessorName


def candidates(payment: PaymentRow) -> tuple[ProcessorName, ...]:
    """The processors to try in order; one that a client named never fails over."""
    if payment.wanted_processor:
        return (payment.wanted_processor,)
    return _by_capability(payment.method, payment.brand)


def next_processor(payment: PaymentRow) -> ProcessorName | None:
    """The processor after the `attempts` that were made; None where all were tried."""
    left = candidates(payment)[payment.attempts :]
    return left[0] if left else None


def takes(processor: ProcessorName, method: MethodType) -> bool:
    """Whether a processor takes a payment method."""
    return method in CAPABILITIES[processor].methods


def needs_approval(payment: PaymentRow) -> bool:
    """Whether the payer must approve on the processor's own page before anything is authorized."""
    return CAPABILITIES[candidates(payment)[0]].payer_approves


@cache
def _by_capability(method: MethodType, brand: str | None) -> tuple[ProcessorName, ...]:
    able = [name for name in CAPABILITIES if takes(name, method)]
    return tuple(sorted(able, key=lambda name: brand not in CAPABILITIES[name].brands))
