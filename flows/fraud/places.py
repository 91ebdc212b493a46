"""What cards were tried from one address or with one BIN, and how many failed: the signs of card testing nearby.

Honest customers share addresses (offices, carriers) and BINs (a large bank has one for millions), so neither
decides alone: what was tried there weighs against the honest newcomers there, and only holds a customer who brings
another new card, or, where it is much more, a newcomer.
"""

from math import exp
from typing import ClassVar

import msgspec

from flows.fraud.activity import Activity, AddressActivity, BinActivity
from flows.fraud.customers import SECOND, THIRD, outweighing
from flows.fraud.inputs import Features, LabelInput, OutcomeInput, PaymentInput
from flows.fraud.key_shard import FRAUD, KNOWN, UNKNOWN

MEMORY = 6 * 3600.0  # seconds over which a trial fades


class Place(msgspec.Struct, array_like=True, gc=False):
    """Fading counts of payments by new cards; they fade with the newest payment here, at `at` (s since 1970 UTC).

    `tests`: small ones by customers who had tried another new card; `firsts`: other small ones; `testers`:
    customers who brought their second. `failed`, `paid`: what became of them. The order of the fields is part of
    the recovery state.
    """

    at: float = 0
    tests: float = 0
    firsts: float = 0
    testers: float = 0
    failed: float = 0
    paid: float = 0

    @property
    def worth(self) -> int:
        """`KNOWN` where cards were tested or failed, so that a flood of new addresses does not push it out."""
        return KNOWN if self.tests + self.failed >= 1 else UNKNOWN

    def pressure(self, payment: PaymentInput, features: Features, patience: int = 1) -> float:
        """Add a payment that has its customer's `features`. Returns the pressure it is under; 0 for a known card.

        `patience`: what divides the pressure on a newcomer.
        """
        if not features["new_card"]:
            return 0.0
        self._fade_to(payment.at)
        if features["customer_tests"] >= SECOND:
            return self._add_test(payment, features)
        self.firsts += payment.small
        if not is_newcomer(payment, features):
            return 0.0
        return max(self.failures(), outweighing(self.testers, self.firsts)) / patience

    def settle(self, outcome: OutcomeInput) -> None:
        """Note what became of a payment by a new card."""
        if not outcome.new_card:
            return
        self._fade_to(outcome.at)
        if outcome.paid:
            self.paid += 1
        else:
            self.failed += 1

    def failures(self) -> float:
        """How many more new cards failed than paid."""
        return max(0.0, self.failed - self.paid)

    def _add_test(self, payment: PaymentInput, features: Features) -> float:
        self.tests += payment.small
        if features["customer_tests"] < THIRD and not features["history"]:
            self.testers += 1
            self.firsts = max(0.0, self.firsts - 1)  # the customer's card before was no honest first one
        return outweighing(self.tests, self.firsts)

    def _fade_to(self, at: float) -> None:
        if at <= self.at:
            return
        fading = exp((self.at - at) / MEMORY)
        self.tests *= fading
        self.firsts *= fading
        self.testers *= fading
        self.failed *= fading
        self.paid *= fading
        self.at = at


class NamedPlace(Place, array_like=True, gc=False):
    """A place that payments name; what they do there is its `activity`."""

    pressure_name: ClassVar[str]
    patience: ClassVar[int]

    activity: Activity = msgspec.field(default_factory=Activity)

    @property
    def worth(self) -> int:
        """`FRAUD` where a label says so, else as of any place."""
        return FRAUD if self.activity.worth == FRAUD else super().worth

    def update(self, payment: PaymentInput, features: Features) -> Features:
        """Add a payment that has its customer's `features`. Returns them with those of the place."""
        if features["new_card"]:
            payment.by_amount.append(self.before())
            features[self.pressure_name] = self.pressure(payment, features, self.patience)
        return self.activity.update(payment, features)

    def before(self) -> "PlaceBefore":
        """Its counts as they are before a payment."""
        counts = self.at, self.tests, self.firsts, self.testers, self.failed, self.paid
        return PlaceBefore(self.pressure_name, self.patience, counts)

    def settle(self, outcome: OutcomeInput) -> None:
        """Note what became of a payment."""
        if outcome.new_card:
            super().settle(outcome)
        self.activity.settle(outcome)

    def learn(self, label: LabelInput) -> None:
        """Add a label. Repeats are dropped before, by the instrument."""
        self.activity.learn(label)


class Address(NamedPlace, array_like=True, gc=False):
    """An address that customers pay from."""

    pressure_name = "address_pressure"
    patience = 6  # a newcomer is suspected for what others did, so for so many times as much

    activity: AddressActivity = msgspec.field(default_factory=AddressActivity)


class Bin(NamedPlace, array_like=True, gc=False):
    """The first digits of cards: their bank and product. More honest people share one than an address."""

    pressure_name = "bin_pressure"
    patience = 12

    activity: BinActivity = msgspec.field(default_factory=BinActivity)


class PlaceBefore(msgspec.Struct, gc=False):
    """The counts of a `Place` before a payment by a new card, in their order."""

    pressure_name: str
    patience: int
    counts: tuple[float, ...]

    def features(self, payment: PaymentInput, features: Features) -> Features:
        """The pressure that the payment would have been under; see `ByAmount`."""
        return {self.pressure_name: Place(*self.counts).pressure(payment, features, self.patience)}


def is_newcomer(payment: PaymentInput, features: Features) -> bool:
    """Whether a customer of less than a day pays a small amount by a new card."""
    return payment.small and features["new_card"] > 0 and features["customer_age"] < 1
