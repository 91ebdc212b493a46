"""The flow's own features and model over a labelled list, in one process: scored first, learned when told."""

from collections import deque
from collections.abc import Iterable, Iterator

from flows.fraud.facts import Facts, Features, Lesson
from flows.fraud.instruments import Instrument
from flows.fraud.merchants import Merchant
from flows.fraud.model import Model
from flows.fraud.settings import KEYS_MAX
from flows.fraud.shelf import Shelf


class Line:
    """What the flow knows, and its steps in their order, for payments that come one after the other."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self.model = Model()
        self._instruments = Shelf(Instrument, keys_max)
        self._merchants = Shelf(Merchant, keys_max)

    def features(self, facts: Facts) -> Features:
        """The features of a payment, which is then part of the histories. Raises `ValueError` for a repeat."""
        features = self._instruments.take(facts.instrument).update(facts)
        if features is None:
            raise ValueError(f"{facts.payment} came twice")
        features.update(self._merchants.take(facts.merchant).update(facts, features))
        return features

    def learn(self, lesson: Lesson) -> None:
        """What a label changes: the card, the merchant, the model."""
        if self._instruments.take(lesson.instrument).learn(lesson):
            self._merchants.take(lesson.merchant).learn(lesson)
            self.model.learn(lesson)


def scores(payments: Iterable[tuple[Facts, bool]], delay: float) -> Iterator[tuple[Features, float]]:
    """Features and score of each payment, as the flow would have given them; labels come `delay` seconds later."""
    line = Line()
    waiting: deque[Lesson] = deque()
    for facts, fraud in payments:
        while waiting and waiting[0].at + delay <= facts.at:
            line.learn(waiting.popleft())
        features = line.features(facts)
        score = line.model.score(features, facts.currency)
        yield features, score
        waiting.append(
            Lesson(
                facts.payment, facts.instrument, facts.merchant, facts.currency, fraud, facts.at, features, score
            )
        )
