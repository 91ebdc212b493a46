"""The stages one after the other, without the engine: for `sluice evaluate` and for tests."""

from collections import deque
from collections.abc import Iterable, Iterator

from flows.fraud.inputs import Features, LabelInput, OutcomeInput, PaymentInput
from flows.fraud.scoring import (
    AddressStage,
    BinStage,
    CustomerStage,
    InstrumentStage,
    Item,
    MerchantStage,
    ModelStage,
    ScoredPayment,
)
from flows.fraud.settings import KEYS_MAX

UNTRAINED_SCORE = 0.5  # what a model without labels gives to everything


class ScoringPipeline:
    """All stages in one process, for items that come one after the other."""

    def __init__(self, keys_max: int, min_labels: int) -> None:
        stages = (
            InstrumentStage(keys_max),
            CustomerStage(keys_max),
            AddressStage(keys_max),
            BinStage(keys_max),
            MerchantStage(keys_max),
            ModelStage(min_labels),
        )
        self._steps = [stage.process for stage in stages]

    def process(self, item: Item) -> bool:
        """True for a payment that is now scored; False for an outcome, a label and a repeat."""
        for step in self._steps:  # noqa: SIM110 - a generator in `all` takes 2 µs more per payment
            if not step(item):
                return False
        return True


def score_prequentially(
    payments: Iterable[tuple[PaymentInput, bool]], label_delay_s: float
) -> Iterator[tuple[ScoredPayment, float]]:
    """Each payment with its score, as the flow would have given it before the payment's label was known.

    `payments` are in order of time, each with whether it was fraud; its label is learned `label_delay_s` later.
    Each counts as paid. Raises `ValueError` for a payment that comes twice or cannot be scored.
    """
    pipeline = ScoringPipeline(KEYS_MAX, min_labels=0)
    pending: deque[LabelInput] = deque()
    for payment, fraud in payments:
        while pending and pending[0].at + label_delay_s <= payment.at:
            pipeline.process(pending.popleft())
        item = ScoredPayment(payment.payment_id, payment)
        if not pipeline.process(item) or item.fault is not None:
            raise ValueError(f"payment {payment.payment_id}: {item.fault or 'comes twice'}")
        # The flow reports no score before the first label; a ranking needs one.
        item.score = score = UNTRAINED_SCORE if item.score is None else item.score
        yield item, score
        pipeline.process(outcome_of(payment, paid=True))
        pending.append(_label_of(payment, fraud, item.features, score))


def outcome_of(payment: PaymentInput, paid: bool) -> OutcomeInput:
    """What became of a payment: it was paid, or its issuer declined it."""
    p = payment
    return OutcomeInput(
        p.payment_id,
        p.instrument_id,
        p.merchant_id,
        p.customer_id,
        p.address_id,
        p.bin_id,
        p.amount,
        p.currency,
        paid,
        p.at,
    )


def _label_of(payment: PaymentInput, fraud: bool, features: Features, score: float) -> LabelInput:
    return LabelInput(
        payment.payment_id,
        payment.instrument_id,
        payment.merchant_id,
        payment.currency,
        fraud,
        payment.at,
        features,
        score,
    )
