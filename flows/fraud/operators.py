"""The stages of `scoring.py` as keyed operators of the dataflow: batches in, batches out, state as bytes.

State is MessagePack: small, exact, and decoded without running code from it. It is part of the recovery store: a
flow resumes from what an earlier release wrote, so the order of the fields of the histories and of `Tally` and the
names of the fields of `ModelState` and `ModelParameters` stay as they are.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from flows.fraud.counterfactual import judge
from flows.fraud.inputs import LabelInput
from flows.fraud.instruments import Instrument
from flows.fraud.intake import StreamItem, Untold
from flows.fraud.key_shard import SHARDS, KeyShard
from flows.fraud.keys import Key, KeyStage
from flows.fraud.model import ModelParameters
from flows.fraud.quality import Quality, Tally
from flows.fraud.rules import Controls
from flows.fraud.scoring import InstrumentStage, Item, ModelStage, StreamedPayment
from flows.fraud.settings import FraudSettings
from flows.fraud.watch import FoundAlert, LabelWatch, WatchedShare

Snapshot = bytes | None  # None: the key is new

REPORT_EVERY = 1_000  # labels

log = structlog.get_logger()

_encoder = msgspec.msgpack.Encoder()

History = TypeVar("History")
Taken = TypeVar("Taken")


class HistoryStage(Protocol):
    """A stage that keeps a shard of histories."""

    shard: KeyShard[Any]

    def process(self, item: Item) -> bool:
        """Update a history. False where no later stage may see the item."""


class Operator(Protocol[Taken]):
    """One key's state and what it does to a batch of items of that key."""

    def process(self, items: list[Taken]) -> Sequence[Any]:
        """Process a batch. Returns the items passed downstream."""

    def snapshot(self) -> bytes:
        """The state to resume from."""


class HistoryOperator:
    """One shard of histories of one `kind`."""

    def __init__(
        self,
        make_stage: Callable[[int, Any], HistoryStage],
        kind: type[Any],
        settings: FraudSettings,
        snapshot: Snapshot = None,
    ) -> None:
        self._stage = make_stage(_shard_size(settings), _histories(kind, snapshot))

    def process(self, items: list[StreamItem]) -> list[StreamItem]:
        """Process a batch. Returns all of it, as later steps keep the order by it: payments have their features,
        and repeats are marked as dropped.
        """
        for item in items:
            item.dropped = item.dropped or not self._stage.process(item)
        return items

    def snapshot(self) -> bytes:
        """The state to resume from."""
        return _encoder.encode(self._stage.shard.histories)


InstrumentOperator = partial(HistoryOperator, InstrumentStage, Instrument)


def key_operator(key: Key) -> partial[HistoryOperator]:
    """What makes the operator of a shard of one key."""
    return partial(HistoryOperator, partial(KeyStage, key), key.history)


class ModelState(msgspec.Struct):
    """The state of the model operator. Under a megabyte with 70 currencies: each has a fixed set of bins."""

    learned: ModelParameters
    tally: Tally
    sequence: int
    untold: Untold = msgspec.field(default_factory=Untold)
    watched: dict[str, WatchedShare] = {}


class ModelOperator:
    """The model, the quality of its scores, what labels say against them, and the number of verdicts.

    `controls` decide here: what would have passed is known only by the model as it is at that moment.
    """

    def __init__(
        self, settings: FraudSettings, snapshot: Snapshot = None, controls: Controls | None = None
    ) -> None:
        state = _decode_model(snapshot) if snapshot else ModelState(ModelParameters(), Tally(), 0)
        self._stage = ModelStage(settings.fraud_min_labels, state.learned)
        self._quality, self._sequence, self._untold = Quality(state.tally), state.sequence, state.untold
        self._watch, self._controls = LabelWatch(state.watched), controls

    def process(self, items: list[StreamItem]) -> list[StreamedPayment | FoundAlert]:
        """Process a batch. Returns its payments, scored and numbered, and the alerts that its labels raise."""
        found: list[StreamedPayment | FoundAlert] = []
        for item in items:
            if item.dropped:
                self._leave_out(item)
                continue
            self._stage.process(item)
            if isinstance(item, LabelInput):
                self._measure(item)
                found += self._watch.update(item)
            elif isinstance(item, StreamedPayment):
                found.append(self._number(item))
        return found

    def _leave_out(self, repeat: StreamItem) -> None:
        if isinstance(repeat, StreamedPayment):
            self._untold.add(repeat)

    def _number(self, payment: StreamedPayment) -> StreamedPayment:
        self._sequence += 1
        payment.sequence = self._sequence
        self._untold.tell_with(payment)
        if self._controls is not None:
            judge(payment, self._stage.model, self._controls)
        return payment

    def snapshot(self) -> bytes:
        """The state to resume from."""
        learned = self._stage.model.parameters()
        return _encoder.encode(
            ModelState(learned, self._quality.tally, self._sequence, self._untold, self._watch.shares)
        )

    def _measure(self, label: LabelInput) -> None:
        self._quality.update(label.score, label.fraud)
        if self._quality.tally.labels % REPORT_EVERY == 0:
            log.info("quality.measured", model=self._stage.model.version, **self._quality.figures())


def _decode_model(snapshot: bytes) -> ModelState:
    return msgspec.msgpack.decode(snapshot, type=ModelState)


def _histories(kind: type[History], snapshot: Snapshot) -> dict[str, History] | None:
    return msgspec.msgpack.decode(snapshot, type=dict[str, kind]) if snapshot else None  # type: ignore[valid-type]


def _shard_size(settings: FraudSettings) -> int:
    """How many keys one shard may hold, so that all shards together hold `fraud_keys_max`."""
    return -(-settings.fraud_keys_max // SHARDS)
