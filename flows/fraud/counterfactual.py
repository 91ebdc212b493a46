"""With which amount a payment that is held or blocked would have passed, by the state that it was judged by.

The stages leave on a payment what of its features depends on the amount (`ByAmount`), so those of another amount
are the very ones that the stages would have given. The score is a step function of the amount and need not fall
with it, so amounts just below a step are tried from above: of the nearest steps each, then of those between the
coarse bins. What lies between the first that passes and the one before it is halved.
"""

from collections.abc import Iterator
from heapq import nlargest
from math import ceil

import msgspec
import structlog

from flows.fraud.amounts import AmountScale
from flows.fraud.inputs import SMALL, PaymentInput
from flows.fraud.model import Model
from flows.fraud.one_hot import AMOUNT_COARSE, AMOUNT_FINE, EDGES
from flows.fraud.rules import Controls, decide
from flows.fraud.scoring import StreamedPayment
from schemas.controls import SCORE
from schemas.fraud import Counterfactual, Outcome

HELD: tuple[Outcome, ...] = ("review", "block")
COARSE = {1, 10, *(ceil(edge) - 1 for edge in AMOUNT_COARSE)}  # minor units, two to each doubling
FINE = [ceil(edge) - 1 for edge in AMOUNT_FINE]
NEAREST = 40  # steps that are tried each: they reach down to about a third of the amount

log = structlog.get_logger()


def judge(payment: StreamedPayment, model: Model, controls: Controls) -> None:
    """Decide about a payment that `model` has just scored, and say with which amount it would have passed."""
    payment.decision = decide(payment, controls)
    if payment.decision.outcome in HELD:
        payment.counterfactual = counterfactual(payment, model, controls)


def counterfactual(payment: StreamedPayment, model: Model, controls: Controls) -> Counterfactual | None:
    """An amount below that of a held payment with which it passes, and not with one minor unit more.

    None where no amount helps, or none is found. A mistake in here must not cost the verdict.
    """
    try:
        amount = _passing_amount(payment, model, controls)
    except Exception as error:
        log.error("counterfactual.failed", payment_id=payment.payment_id, error=type(error).__name__)
        return None
    return None if amount is None else Counterfactual(amount, payment.payment.currency)


def at_amount(payment: StreamedPayment, amount: int, model: Model) -> StreamedPayment:
    """A scored payment as it would have been with another amount, in minor units; in euro by its own ratio."""
    assert payment.input is not None
    cents = _euro_cents(payment.input, amount)
    changed = msgspec.structs.replace(payment.input, amount=amount, eur_cents=cents)
    features = payment.features | {"amount": float(amount)}
    for part in changed.by_amount:
        features |= part.features(changed, features)
    return msgspec.structs.replace(
        payment,
        input=changed,
        payment=msgspec.structs.replace(payment.payment, amount=amount, amount_eur_cents=cents),
        features=features,
        score=None if payment.score is None else model.score(features, changed.currency),
    )


def _passing_amount(payment: StreamedPayment, model: Model, controls: Controls) -> int | None:
    if payment.usable is None or _is_held_anyway(payment, payment.usable, controls):
        return None

    def passes(amount: int) -> bool:
        return decide(at_amount(payment, amount, model), controls).outcome not in HELD

    held = payment.usable.amount
    for amount in _tried_below(payment.usable):
        if passes(amount):
            while held - amount > 1:
                middle = (amount + held) // 2
                amount, held = (middle, held) if passes(middle) else (amount, middle)
            return amount
        held = amount
    return None


def _tried_below(payment: PaymentInput) -> list[int]:
    """Amounts to try, from above."""
    steps = {
        ceil(step) - 1 for part in payment.by_amount if isinstance(part, AmountScale) for step in _steps(part)
    }
    nearest = nlargest(NEAREST, (amount for amount in steps.union(FINE) if amount < payment.amount))
    tried = COARSE.union(nearest, [SMALL * payment.unit - 1])
    return sorted((amount for amount in tried if 0 < amount < payment.amount), reverse=True)


def _steps(scale: AmountScale) -> Iterator[float]:
    """The amounts from which on the model has one of its features in another bin."""
    for name, measure in (
        ("amount_to_mean", scale.mean),
        ("amount_to_largest", scale.largest),
        ("amount_to_month", scale.month),
    ):
        yield from (edge * measure - 1 for edge in EDGES[name])
    yield from (scale.middle + edge * scale.spread for edge in EDGES["amount_z"])


def _is_held_anyway(payment: StreamedPayment, usable: PaymentInput, controls: Controls) -> bool:
    """Whether a list, or a rule that reads nothing that depends on the amount, holds it."""
    if payment.decision is not None and payment.decision.listed:
        return True
    depending = {SCORE, "amount", "amount_eur"}.union(
        *(part.features(usable, payment.features) for part in usable.by_amount)
    )
    return any(rule.outcome in HELD and not rule.names & depending for rule in controls.met_by(payment).live)


def _euro_cents(payment: PaymentInput, amount: int) -> int | None:
    """The gateway rounds up, too."""
    if payment.eur_cents is None:
        return None
    return -(-payment.eur_cents * amount // payment.amount)
