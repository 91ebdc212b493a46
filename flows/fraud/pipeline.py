"""The stages one after the other, without the engine: for `sluice evaluate` and for tests."""

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, assert_never

from flows.fraud.daily_reviews import DailyReviews
from flows.fraud.inputs import Features, LabelInput, OutcomeInput, PaymentInput
from flows.fraud.keys import KEYS, IdOf, Input, KeyStage
from flows.fraud.one_hot import as_read, what_is_read
from flows.fraud.scoring import InstrumentStage, Item, ModelStage, ScoredPayment
from flows.fraud.settings import KEYS_MAX

UNTRAINED_SCORE = 0.5  # what a model without labels gives to everything


class ScoringPipeline:
    """All stages in one process, for items that come one after the other."""

    def __init__(self, keys_max: int, min_labels: int) -> None:
        self._instrument, self._model = InstrumentStage(keys_max), ModelStage(min_labels)
        keys = [(key, KeyStage(key, keys_max).shard) for key in KEYS]
        self._keys = [(key.of, shard.get) for key, shard in keys]
        self._learning = [(key.of, shard.get) for key, shard in keys if key.learns]

    def process(self, item: Item) -> bool:
        """True for a payment that is now scored; False for an outcome, a label and a repeat."""
        if not self._instrument.process(item):
            return False
        match item:
            case ScoredPayment():
                item.extend(*self._named(item.usable, self._keys))
            case OutcomeInput():
                for history in self._named(item, self._learning):
                    history.settle(item)
            case LabelInput():
                for history in self._named(item, self._learning):
                    history.learn(item)
            case _:
                assert_never(item)
        return self._model.process(item)

    def _named(self, item: Input | None, keys: Sequence[tuple[IdOf, Callable[[str], Any]]]) -> list[Any]:
        """The histories that an item names. Not asked by each stage: most payments do not name every key."""
        return [] if item is None else [get(id) for id_of, get in keys if (id := id_of(item))]


class AwaitedLabel(NamedTuple):
    """What the label of a payment will be made of: of its features only what the model reads, as a week waits."""

    payment: PaymentInput
    fraud: bool
    read: "array[float]"
    score: float

    def label(self) -> LabelInput:
        """The label."""
        return label_of(self.payment, self.fraud, as_read(self.read), self.score)


def score_prequentially(
    payments: Iterable[tuple[PaymentInput, bool]], label_delay_s: float, reviews_per_day: int = 0
) -> Iterator[tuple[ScoredPayment, float]]:
    """Each payment with its score, as the flow would have given it before the payment's label was known.

    `payments` are in order of time, each with whether it was fraud; its label is learned `label_delay_s` later.
    With `reviews_per_day` the labels of the highest scores of each day are learned when it is over. Each payment
    counts as paid. Raises `ValueError` for a payment that comes twice or cannot be scored.
    """
    pipeline, reviews = ScoringPipeline(KEYS_MAX, min_labels=0), DailyReviews(reviews_per_day)
    pending: deque[AwaitedLabel] = deque()
    for payment, fraud in payments:
        for told in reviews.labels_before(payment.at) if reviews_per_day else ():
            pipeline.process(told)
        while pending and pending[0].payment.at + label_delay_s <= payment.at:
            due = pending.popleft()
            if due.payment.payment_id not in reviews.told:
                pipeline.process(due.label())
        item = ScoredPayment(payment.payment_id, payment)
        if not pipeline.process(item) or item.fault is not None:
            raise ValueError(f"payment {payment.payment_id}: {item.fault or 'comes twice'}")
        # The flow reports no score before the first label; a ranking needs one.
        item.score = score = UNTRAINED_SCORE if item.score is None else item.score
        yield item, score
        payment.by_amount.clear()  # whoever gave the payments may keep all of them
        pipeline.process(outcome_of(payment, paid=True))
        pending.append(awaited := AwaitedLabel(payment, fraud, what_is_read(item.features), score))
        if reviews_per_day:
            reviews.add(awaited.label())


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
        device_hash=p.device_hash,
        network_id=p.network_id,
        domain_id=p.domain_id,
        eur_cents=p.eur_cents,
    )


def label_of(payment: PaymentInput, fraud: bool, features: Features, score: float) -> LabelInput:
    """The label of a payment that had these features and this score."""
    return LabelInput(
        payment.payment_id,
        payment.instrument_id,
        payment.merchant_id,
        payment.currency,
        fraud,
        payment.at,
        features,
        score,
        customer_id=payment.customer_id,
        address_id=payment.address_id,
        bin_id=payment.bin_id,
        device_hash=payment.device_hash,
        network_id=payment.network_id,
        domain_id=payment.domain_id,
    )
