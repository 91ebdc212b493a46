"""The history of one instrument (a card, a PayPal payer) and the features computed from it."""

from bisect import bisect_right
from math import exp

import msgspec

from flows.fraud.amounts import AmountHistory, drop_oldest
from flows.fraud.counterparts import Seen
from flows.fraud.distances import distance_km
from flows.fraud.inputs import DAY, Features, LabelInput, OutcomeInput, PaymentInput
from flows.fraud.key_shard import FRAUD, KNOWN, UNKNOWN
from flows.fraud.label_features import LabelHistory, feature_names
from flows.fraud.reputation import Reputation
from schemas.feature_families import FAILED, RISKS, seen
from schemas.features import names_of

TIMES_KEPT = 64  # payments of the last hour: an exact count never exceeds one more than this
REPEATS_KEPT = 8
VALUES_KEPT = 8  # devices, and countries
JUMP_SINCE = 10  # payments: with fewer, no amount counts as a jump
MINUTE, HOUR = 60.0, 3600.0
SLOTS = 16  # of a week: three hours of a workday, or of a day of a weekend
LABEL_FEATURES = feature_names("card")
REPUTATION = names_of("card", FAILED, RISKS)
MERCHANTS_SEEN = f"card_{seen('merchants').name}"


class Repeats(msgspec.Struct, array_like=True, gc=False):
    """The events that the remembered ids came by, and the newest event whose id is not remembered any more.

    Ids of events sort by birth. So what comes by one that is not above `forgotten` may have been counted, however
    many repeats come: of those none may push out an id that is remembered.
    """

    event_ids: list[str] = []
    forgotten: str = ""

    def may_include(self, event_id: str) -> bool:
        """Whether what came by an event may be a repeat of what is not remembered; without an event it is none."""
        return "" < event_id <= self.forgotten

    def remember(self, event_id: str, ids: list[str], id: str) -> None:
        """Add to the remembered `ids` one that came by an event."""
        ids.append(id)
        del ids[:-REPEATS_KEPT]
        self.event_ids.append(event_id)
        if len(self.event_ids) > REPEATS_KEPT:  # there are fewer than ids after a release that did not keep them
            self.forgotten = max(self.forgotten, self.event_ids.pop(0))


class Instrument(msgspec.Struct, array_like=True, gc=False):
    """Payments by `occurred_at`, in seconds since 1970 UTC. Windows end at the newest payment, not now.

    A payment older than the newest one counts as if it happened with it. It counts at once, and its amount when it
    is paid (`settle`). `since`: the first payment; 1970 for a card of a release that did not keep it. The order of
    the fields is part of the recovery state.
    """

    count: int = 0
    at: float = 0
    day: float = 0  # payments, decaying over a day, a week and thirty days
    week: float = 0
    month: float = 0
    unusual: float = 0  # how far recent amounts were above the usual ones, decaying over a week
    times: list[float] = []
    amounts: dict[str, AmountHistory] = {}
    devices: list[str] = []
    countries: list[str] = []
    payment_ids: list[str] = []
    label_ids: list[str] = []
    labels: LabelHistory = msgspec.field(default_factory=LabelHistory)
    since: float = 0
    settled_ids: list[str] = []
    newest_z: float = 0  # `amount_z` of the newest payment
    counted: Repeats = msgspec.field(default_factory=Repeats)
    settled: Repeats = msgspec.field(default_factory=Repeats)
    learned: Repeats = msgspec.field(default_factory=Repeats)
    reputation: Reputation = msgspec.field(default_factory=Reputation)
    merchants: Seen = msgspec.field(default_factory=Seen)
    hours: list[int] = []  # payments by `slot_of`
    country_at: float = 0  # when it paid from the newest of `countries`; 0: not known

    @property
    def worth(self) -> int:
        """`FRAUD` where a label says so, `KNOWN` where it paid: cards that are made up are evicted first."""
        if self.labels.frauds:
            return FRAUD
        return KNOWN if self.amounts else UNKNOWN

    def update(self, payment: PaymentInput) -> Features | None:
        """Add a payment. Returns its features, by what came before; None for a repeat, which changes nothing."""
        if payment.payment_id in self.payment_ids:
            return None
        gap = max(payment.at - self.at, 0.0) if self.count else -1.0
        at = self._decay_to(payment.at)
        if not self.count:
            self.since = at
        amounts = self.amounts.get(payment.currency) or AmountHistory()
        features = {
            "amount": float(payment.amount),
            "gap": gap,
            "new_card": float(self._is_new(at)),
            MERCHANTS_SEEN: self.merchants.add(payment.merchant_mark, int(at)),
            "hours_share": self._hours_share(at),
            "new_device": novelty(payment.device_hash, self.devices),
            "new_country": novelty(payment.country, self.countries),
            "new_currency": float(bool(self.amounts) and payment.currency not in self.amounts),
        }
        amounts.compare(payment, at, features)
        self._add_velocity(at, features)
        self.labels.tell(LABEL_FEATURES, at, features)
        self.reputation.tell(REPUTATION, at, features)
        if (speed := self._speed(payment, at)) is not None:
            features["speed"] = speed
        features["amount_jump"] = features["amount_to_largest"] if self.count >= JUMP_SINCE else 0.0
        self._add(payment, at)
        self.newest_z = features["amount_z"]
        return features

    def settle(self, outcome: OutcomeInput) -> bool:
        """Add the amount of a payment that was paid; False for a repeat, which changes nothing.

        The later steps are told what they need of the card.
        """
        if outcome.payment_id in self.settled_ids or self.settled.may_include(outcome.event_id):
            return False
        self.settled.remember(outcome.event_id, self.settled_ids, outcome.payment_id)
        outcome.new_card = self._is_new(outcome.at)
        self.reputation.settle(outcome)
        if outcome.paid:
            self._pay(outcome)
        return True

    def learn(self, label: LabelInput) -> bool:
        """Add a label; False for a repeat, which changes nothing."""
        if label.label_id in self.label_ids or self.learned.may_include(label.event_id):
            return False
        self.labels.update(label)
        self.reputation.learn(label)
        self.learned.remember(label.event_id, self.label_ids, label.label_id)
        return True

    def _decay_to(self, at: float) -> float:
        if self.count:
            at = max(at, self.at)
            elapsed = self.at - at
            self.day *= exp(elapsed / DAY)
            self.week *= (decay := exp(elapsed / (7 * DAY)))
            self.unusual *= decay
            self.month *= exp(elapsed / (30 * DAY))
        self.at = at
        del self.times[: bisect_right(self.times, at - HOUR)]
        return at

    def _add_velocity(self, at: float, features: Features) -> None:
        kept = len(self.times) + 1.0  # this payment counts
        features["history"] = float(self.count)
        features["count_1m"] = kept - bisect_right(self.times, at - MINUTE)
        features["count_10m"] = kept - bisect_right(self.times, at - 10 * MINUTE)
        features["count_1h"] = kept
        features["count_day"], features["count_week"], features["count_month"] = self.day, self.week, self.month
        features["unusual"] = self.unusual

    def _hours_share(self, at: float) -> float:
        """The share of its payments in the same part of the week, with one imagined that is in all of them."""
        hours = self.hours = self.hours or [0] * SLOTS
        slot = slot_of(at)
        share = (hours[slot] + 1 / SLOTS) / (sum(hours) + 1)
        hours[slot] += 1
        return share

    def _speed(self, payment: PaymentInput, at: float) -> float | None:
        """Kilometres an hour from the country of the payment before that had one; None where it is not known."""
        before, here = self.country_at, payment.country
        if here is None:
            return None
        self.country_at = at
        km = distance_km(self.countries[-1], here) if self.countries and before else None
        return None if km is None else km / max(at - before, MINUTE) * HOUR

    def _is_new(self, at: float) -> bool:
        return at - self.since < DAY

    def _pay(self, outcome: OutcomeInput) -> None:
        amounts = self.amounts.get(outcome.currency) or AmountHistory()
        newest = outcome.payment_id in self.payment_ids[-1:]
        outcome.amount_z = self.newest_z if newest else amounts.robust_z(outcome.amount)
        self.unusual += excess(outcome.amount_z)
        amounts.add(outcome.amount, max(outcome.at, amounts.at))
        if outcome.currency not in self.amounts:
            self.amounts = drop_oldest(self.amounts | {outcome.currency: amounts}, outcome.currency)

    def _add(self, payment: PaymentInput, at: float) -> None:
        self.count += 1
        self.day += 1
        self.week += 1
        self.month += 1
        self.times.append(at)
        del self.times[:-TIMES_KEPT]
        self.devices = append_value(payment.device_hash, self.devices)
        self.countries = append_value(payment.country, self.countries)
        self.counted.remember(payment.event_id, self.payment_ids, payment.payment_id)


def slot_of(at: float) -> int:
    """Which of the `SLOTS` of a week a moment (s since 1970 UTC, a Thursday) is in."""
    is_weekend = (int(at // DAY) + 3) % 7 >= 5
    return int(at % DAY // (3 * HOUR)) + (SLOTS // 2 if is_weekend else 0)


def excess(z: float) -> float:
    """How far an amount is above the usual: 0 within one spread of the median, 10 at most."""
    return min(z - 1, 10.0) if z > 1 else 0.0


def novelty(value: str | None, seen: list[str]) -> float:
    """0: unknown, or the first value ever; 1: seen before; 2: another than those seen."""
    if value is None or not seen:
        return 0.0
    return 1.0 if value in seen else 2.0


def append_value(value: str | None, seen: list[str]) -> list[str]:
    """`seen` with `value` as its newest, without the oldest where there are too many."""
    if value is None or (seen and seen[-1] == value):
        return seen
    return [*(s for s in seen[-VALUES_KEPT + 1 :] if s != value), value]
