"""The model: river's logistic regression over one-hot bins. It scores a payment and learns its label later."""

import hashlib
from collections import defaultdict
from math import isfinite, sqrt
from typing import Any

import msgspec
from river import linear_model
from river.utils import VectorDict

from flows.fraud.inputs import Features, LabelInput
from flows.fraud.one_hot import RECIPE, Unscored, one_hot

RATE = 0.25  # of AdaGrad; 0.2 to 0.35 rank the same on the public benchmark
EPSILON = 1e-8  # of AdaGrad, river's own
INTERCEPT_RATE = 0.01  # river's own


class ModelParameters(msgspec.Struct):
    """What the model has learned: by bin, its weight and its sum of squared gradients.

    `chain` is a hash over the ids of the labels in the order they were learned: equal chains mean equal models.
    The names of the fields are part of the recovery state.
    """

    recipe: str = RECIPE
    labels: int = 0
    chain: bytes = b""
    intercept: float = 0
    weights: dict[str, float] = {}
    squares: dict[str, float] = {}


class OneHotRegression(linear_model.LogisticRegression):
    """River's, with the steps of its AdaGrad. All inputs are 1, so one gradient serves all bins, which is faster.

    `squares`: by bin, the sum of its squared gradients.
    """

    def __init__(self, parameters: ModelParameters) -> None:
        super().__init__(intercept_init=parameters.intercept)
        self.squares = defaultdict(float, parameters.squares)
        self._weights = VectorDict(parameters.weights)  # river has no public way to resume from weights

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

    def __init__(self, parameters: ModelParameters | None = None) -> None:
        """Resume from `parameters`; those of another `recipe` have other bins and are dropped."""
        if parameters is None or parameters.recipe != RECIPE:
            parameters = ModelParameters()
        self._regression: Any = OneHotRegression(parameters)  # river's types are partial
        self.labels, self._chain = parameters.labels, parameters.chain

    @property
    def version(self) -> str:
        """The name of this model: the hashes of its recipe and of the labels it has learned, and their number."""
        return f"logistic-{RECIPE}-{self._chain.hex()[:8] or 'new'}-{self.labels}"

    def score(self, features: Features, currency: str) -> float:
        """The probability of fraud, 0 to 1. Raises `Unscored` where a feature is missing or no finite number."""
        score: float = self._regression.predict_proba_one(one_hot(features, currency))[True]
        if not isfinite(score):
            raise Unscored("the score is no finite number")
        return score

    def learn(self, label: LabelInput) -> bool:
        """Learn a label from the features it carries; False where they could not have been scored."""
        if not label.features:
            return False
        try:
            bins = one_hot(label.features, label.currency)
        except Unscored:  # scored by a release with other features, say
            return False
        self._regression.learn_one(bins, label.fraud)
        self._chain = hashlib.blake2b(self._chain + label.label_id.encode(), digest_size=8).digest()
        self.labels += 1
        return True

    def drivers(self, features: Features, currency: str, count: int = 2) -> list[str]:
        """The `count` features that contribute most to the score, the strongest first."""
        weights = self._regression.weights
        found = sorted(((weights.get(b, 0.0), b) for b in one_hot(features, currency)), reverse=True)
        names = dict.fromkeys(name.partition(":")[0] for weight, name in found if weight > 0)
        return list(names)[:count]

    def parameters(self) -> ModelParameters:
        """The state to resume from."""
        return ModelParameters(
            RECIPE,
            self.labels,
            self._chain,
            float(self._regression.intercept),
            self._regression.weights,
            self._regression.squares,
        )
