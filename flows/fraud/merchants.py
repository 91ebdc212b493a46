"""The history of one merchant and the features computed from it."""

from math import exp

import msgspec

from flows.fraud.amounts import UsualAmount, drop_oldest
from flows.fraud.inputs import DAY, Features, LabelInput, OutcomeInput, PaymentInput
from flows.fraud.instruments import HOUR, excess
from flows.fraud.key_shard import FRAUD, KNOWN, UNKNOWN
from flows.fraud.label_features import LabelHistory, feature_names
from flows.fraud.places import Place, is_newcomer
from flows.fraud.reputation import Reputation
from schemas.feature_families import FAILED, RISKS
from schemas.features import names_of

TESTING_WINDOW = 600.0  # seconds
TESTS_KEPT = 64
TINY_SHARE = 0.2  # of the usual amount: small payments are normal at a bakery
USUAL_SINCE = 10  # amounts: with fewer, the usual one says nothing
LABEL_FEATURES = feature_names("merchant")
REPUTATION = names_of("merchant", FAILED, RISKS)


class MerchantScale(msgspec.Struct, gc=False):
    """What an amount is measured by: the `usual` one, in minor units, where one was paid.

    `tests`: what `merchant_tests` is of a tiny amount; 0 where none counts as one. `failures`: of its new cards.
    """

    usual: float
    was_paid: bool
    tests: float
    failures: float

    def is_tiny(self, payment: PaymentInput) -> bool:
        """Whether the amount is small, and for this merchant too."""
        return payment.small and payment.amount <= TINY_SHARE * self.usual

    def features(self, payment: PaymentInput, features: Features) -> Features:
        """Those of the payment's amount; see `ByAmount`."""
        return {
            "merchant_amount": (payment.amount + 1) / (self.usual + 1) if self.was_paid else 1.0,
            "merchant_tests": self.tests if self.tests and self.is_tiny(payment) else 0.0,
            "merchant_failures": self.failures if is_newcomer(payment, features) else 0.0,
        }


class Merchant(msgspec.Struct, array_like=True, gc=False):
    """Payments by `occurred_at`, in seconds since 1970 UTC. Windows end at the newest payment, not now.

    `tests`: when, and by which instrument, a first payment of a tiny amount was made: the trace of card testing.
    Only a payment that leaves such a trace has the feature: the merchant's other customers are not suspected
    meanwhile. `trials`: what became of new cards here. A payment counts at once, and its amount when it is paid.
    The order of the fields is part of the recovery state.
    """

    count: int = 0
    at: float = 0
    week: float = 0
    unusual: float = 0
    amounts: dict[str, UsualAmount] = {}
    tests: list[tuple[float, str]] = []
    labels: LabelHistory = msgspec.field(default_factory=LabelHistory)
    trials: Place = msgspec.field(default_factory=Place)
    hour: float = 0.0  # payments, fading over an hour and a day
    day: float = 0.0
    reputation: Reputation = msgspec.field(default_factory=Reputation)

    @property
    def worth(self) -> int:
        """`FRAUD` where a label says so, `KNOWN` where something was paid."""
        if self.labels.frauds:
            return FRAUD
        return KNOWN if self.amounts else UNKNOWN

    def update(self, payment: PaymentInput, features: Features) -> Features:
        """Add a payment that has its instrument's `features`. Returns them with those of the merchant."""
        at = self._decay_to(payment.at)
        amounts = self.amounts.get(payment.currency) or UsualAmount()
        self.trials.pressure(payment, features)  # only what failed is a feature: honest people are here too
        features.update(self._compare(payment, features, amounts, at))
        features["merchant_history"] = float(self.count)
        features["merchant_count_1h"], features["merchant_count_1d"] = self.hour, self.day
        features["merchant_count_7d"], features["merchant_unusual"] = self.week, self.unusual / (self.week + 1)
        self.reputation.tell(REPUTATION, at, features)
        self.labels.tell(LABEL_FEATURES, at, features)
        self.count += 1
        self.hour += 1
        self.day += 1
        self.week += 1
        return features

    def settle(self, outcome: OutcomeInput) -> None:
        """Add what became of a payment, and its amount where it was paid. Repeats are dropped before."""
        self.trials.settle(outcome)
        self.reputation.settle(outcome)
        if not outcome.paid:
            return
        self.unusual += excess(outcome.amount_z)
        amounts = self.amounts.get(outcome.currency) or UsualAmount()
        amounts.add(outcome.amount, outcome.at)
        if outcome.currency not in self.amounts:
            self.amounts = drop_oldest(self.amounts | {outcome.currency: amounts}, outcome.currency)

    def learn(self, label: LabelInput) -> None:
        """Add a label. Repeats are dropped before, by the instrument."""
        self.labels.update(label)
        self.reputation.learn(label)

    def _decay_to(self, at: float) -> float:
        if self.count:
            at = max(at, self.at)
            elapsed = self.at - at
            self.hour *= exp(elapsed / HOUR)
            self.day *= exp(elapsed / DAY)
            self.week *= (decay := exp(elapsed / (7 * DAY)))
            self.unusual *= decay
        self.at = at
        return at

    def _compare(self, payment: PaymentInput, features: Features, amounts: UsualAmount, at: float) -> Features:
        """The features that depend on the amount. A tiny first payment leaves its trace."""
        usual, tests, tested = amounts.usual(), self.tests, 0.0
        if not features["history"] and amounts.count >= USUAL_SINCE:
            recent = [test for test in tests if test[0] >= at - TESTING_WINDOW]
            tests = [*recent[-TESTS_KEPT + 1 :], (at, payment.instrument_id)]
            tested = float(len({instrument_id for _, instrument_id in tests}))
        scale = MerchantScale(usual, bool(amounts.count), tested, self.trials.failures())
        payment.by_amount.append(scale)
        if tested and scale.is_tiny(payment):
            self.tests = tests
        return scale.features(payment, features)
