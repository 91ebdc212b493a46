"""Scoring a payment in stages: features of its instrument, of every other key (`keys.py`), then the model's score.

The dataflow runs each stage as a keyed operator (`operators.py`); `sluice evaluate` runs the same stages one
after the other (`pipeline.py`). What became of a payment, and a label, pass through the same stages and are
learned by each. There is no engine, no Kafka and no clock in here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, assert_never

import msgspec
import structlog

from flows.fraud.customers import CUSTOMER_FEATURES
from flows.fraud.decisions import RiskDecision
from flows.fraud.inputs import ByAmount, Features, LabelInput, OutcomeInput, PaymentInput
from flows.fraud.instruments import Instrument
from flows.fraud.key_shard import KeyShard
from flows.fraud.model import Model, ModelParameters
from flows.fraud.route import NOWHERE, Route
from schemas.fraud import Counterfactual, Intake
from schemas.payments import Payment

SUSPICIOUS = 0.1  # from this score on the features that drive it are reported
# What later stages say of a payment without customer, address or BIN.
UNSUSPECTED: Features = CUSTOMER_FEATURES | {"address_pressure": 0.0, "bin_pressure": 0.0}

ScoringFault = Literal["scoring_error", "occurred_at_ahead"]

log = structlog.get_logger()

_packer = msgspec.msgpack.Encoder()


class Contributing(Protocol):
    """A history that adds features to those that a payment has."""

    def update(self, payment: PaymentInput, features: Features) -> object:
        """Add a payment. Its features, by what came before, are written to `features`."""


History = TypeVar("History")


class ScoredPayment(msgspec.Struct):
    """A payment and what the stages have found out about it.

    `input` is None where the payment's own fields are unusable. `fault` says why there is no score; a payment with
    a fault is never allowed. `repeated`: it may have been counted before, so it is judged and not counted.
    `live`: the model has learned enough labels to decide. `model` is its version, and `drivers` the features that
    contribute most to a suspicious score.
    """

    payment_id: str
    input: PaymentInput | None
    features: Features = {}
    score: float | None = None
    fault: ScoringFault | None = None
    repeated: bool = False
    live: bool = False
    model: str = ""
    drivers: list[str] = []

    @property
    def usable(self) -> PaymentInput | None:
        """The input of the features; None where the payment has a fault."""
        return self.input if self.fault is None else None

    def extend(self, *histories: Contributing) -> None:
        """Add the features of histories, and the payment, unless it has a fault. What goes wrong here is one."""
        payment, features = self.input, self.features
        if payment is None or self.fault is not None:
            return
        try:
            for history in histories:
                self.counting(history).update(payment, features)
        except Exception as error:
            self.fail(error)

    def counting(self, history: History) -> History:
        """The history that the payment is added to: a copy that is thrown away where it may be there already."""
        return deepcopy(history) if self.repeated else history

    def fail(self, error: Exception) -> None:
        """Mark the payment as one that could not be scored."""
        self.fault, self.score = "scoring_error", None
        log.error("scoring.failed", payment_id=self.payment_id, error=type(error).__name__)


class StreamedPayment(ScoredPayment, kw_only=True):
    """A payment of the stream, with the event it came in.

    `partition` and `offset` say where in `payments.v1` that event is; `sequence` counts the verdicts of the flow,
    `position` all that it takes in; `route` is its way through the steps, and `intake` tells what came before.
    `dropped`: a repeat, without a verdict. `decision` and `counterfactual` (of one that is held) are null until
    the model has scored it.
    """

    event_id: str
    traceparent: str | None
    payment: Payment
    recorded_at: datetime
    partition: int
    offset: int
    sequence: int = 0
    position: int = 0
    route: Route = NOWHERE
    intake: Intake | None = None
    dropped: bool = False
    decision: RiskDecision | None = None
    counterfactual: Counterfactual | None = None

    @property
    def instrument_id(self) -> str:
        """The card or payer that pays."""
        return self.payment.stream_key

    @property
    def merchant_id(self) -> str:
        """The merchant that sells."""
        return self.payment.merchant

    def __reduce__(self) -> Any:
        """For the way to a worker of another process: pickled field by field it costs five times as much."""
        try:
            with _without_scales(self.input) as scales:
                return _unpacked, (_packer.encode(self), scales)
        except OverflowError:  # a number of a payment that will be refused
            return super().__reduce__()


@contextmanager
def _without_scales(given: PaymentInput | None) -> Iterator[list[ByAmount]]:
    """The input without `by_amount`, which has parts of several types."""
    if given is None:
        yield []
        return
    scales, given.by_amount = given.by_amount, []
    try:
        yield scales
    finally:
        given.by_amount = scales


def _unpacked(packed: bytes, scales: list[ByAmount]) -> StreamedPayment:
    item = msgspec.msgpack.decode(packed, type=StreamedPayment)
    if item.input is not None:
        item.input.by_amount = scales
    return item


Item: TypeAlias = ScoredPayment | OutcomeInput | LabelInput


class InstrumentStage:
    """Adds the features of the instrument, and drops what was processed before."""

    def __init__(self, keys_max: int, instruments: dict[str, Instrument] | None = None) -> None:
        self.shard = KeyShard(Instrument, keys_max, instruments)

    def process(self, item: Item) -> bool:
        """Update the instrument's history. False where `item` is a repeat, which no later stage may see."""
        match item:
            case LabelInput():
                return self.shard.get(item.instrument_id).learn(item)
            case OutcomeInput():
                return self.shard.get(item.instrument_id).settle(item)
            case ScoredPayment():
                return self._add(item)
            case _:
                assert_never(item)

    def _add(self, item: ScoredPayment) -> bool:
        if item.input is None:
            return True
        try:
            instrument = self.shard.get(item.input.instrument_id)
            item.repeated = instrument.counted.may_include(item.input.event_id)
            features = item.counting(instrument).update(item.input)
        except Exception as error:  # whatever it is, the payment must not go unscored without a fault
            item.fail(error)
            return True
        if features is None:
            return False
        features.update(UNSUSPECTED)
        item.features = features
        return True


class ModelStage:
    """Scores payments and learns labels. With fewer than `min_labels` learned, the score is not `live`."""

    def __init__(self, min_labels: int, parameters: ModelParameters | None = None) -> None:
        self._min_labels = min_labels
        self.model = Model(parameters)

    def process(self, item: Item) -> bool:
        """Score a payment, or learn a label. False for a label and an outcome: they end here."""
        match item:
            case LabelInput():
                self.model.learn(item)
            case ScoredPayment():
                self._score(item)
        return isinstance(item, ScoredPayment)

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
