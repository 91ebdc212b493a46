"""The stages of `scoring.py` as keyed operators of the dataflow: batches in, batches out, state as bytes.

State is MessagePack: small, exact, and decoded without running code from it. It is part of the recovery store: a
flow resumes from what an earlier release wrote, so the order of the fields of `Instrument`, `Merchant` and `Tally`
and the names of the fields of `ModelState` and `ModelParameters` stay as they are.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec
import structlog

from flows.fraud.inputs import LabelInput
from flows.fraud.instruments import Instrument
from flows.fraud.key_shard import SHARDS
from flows.fraud.merchants import Merchant
from flows.fraud.model import ModelParameters
from flows.fraud.quality import Quality, Tally
from flows.fraud.scoring import InstrumentStage, MerchantStage, ModelStage, StreamedPayment
from flows.fraud.settings import FraudSettings

StreamItem: TypeAlias = StreamedPayment | LabelInput
Snapshot = bytes | None  # None: the key is new

REPORT_EVERY = 1_000  # labels

log = structlog.get_logger()

_encoder = msgspec.msgpack.Encoder()
_instruments = msgspec.msgpack.Decoder(dict[str, Instrument])
_merchants = msgspec.msgpack.Decoder(dict[str, Merchant])


class Operator(Protocol):
    """One key's state and what it does to a batch of items of that key."""

    def process(self, items: list[StreamItem]) -> Sequence[StreamItem]:
        """Process a batch. Returns the items passed downstream."""

    def snapshot(self) -> bytes:
        """The state to resume from."""


class InstrumentOperator:
    """One shard of instruments."""

    def __init__(self, settings: FraudSettings, snapshot: Snapshot = None) -> None:
        instruments = _instruments.decode(snapshot) if snapshot else None
        self._stage = InstrumentStage(_shard_size(settings), instruments)

    def process(self, items: list[StreamItem]) -> list[StreamItem]:
        """Process a batch. Returns the items that are no repeats, payments with their instrument's features."""
        return [item for item in items if self._stage.process(item)]

    def snapshot(self) -> bytes:
        """The state to resume from."""
        return _encoder.encode(self._stage.shard.histories)


class MerchantOperator:
    """One shard of merchants."""

    def __init__(self, settings: FraudSettings, snapshot: Snapshot = None) -> None:
        merchants = _merchants.decode(snapshot) if snapshot else None
        self._stage = MerchantStage(_shard_size(settings), merchants)

    def process(self, items: list[StreamItem]) -> list[StreamItem]:
        """Process a batch. Returns all items, payments with their merchant's features added."""
        return [item for item in items if self._stage.process(item)]

    def snapshot(self) -> bytes:
        """The state to resume from."""
        return _encoder.encode(self._stage.shard.histories)


class ModelState(msgspec.Struct):
    """The state of the model operator. Under a megabyte with 70 currencies: each has a fixed set of bins."""

    learned: ModelParameters
    tally: Tally
    sequence: int


class ModelOperator:
    """The model, the quality of its scores and the number of verdicts."""

    def __init__(self, settings: FraudSettings, snapshot: Snapshot = None) -> None:
        state = _decode_model(snapshot) if snapshot else ModelState(ModelParameters(), Tally(), 0)
        self._stage = ModelStage(settings.fraud_min_labels, state.learned)
        self._quality, self._sequence = Quality(state.tally), state.sequence

    def process(self, items: list[StreamItem]) -> list[StreamedPayment]:
        """Process a batch. Returns its payments, scored and numbered; labels end here."""
        scored: list[StreamedPayment] = []
        for item in items:
            self._stage.process(item)
            if isinstance(item, LabelInput):
                self._measure(item)
            else:
                self._sequence += 1
                item.sequence = self._sequence
                scored.append(item)
        return scored

    def snapshot(self) -> bytes:
        """The state to resume from."""
        return _encoder.encode(ModelState(self._stage.model.parameters(), self._quality.tally, self._sequence))

    def _measure(self, label: LabelInput) -> None:
        self._quality.update(label.score, label.fraud)
        if self._quality.tally.labels % REPORT_EVERY == 0:
            log.info("quality.measured", model=self._stage.model.version, **self._quality.figures())


def _decode_model(snapshot: bytes) -> ModelState:
    return msgspec.msgpack.decode(snapshot, type=ModelState)


def _shard_size(settings: FraudSettings) -> int:
    """How many keys one shard may hold, so that all shards together hold `fraud_keys_max`."""
    return -(-settings.fraud_keys_max // SHARDS)
