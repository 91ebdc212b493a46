"""The history that every key has, of a customer, address, BIN, device, network or e-mail domain.

How much is paid and by how many, what failed and why, and what the labels say. Everything fades with the key's own
newest payment, never with a clock, so a replay gives the same bits.
"""

from collections.abc import Callable
from math import exp
from operator import attrgetter
from typing import ClassVar, NamedTuple

import msgspec

from flows.fraud.counterparts import Seen
from flows.fraud.inputs import DAY, Features, LabelInput, OutcomeInput, PaymentInput
from flows.fraud.key_shard import FRAUD, KNOWN, UNKNOWN
from flows.fraud.paid_amounts import PaidAmounts
from flows.fraud.reputation import Reputation
from schemas.feature_families import FAILED, FIRSTS, PACE, PAID, RISKS, seen
from schemas.features import names_of

HOUR, WEEK = 3600.0, 7 * DAY
COUNTED = {"cards": "card_mark", "customers": "customer_mark", "merchants": "merchant_mark"}


class ActivityNames(NamedTuple):
    """The names of the features of one key.

    `pace` and `reputation`: those of the families `PACE`, and `FAILED` with `RISKS`. `amounts`: those of `PAID`,
    where what is paid is one payer's. `seen`: how the marks of the ids that it counts are read from a payment.
    """

    pace: tuple[str, ...]
    reputation: tuple[str, ...]
    age: str
    gap: str
    amounts: tuple[str, str] | None
    seen: tuple[tuple[str, Callable[[PaymentInput], int]], ...]


def activity_names(key: str, *counterparts: str, amounts: bool = False) -> ActivityNames:
    """The names for `key`, which counts distinct `counterparts` (names of `COUNTED`) and maybe `amounts`."""
    counted = [(f"{key}_{seen(each).name}", attrgetter(COUNTED[each])) for each in counterparts]
    (age, gap), (eur_7d, amount_z) = names_of(key, FIRSTS), names_of(key, PAID)
    paid = (eur_7d, amount_z) if amounts else None
    return ActivityNames(names_of(key, PACE), names_of(key, FAILED, RISKS), age, gap, paid, tuple(counted))


class Activity(msgspec.Struct, array_like=True, gc=False):
    """Payments by `occurred_at`, in seconds since 1970 UTC; one older than the newest counts as if with it.

    `hour`, `day`, `week`: payments, fading over these. What most keys never have is null until they do. The order
    of the fields is part of the recovery state.
    """

    names: ClassVar[ActivityNames]

    count: float = 0.0
    since: float = 0.0
    at: float = 0.0
    hour: float = 0.0
    day: float = 0.0
    week: float = 0.0
    paid: PaidAmounts | None = None
    reputation: Reputation = msgspec.field(default_factory=Reputation)
    seen: list[Seen] = []
    has_paid: bool = False

    @property
    def worth(self) -> int:
        """`FRAUD` where a label says so, `KNOWN` where something was paid."""
        if self.reputation.is_bad:
            return FRAUD
        return KNOWN if self.has_paid else UNKNOWN

    def update(self, payment: PaymentInput, features: Features) -> Features:
        """Add a payment. Returns its `features` with those of the key, by what came before, added.

        What is not known is left out. They are written where they stay: six keys have this history.
        """
        names, count, before = self.names, self.count, self.at
        at = payment.at if payment.at > before else before
        if count:
            elapsed = before - at
            hour, day = self.hour * exp(elapsed / HOUR), self.day * exp(elapsed / DAY)
            week = self.week * exp(elapsed / WEEK)
            features[names.age], features[names.gap] = (at - self.since) / DAY, at - before
        else:
            self.since, hour, day, week = at, 0.0, 0.0, 0.0
        history, count_1h, count_1d, count_7d = names.pace
        features[history], features[count_1h], features[count_1d], features[count_7d] = count, hour, day, week
        self.reputation.tell(names.reputation, at, features)
        if names.amounts:
            self._add_amounts(payment, at, features, *names.amounts)
        self._add_seen(payment, int(at), features)
        self.at, self.count = at, count + 1
        self.hour, self.day, self.week = hour + 1, day + 1, week + 1
        return features

    def settle(self, outcome: OutcomeInput) -> None:
        """Add what became of a payment: its amount where it was paid, else why not."""
        if not outcome.paid:
            self.reputation.settle(outcome)
            return
        self.has_paid = True
        if outcome.eur_cents is not None and self.names.amounts:
            self.paid = self.paid or PaidAmounts()
            self.paid.add(outcome.eur_cents, outcome.at)

    def learn(self, label: LabelInput) -> None:
        """Add a label. Repeats are dropped before, by the instrument."""
        self.reputation.learn(label)

    def _add_seen(self, payment: PaymentInput, at: int, features: Features) -> None:
        """How many it met of each of the ids that the payment names."""
        if not self.seen:
            self.seen = [Seen() for _ in self.names.seen]
        for counted, (name, mark_of) in zip(self.seen, self.names.seen, strict=True):
            if mark := mark_of(payment):
                features[name] = counted.add(mark, at)

    def _add_amounts(
        self, payment: PaymentInput, at: float, features: Features, euros: str, amount_z: str
    ) -> None:
        """Euro paid before; and how unusual the amount is, where that is known."""
        paid = self.paid
        if paid is None:
            features[euros] = 0.0
            return
        features[euros] = paid.euros(at)
        if payment.eur_cents is not None and (scale := paid.scale(amount_z)):
            payment.by_amount.append(scale)
            features[amount_z] = scale.z(payment.eur_cents)


class CustomerActivity(Activity, array_like=True, gc=False):
    """Of an account that pays."""

    names = activity_names("customer", "cards", "merchants", amounts=True)


class AddressActivity(Activity, array_like=True, gc=False):
    """Of an address."""

    names = activity_names("address", "cards", "customers")


class BinActivity(Activity, array_like=True, gc=False):
    """Of a BIN. Its cards are too many to be told apart."""

    names = activity_names("bin", "merchants")


class PayingDevice(Activity, array_like=True, gc=False):
    """A device that customers pay with."""

    names = activity_names("device", "cards", "customers", amounts=True)


class Network(Activity, array_like=True, gc=False):
    """The /24 (IPv6: /64) of addresses that customers pay from."""

    names = activity_names("network", "cards", "customers")


class EmailDomain(Activity, array_like=True, gc=False):
    """The domain of e-mail addresses of accounts that pay."""

    names = activity_names("domain", "cards", "customers")
