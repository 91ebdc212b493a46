"""The history of two that meet: a customer and a merchant, a card and a merchant, a customer and a device."""

from typing import ClassVar

import msgspec

from flows.fraud.inputs import DAY, Features, PaymentInput
from flows.fraud.key_shard import KNOWN, UNKNOWN
from schemas.features import PAIR, names_of


class Pair(msgspec.Struct, array_like=True, gc=False):
    """How often they met, first at `since` and last at `at`, in seconds since 1970 UTC.

    The order of the fields is part of the recovery state.
    """

    names: ClassVar[tuple[str, ...]]

    count: int = 0
    since: float = 0
    at: float = 0

    @property
    def worth(self) -> int:
        """`KNOWN` where they met more than once."""
        return KNOWN if self.count > 1 else UNKNOWN

    def update(self, payment: PaymentInput, features: Features) -> Features:
        """Add a payment. Returns its `features` with how they met before: no age, no gap where they did not."""
        history, age, gap = self.names
        at, count = max(payment.at, self.at), self.count
        features[history] = float(count)
        if count:
            features[age], features[gap] = (at - self.since) / DAY, at - self.at
        else:
            self.since = at
        self.count, self.at = count + 1, at
        return features


class CustomerAtMerchant(Pair, array_like=True, gc=False):
    """A customer and a merchant."""

    names = names_of("customer_merchant", PAIR)


class CardAtMerchant(Pair, array_like=True, gc=False):
    """A card and a merchant."""

    names = names_of("card_merchant", PAIR)


class CustomerOnDevice(Pair, array_like=True, gc=False):
    """A customer and a device."""

    names = names_of("customer_device", PAIR)
