"""The model: river's logistic regression over one-hot bins. It scores first and learns when the label arrives."""

import hashlib
from collections import defaultdict
from math import isfinite, sqrt
from typing import Any

import msgspec
from river import linear_model
from river.utils import VectorDict

from flows.fraud.bins import RECIPE, one_hot
from flows.fraud.facts import Features, Lesson

RATE = 0.25  # of AdaGrad; 0.2 to 0.35 rank the same on the public benchmark
EPSILON = 1e-8  # of AdaGrad, river's own
INTERCEPT_RATE = 0.01  # river's own


class Unscored(ValueError):
    """The features cannot be scored: there is no number that would mean anything."""


class Learned(msgspec.Struct):
    """All that the model knows: bin → weight and sum of squared gradients, and from which labels it came.

    `chain` runs over the ids of the labels in the order they were learned: the same chain means the same model.
    """

    recipe: str = RECIPE
    labels: int = 0
    chain: bytes = b""
    intercept: float = 0
    weights: dict[str, float] = {}
    squares: dict[str, float] = {}


class OneHotRegression(linear_model.LogisticRegression):
    """River's, with the steps of its AdaGrad, where all inputs are 1: one gradient for all bins learns faster.

    `squares`: bin → sum of its squared gradients.
    """

    def __init__(self, learned: Learned) -> None:
        super().__init__(intercept_init=learned.intercept)
        self.squares = defaultdict(float, learned.squares)
        self._weights = VectorDict(learned.weights)  # river has no public way to go on from weights

    def learn_one(self, x: Any, y: Any, w: float = 1.0) -> None:
        """Move the weights of the bins `x` towards the label `y`."""
        gradient = w * self.loss.gradient(y, self._raw_dot_one(x))
        self.intercept -= INTERCEPT_RATE * gradient
        square, squares, steps = gradient * gradient, self.squares, {}
        for name in x:
            squares[name] = total = squares[name] + square
            steps[name] = gradient / sqrt(total + EPSILON)
        self._weights.iadd_scaled(VectorDict(steps), -RATE)


class Model:
    """Scores and learns one payment at a time. `labels`: how many it has learned."""

    def __init__(self, learned: Learned | None = None) -> None:
        """Go on from `learned`; what another recipe learned means nothing to this one and is left."""
        if learned is None or learned.recipe != RECIPE:
            learned = Learned()
        self._regression: Any = OneHotRegression(learned)  # river's types are partial
        self.labels, self._chain = learned.labels, learned.chain

    @property
    def version(self) -> str:
        """Which model this is: the hashes of its recipe and of the labels it learned, and their number."""
        return f"logistic-{RECIPE}-{self._chain.hex()[:8] or 'new'}-{self.labels}"

    def score(self, features: Features, currency: str) -> float:
        """The probability of fraud. Raises `Unscored` where a feature is no finite number or missing."""
        try:
            score: float = self._regression.predict_proba_one(one_hot(features, currency))[True]
        except KeyError as missing:
            raise Unscored(f"no feature {missing}") from None
        if not isfinite(sum(features.values(), score)):
            raise Unscored("a feature or the score is no finite number")
        return score

    def learn(self, lesson: Lesson) -> bool:
        """Learn a label from the features it carries; False where they are none that could have been scored."""
        features = lesson.features
        if not features or not isfinite(sum(features.values())):
            return False
        try:
            bins = one_hot(features, lesson.currency)
        except KeyError:  # judged by a flow that knew other features
            return False
        self._regression.learn_one(bins, lesson.fraud)
        self._chain = hashlib.blake2b(self._chain + lesson.label.encode(), digest_size=8).digest()
        self.labels += 1
        return True

    def drivers(self, features: Features, currency: str, count: int = 2) -> list[str]:
        """The features that speak most for fraud, the strongest first."""
        weights = self._regression.weights
        found = sorted(((weights.get(b, 0.0), b) for b in one_hot(features, currency)), reverse=True)
        names = dict.fromkeys(name.partition(":")[0] for weight, name in found if weight > 0)
        return list(names)[:count]

    def learned(self) -> Learned:
        """What to keep to go on from here."""
        return Learned(
            RECIPE,
            self.labels,
            self._chain,
            float(self._regression.intercept),
            self._regression.weights,
            self._regression.squares,
        )
