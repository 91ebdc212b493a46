"""The history of one merchant and the features computed from it."""

from math import exp

import msgspec

from flows.fraud.amounts import MeanAmount, drop_oldest
from flows.fraud.inputs import DAY, Features, LabelInput, PaymentInput
from flows.fraud.instruments import excess
from flows.fraud.label_features import LabelHistory, feature_names

TESTING_WINDOW = 600.0  # seconds
TESTS_KEPT = 64
TINY_UNITS = 5  # whole units of the currency
TINY_SHARE = 0.2  # of the mean amount: small payments are normal at a bakery
MEAN_SINCE = 10  # payments: with fewer, the mean amount says nothing
LABEL_FEATURES = feature_names("merchant")


class Merchant(msgspec.Struct, array_like=True):
    """Payments by `occurred_at`, in seconds since 1970 UTC. Windows end at the newest payment, not now.

    `tests`: when, and by which instrument, a first payment of a tiny amount was made: the trace of card testing.
    Only a payment that leaves such a trace has the feature: the merchant's other customers are not suspected
    meanwhile. The order of the fields is part of the recovery state.
    """

    count: int = 0
    at: float = 0
    week: float = 0
    unusual: float = 0
    amounts: dict[str, MeanAmount] = {}
    tests: list[tuple[float, str]] = []
    labels: LabelHistory = msgspec.field(default_factory=LabelHistory)

    def update(self, payment: PaymentInput, features: Features) -> Features:
        """Add a payment that has its instrument's `features`. Returns the features of the merchant before it."""
        at = self._decay_to(payment.at)
        amounts = self.amounts.get(payment.currency) or MeanAmount()
        found = {
            "merchant_history": float(self.count),
            "merchant_amount": (payment.amount + 1) / (amounts.mean() + 1) if amounts.count else 1.0,
            "merchant_unusual": self.unusual / (self.week + 1),
            "merchant_tests": self._tests(payment, features, amounts, at),
            **self.labels.features(LABEL_FEATURES, at),
        }
        self._add(payment, at, amounts, features["amount_z"])
        return found

    def learn(self, label: LabelInput) -> None:
        """Add a label. Repeats are dropped before, by the instrument."""
        self.labels.update(label)

    def _decay_to(self, at: float) -> float:
        if self.count:
            at = max(at, self.at)
            self.week *= (decay := exp((self.at - at) / (7 * DAY)))
            self.unusual *= decay
        self.at = at
        return at

    def _tests(self, payment: PaymentInput, features: Features, amounts: MeanAmount, at: float) -> float:
        if features["history"] or not _is_tiny(payment, amounts):
            return 0.0
        recent = [test for test in self.tests if test[0] >= at - TESTING_WINDOW]
        self.tests = [*recent[-TESTS_KEPT + 1 :], (at, payment.instrument_id)]
        return float(len({instrument_id for _, instrument_id in self.tests}))

    def _add(self, payment: PaymentInput, at: float, amounts: MeanAmount, z: float) -> None:
        self.count += 1
        self.week += 1
        self.unusual += excess(z)
        amounts.add(payment.amount, at)
        if payment.currency not in self.amounts:
            self.amounts = drop_oldest(self.amounts | {payment.currency: amounts}, payment.currency)


def _is_tiny(payment: PaymentInput, amounts: MeanAmount) -> bool:
    small = payment.amount <= TINY_UNITS * payment.unit
    return small and (amounts.count < MEAN_SINCE or payment.amount <= TINY_SHARE * amounts.mean())
