"""The history of one customer: how many new cards an account brings, and tries for small amounts or in vain.

Who tests stolen cards brings one new card after another. What sets that apart from an account that pays with many
cards (a travel agency, a replay) is that the amounts are small, or that the cards are declined.
"""

from math import exp

import msgspec

from flows.fraud.activity import CustomerActivity
from flows.fraud.inputs import DAY, Features, LabelInput, OutcomeInput, PaymentInput
from flows.fraud.key_shard import FRAUD, KNOWN, UNKNOWN

MEMORY = 2 * DAY  # the time over which a card fades
CARDS_KEPT = 64
OTHERS_PER_TEST = 3
FORGIVEN = 4  # small ones, where the amount is an ordinary one: some may come first where many cards are brought
SECOND, THIRD = 1.5, 2.5  # thresholds of fading counts
CUSTOMER_FEATURES: Features = {"customer_tests": 0.0, "customer_age": 0.0}


class Trial(msgspec.Struct, array_like=True, gc=False):
    """The last use of a card, at `at`. While it was new its amount was `small`, or it was `declined`.

    `good`: it paid, or was known for a day. What was only asked for speaks for nobody.
    """

    at: float = 0
    small: bool = False
    declined: bool = False
    good: bool = False


class TriedBefore(msgspec.Struct, gc=False):
    """What a new card's trial adds to: fading counts of the customer's other cards, and its own trial before."""

    declined: float
    small: float
    others: float
    own_declined: bool
    own_small: bool
    own_good: bool

    def tests(self, is_small: bool) -> float:
        """The tests with its own trial, for a small amount or not."""
        declined, small, others = self.declined, self.small, self.others
        if self.own_declined:
            declined += 1
        elif self.own_small or is_small:
            small += 1
        elif self.own_good:
            others += 1
        return outweighing(declined + max(0.0, small - (0 if is_small else FORGIVEN)), others)

    def features(self, payment: PaymentInput, _features: Features) -> Features:
        """The tests with the payment's amount; see `ByAmount`."""
        return {"customer_tests": self.tests(payment.small)}


class Customer(msgspec.Struct, array_like=True, gc=False):
    """Payments by `occurred_at`, in seconds since 1970 UTC; the cards fade with the customer's own newest payment.

    `since`: the first payment. The order of the fields is part of the recovery state.
    """

    count: int = 0
    since: float = 0
    at: float = 0
    cards: dict[str, Trial] = {}
    activity: CustomerActivity = msgspec.field(default_factory=CustomerActivity)

    @property
    def worth(self) -> int:
        """`FRAUD` where a label says so, `KNOWN` where more than one card was brought.

        So a flood of new accounts pushes neither out.
        """
        if self.activity.worth == FRAUD:
            return FRAUD
        return KNOWN if len(self.cards) > 1 else UNKNOWN

    def update(self, payment: PaymentInput, features: Features) -> Features:
        """Add a payment that has its card's `features`. Returns them with its own; a new card is suspected."""
        self.at = at = max(payment.at, self.at)
        if not self.count:
            self.since = at
        self.count += 1
        new_card = features["new_card"] > 0
        trial = self._trial(payment.instrument_id)
        trial.at = at
        trial.good |= not new_card
        tests = self._tests(payment, trial, at) if new_card else 0.0
        trial.small |= new_card and payment.small
        found = self.activity.update(payment, features)
        found["customer_tests"], found["customer_age"] = tests, (at - self.since) / DAY
        return found

    def settle(self, outcome: OutcomeInput) -> None:
        """Note what became of a payment."""
        trial = self.cards.get(outcome.instrument_id)
        if trial is not None:
            trial.good |= outcome.paid
            trial.declined |= outcome.new_card and not outcome.paid
        self.activity.settle(outcome)

    def learn(self, label: LabelInput) -> None:
        """Add a label. Repeats are dropped before, by the instrument."""
        self.activity.learn(label)

    def _trial(self, instrument_id: str) -> Trial:
        trial = self.cards.pop(instrument_id, None) or Trial()
        self.cards[instrument_id] = trial
        while len(self.cards) > CARDS_KEPT:
            del self.cards[next(iter(self.cards))]
        return trial

    def _tests(self, payment: PaymentInput, own: Trial, at: float) -> float:
        """The tests, with the payment's `own` trial, which is the newest."""
        small = declined = others = 0.0
        for trial in self.cards.values():
            if trial is own:
                break
            weight = exp((trial.at - at) / MEMORY)
            if trial.declined:
                declined += weight
            elif trial.small:
                small += weight
            elif trial.good:
                others += weight
        tried = TriedBefore(declined, small, others, own.declined, own.small, own.good)
        payment.by_amount.append(tried)
        return tried.tests(payment.small)


def outweighing(tests: float, others: float) -> float:
    """How many of the `tests` are left where every three `others` speak against one of them; never below 0."""
    return max(0.0, tests - others / OTHERS_PER_TEST)
