"""The model: a logistic regression over one-hot bins. It scores a payment and learns its label later."""

import hashlib
from collections import defaultdict
from math import isfinite, sqrt

import msgspec
from river.optim.losses import Log

from flows.fraud.inputs import Features, LabelInput
from flows.fraud.one_hot import RECIPE, Bins, Unscored, one_hot

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


class OneHotRegression:
    """River's `LogisticRegression` with its loss and its AdaGrad, for bins: all inputs are 1.

    So one gradient serves all bins, a vector is a list of their names, and a score needs no dict of products: half
    of river's time, the same bits. `weights`, and the sums of squared gradients `squares`, are by bin.
    """

    loss = Log()

    def __init__(self, parameters: ModelParameters) -> None:
        self.intercept = parameters.intercept
        self.weights = defaultdict(float, parameters.weights)
        self.squares = defaultdict(float, parameters.squares)

    def probability(self, bins: Bins) -> float:
        """The probability of fraud."""
        found: float = self.loss.mean_func(self._logit(bins))
        return found

    def learn(self, bins: Bins, fraud: bool) -> None:
        """Move the weights of the bins towards the label."""
        gradient = self.loss.gradient(fraud, self._logit(bins))
        self.intercept -= INTERCEPT_RATE * gradient
        square, step, weights, squares = gradient * gradient, RATE * gradient, self.weights, self.squares
        for name in bins:
            squares[name] = total = squares[name] + square
            weights[name] -= step / sqrt(total + EPSILON)

    def _logit(self, bins: Bins) -> float:
        """Added up in the order of the bins: `sum` rounds otherwise from Python 3.12 on."""
        logit, weight_of = 0.0, self.weights.get
        for name in bins:
            logit += weight_of(name, 0.0)
        return logit + self.intercept


class Model:
    """Scores and learns one payment at a time. `labels`: how many it has learned."""

    def __init__(self, parameters: ModelParameters | None = None) -> None:
        """Resume from `parameters`; those of another `recipe` have other bins and are dropped."""
        if parameters is None or parameters.recipe != RECIPE:
            parameters = ModelParameters()
        self._regression = OneHotRegression(parameters)
        self.labels, self._chain = parameters.labels, parameters.chain

    @property
    def version(self) -> str:
        """The name of this model: the hashes of its recipe and of the labels it has learned, and their number."""
        return f"logistic-{RECIPE}-{self._chain.hex()[:8] or 'new'}-{self.labels}"

    def score(self, features: Features, currency: str) -> float:
        """The probability of fraud, 0 to 1. Raises `Unscored` where a feature is missing or no finite number."""
        score = self._regression.probability(one_hot(features, currency))
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
        self._regression.learn(bins, label.fraud)
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
            self._regression.intercept,
            self._regression.weights,
            self._regression.squares,
        )
