"""The three steps everything walks through: the instrument's features, the merchant's, the model.

Payments get something added, labels teach something, and both walk on. Each step keeps its state as MessagePack:
small, exact, and read back without running any code.
"""

from typing import TypeAlias

import msgspec
import structlog

from flows.fraud.facts import Lesson, ahead, facts_of
from flows.fraud.inflight import AHEAD, SCORING_ERROR, InFlight
from flows.fraud.instruments import Instrument
from flows.fraud.merchants import Merchant
from flows.fraud.model import Learned, Model
from flows.fraud.quality import Quality, Tally
from flows.fraud.settings import FraudSettings
from flows.fraud.shelf import SHELVES, Shelf
from schemas.money import UnknownCurrency, unit

Item: TypeAlias = InFlight | Lesson

REPORT_EVERY = 1_000  # labels
SUSPICIOUS = 0.1  # from this score on it is worth saying why

log = structlog.get_logger()

_encoder = msgspec.msgpack.Encoder()
_instruments = msgspec.msgpack.Decoder(dict[str, Instrument])
_merchants = msgspec.msgpack.Decoder(dict[str, Merchant])


class InstrumentStep:
    """One shelf of instruments. A payment or a label that comes again ends here."""

    def __init__(self, settings: FraudSettings, kept: bytes | None = None) -> None:
        items = _instruments.decode(kept) if kept else None
        self._shelf = Shelf(Instrument, _most(settings), items)

    def walk(self, items: list[Item]) -> list[Item]:
        """Those that are new, the payments with their instrument's features."""
        return [item for item in items if self._learn(item) or self._look(item)]

    def keep(self) -> bytes:
        """The state to go on from."""
        return _encoder.encode(self._shelf.items)

    def _learn(self, item: Item) -> bool:
        return isinstance(item, Lesson) and self._shelf.take(item.instrument).learn(item)

    def _look(self, item: Item) -> bool:
        if isinstance(item, Lesson):
            return False
        try:
            if ahead(item.payment.occurred_at, item.recorded_at):
                item.fault = AHEAD
                return True
            item.facts = facts_of(item.payment, _unit(item.payment.currency))
            features = self._shelf.take(item.instrument).update(item.facts)
            item.features = features or {}
        except Exception as error:  # whatever it is, the payment must not go through unjudged
            _fail(item, error)
            return True
        return features is not None


class MerchantStep:
    """One shelf of merchants."""

    def __init__(self, settings: FraudSettings, kept: bytes | None = None) -> None:
        items = _merchants.decode(kept) if kept else None
        self._shelf = Shelf(Merchant, _most(settings), items)

    def walk(self, items: list[Item]) -> list[Item]:
        """All of them, the payments with their merchant's features."""
        for item in items:
            if isinstance(item, Lesson):
                self._shelf.take(item.merchant).learn(item)
            else:
                self._look(item)
        return items

    def keep(self) -> bytes:
        """The state to go on from."""
        return _encoder.encode(self._shelf.items)

    def _look(self, item: InFlight) -> None:
        if item.fault is not None or item.facts is None:
            return
        try:
            item.features |= self._shelf.take(item.merchant).update(item.facts, item.features)
        except Exception as error:
            _fail(item, error)


class Mind(msgspec.Struct):
    """What the model step keeps: under a megabyte with 70 currencies, since the bins are a fixed set for each."""

    learned: Learned
    tally: Tally
    sequence: int


class ModelStep:
    """The model, its quality and the number of verdicts."""

    def __init__(self, settings: FraudSettings, kept: bytes | None = None) -> None:
        mind = msgspec.msgpack.decode(kept, type=Mind) if kept else Mind(Learned(), Tally(), 0)
        self._min_labels = settings.fraud_min_labels
        self._model, self._quality = Model(mind.learned), Quality(mind.tally)
        self._sequence = mind.sequence

    def walk(self, items: list[Item]) -> list[InFlight]:
        """The payments, judged as far as the model can; labels end here."""
        judged = []
        for item in items:
            if isinstance(item, Lesson):
                self._learn(item)
            else:
                self._score(item)
                judged.append(item)
        return judged

    def keep(self) -> bytes:
        """The state to go on from."""
        return _encoder.encode(Mind(self._model.learned(), self._quality.tally, self._sequence))

    def _learn(self, lesson: Lesson) -> None:
        self._quality.update(lesson.score, lesson.fraud)
        self._model.learn(lesson)
        if self._quality.tally.labels % REPORT_EVERY == 0:
            log.info("quality", model=self._model.version, **self._quality.figures())

    def _score(self, item: InFlight) -> None:
        self._sequence += 1
        item.sequence, item.model = self._sequence, self._model.version
        item.live = self._model.labels >= self._min_labels
        if item.fault is not None or not self._model.labels:
            return
        try:
            item.score = self._model.score(item.features, item.payment.currency)
            if item.live and item.score >= SUSPICIOUS:
                item.drivers = self._model.drivers(item.features, item.payment.currency)
        except Exception as error:
            _fail(item, error)


def _fail(item: InFlight, error: Exception) -> None:
    item.fault, item.score = SCORING_ERROR, None
    log.error("scoring_error", payment=item.payment.id, error=type(error).__name__)


def _most(settings: FraudSettings) -> int:
    return -(-settings.fraud_keys_max // SHELVES)


def _unit(currency: str) -> int:
    try:
        return unit(currency)
    except UnknownCurrency:
        return 1
