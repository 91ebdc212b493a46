"""Scoring a payment in three stages: features of its instrument, features of its merchant, the model's score.

The dataflow runs each stage as a keyed operator (`operators.py`); `sluice evaluate` runs the same stages one
after the other (`ScoringPipeline`). A label passes through the same stages and is learned by each. There is no
engine, no Kafka and no clock in here.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
import structlog

from flows.fraud.inputs import Features, LabelInput, PaymentInput
from flows.fraud.instruments import Instrument
from flows.fraud.key_shard import KeyShard
from flows.fraud.merchants import Merchant
from flows.fraud.model import Model, ModelParameters
from flows.fraud.settings import KEYS_MAX
from schemas.payments import Payment

SUSPICIOUS = 0.1  # from this score on the features that drive it are reported
UNTRAINED_SCORE = 0.5  # what a model without labels gives to everything

ScoringFault = Literal["scoring_error", "occurred_at_ahead"]

log = structlog.get_logger()


class ScoredPayment(msgspec.Struct):
    """A payment and what the stages have found out about it.

    `input` is None where the payment's own fields are unusable. `fault` says why there is no score; a payment with
    a fault is never allowed. `live`: the model has learned enough labels to decide. `model` is its version, and
    `drivers` the features that contribute most to a suspicious score.
    """

    payment_id: str
    input: PaymentInput | None
    features: Features = {}
    score: float | None = None
    fault: ScoringFault | None = None
    live: bool = False
    model: str = ""
    drivers: list[str] = []

    def fail(self, error: Exception) -> None:
        """Mark the payment as one that could not be scored."""
        self.fault, self.score = "scoring_error", None
        log.error("scoring.failed", payment_id=self.payment_id, error=type(error).__name__)


class StreamedPayment(ScoredPayment, kw_only=True):
    """A payment of the stream, with the event it came in.

    `partition` and `offset` say where in `payments.v1` that event is; `sequence` counts the verdicts of the flow.
    """

    event_id: str
    traceparent: str | None
    payment: Payment
    recorded_at: datetime
    partition: int
    offset: int
    sequence: int = 0

    @property
    def instrument_id(self) -> str:
        """The card or payer that pays."""
        return self.payment.stream_key

    @property
    def merchant_id(self) -> str:
        """The merchant that sells."""
        return self.payment.merchant


Item: TypeAlias = ScoredPayment | LabelInput


class InstrumentStage:
    """Adds the features of the instrument, and drops payments and labels that were processed before."""

    def __init__(self, keys_max: int, instruments: dict[str, Instrument] | None = None) -> None:
        self.shard = KeyShard(Instrument, keys_max, instruments)

    def process(self, item: Item) -> bool:
        """Update the instrument's history. False where `item` is a repeat, which no later stage may see."""
        if isinstance(item, LabelInput):
            return self.shard.get(item.instrument_id).learn(item)
        if item.input is None:
            return True
        try:
            features = self.shard.get(item.input.instrument_id).update(item.input)
        except Exception as error:  # whatever it is, the payment must not go unscored without a fault
            item.fail(error)
            return True
        item.features = features or {}
        return features is not None


class MerchantStage:
    """Adds the features of the merchant."""

    def __init__(self, keys_max: int, merchants: dict[str, Merchant] | None = None) -> None:
        self.shard = KeyShard(Merchant, keys_max, merchants)

    def process(self, item: Item) -> bool:
        """Update the merchant's history. Always True: every item goes on to the model."""
        if isinstance(item, LabelInput):
            self.shard.get(item.merchant_id).learn(item)
        elif item.fault is None and item.input is not None:
            try:
                item.features |= self.shard.get(item.input.merchant_id).update(item.input, item.features)
            except Exception as error:
                item.fail(error)
        return True


class ModelStage:
    """Scores payments and learns labels. With fewer than `min_labels` learned, the score is not `live`."""

    def __init__(self, min_labels: int, parameters: ModelParameters | None = None) -> None:
        self._min_labels = min_labels
        self.model = Model(parameters)

    def process(self, item: Item) -> bool:
        """Score a payment, or learn a label. False for a label: it ends here."""
        if isinstance(item, LabelInput):
            self.model.learn(item)
            return False
        self._score(item)
        return True

    def _score(self, item: ScoredPayment) -> None:
        item.model, item.live = self.model.version, self.model.labels >= self._min_labels
        if item.fault is not None or item.input is None or not self.model.labels:
            return
        currency = item.input.currency
        try:
            item.score = self.model.score(item.features, currency)
            if item.live and item.score >= SUSPICIOUS:
                item.drivers = self.model.drivers(item.features, currency)
        except Exception as error:
            item.fail(error)


class ScoringPipeline:
    """The three stages in one process, for items that come one after the other."""

    def __init__(self, keys_max: int, min_labels: int) -> None:
        self._instruments = InstrumentStage(keys_max)
        self._merchants = MerchantStage(keys_max)
        self._model = ModelStage(min_labels)

    def process(self, item: Item) -> bool:
        """True for a payment that is now scored; False for a label and for a repeat."""
        return self._instruments.process(item) and self._merchants.process(item) and self._model.process(item)


def score_prequentially(
    payments: Iterable[tuple[PaymentInput, bool]], label_delay_s: float
) -> Iterator[tuple[ScoredPayment, float]]:
    """Each payment with its score, as the flow would have given it before the payment's label was known.

    `payments` are in order of time, each with whether it was fraud; its label is learned `label_delay_s` later.
    Raises `ValueError` for a payment that comes twice or cannot be scored.
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
        pending.append(_label_of(payment, fraud, item.features, score))


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
