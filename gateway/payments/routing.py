"""Which processor takes a payment: the one its client named, else those that take its method, by capability."""

from collections.abc import Iterable, Set
from functools import cache
from typing import Literal

from connectors.processors.registry import CAPABILITIES
from gateway.books.payments import PaymentRow
from gateway.refusals import FieldError, Refusal
from schemas.payments import MethodType, ProcessorName

STOPPED_RETRY_S = 60  # a stop is lifted by a person, within minutes

NO_PROCESSOR = "No processor that this payment could go to takes new ones at the moment."

# Why a processor was asked: see `routing_reason`.
RoutingReason = Literal["named", "first_choice", "first_choice_stopped", "failover"]


class SalesStopped(Refusal):
    """New payments are not taken: of this merchant, by any processor left, or at all."""


def candidates(payment: PaymentRow) -> tuple[ProcessorName, ...]:
    """The processors to try in order; one that a client named never fails over.

    First who takes each amount of the currency, so that any part can be captured and given back. Who does not take
    this one is passed over; where nobody does, all are asked for their own no.
    """
    if payment.wanted_processor:
        return (payment.wanted_processor,)
    able = _by_capability(payment.method, payment.brand, payment.currency)
    asked = tuple(name for name, step in able if payment.amount % step == 0)
    return asked or tuple(able_to(payment.method))


def next_processor(payment: PaymentRow, stopped: Set[str]) -> ProcessorName | None:
    """The first processor after the one tried last that is not `stopped`; None where none is left."""
    order = candidates(payment)
    tried = order.index(payment.processor) + 1 if payment.processor in order else 0
    return next((name for name in order[tried:] if name not in stopped), None)


def first_processor(payment: PaymentRow, stopped: Set[str]) -> ProcessorName:
    """The processor to ask first. Raises `SalesStopped` where each, or the one that was named, is stopped."""
    found = next_processor(payment, stopped)
    if found is None:
        raise SalesStopped(NO_PROCESSOR, STOPPED_RETRY_S)
    return found


def routing_reason(payment: PaymentRow, processor: ProcessorName, attempt: int) -> RoutingReason:
    """Why a processor was asked at an attempt (they count from 1)."""
    if payment.wanted_processor:
        return "named"
    if attempt > 1:
        return "failover"
    return "first_choice" if processor == candidates(payment)[0] else "first_choice_stopped"


def able_to(method: MethodType) -> list[ProcessorName]:
    """The processors that take a payment method."""
    return [name for name in CAPABILITIES if takes(name, method)]


def takes(processor: ProcessorName, method: MethodType) -> bool:
    """Whether a processor takes a payment method."""
    return method in CAPABILITIES[processor].methods


def amount_error(names: Iterable[ProcessorName], amount: int, currency: str) -> FieldError | None:
    """Why none of these processors takes an amount (minor units); None where one does.

    Raises `UnknownCurrency`.
    """
    steps = [step for name in names if (step := CAPABILITIES[name].step(currency)) is not None]
    if not steps:
        return FieldError("$.currency", "No processor takes this payment method in this currency.")
    if any(amount % step == 0 for step in steps):
        return None
    return too_fine(min(steps))


def too_fine(step: int) -> FieldError:
    """The error of an amount that is no multiple of `step` minor units."""
    return FieldError("$.amount", f"Of this currency only multiples of {step} minor units are taken here.")


def needs_approval(payment: PaymentRow) -> bool:
    """Whether the payer must approve on the processor's own page before anything is authorized."""
    return CAPABILITIES[candidates(payment)[0]].payer_approves


@cache
def _by_capability(method: MethodType, brand: str | None, currency: str) -> tuple[tuple[ProcessorName, int], ...]:
    """The processors that take the currency, each with the step of its amounts (minor units)."""
    able = [(name, step) for name in able_to(method) if (step := CAPABILITIES[name].step(currency)) is not None]
    return tuple(sorted(able, key=lambda pair: (pair[1], brand not in CAPABILITIES[pair[0]].brands)))
