"""The keys that histories are kept by, beside the instrument: a line each, which is a step of the flow."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias, assert_never

from flows.fraud.activity import EmailDomain, Network, PayingDevice
from flows.fraud.customers import Customer
from flows.fraud.inputs import LabelInput, OutcomeInput, PaymentInput
from flows.fraud.key_shard import NOBODY, KeyShard, place_of
from flows.fraud.merchants import Merchant
from flows.fraud.pairs import CardAtMerchant, CustomerAtMerchant, CustomerOnDevice
from flows.fraud.places import Address, Bin
from flows.fraud.scoring import Item, ScoredPayment, StreamedPayment

Input: TypeAlias = PaymentInput | OutcomeInput | LabelInput
IdOf: TypeAlias = Callable[[Input], str | None]


class Key(NamedTuple):
    """A key: the step's `name`, which is part of the recovery state, the history it makes and what names one.

    `learns`: its histories are told outcomes and labels, too.
    """

    name: str
    history: type[Any]
    of: IdOf
    learns: bool = True

    def id_of(self, item: Item) -> str | None:
        """The id of the history that `item` goes to; None or empty where it goes to none."""
        if isinstance(item, ScoredPayment):
            payment = item.usable
            return None if payment is None else self.of(payment)
        return self.of(item) if self.learns else None


def both(one: str, other: str) -> IdOf:
    """The ids in two fields, as one; None where either is missing."""
    pair = attrgetter(one, other)

    def of(named: Input) -> str | None:
        first, second = pair(named)
        return f"{first} {second}" if first and second else None

    return of


# The merchant comes last: it is told what the other keys say of a payment.
KEYS: tuple[Key, ...] = (
    Key("customer", Customer, attrgetter("customer_id")),
    Key("address", Address, attrgetter("address_id")),
    Key("bin", Bin, attrgetter("bin_id")),
    Key("device", PayingDevice, attrgetter("device_hash")),
    Key("network", Network, attrgetter("network_id")),
    Key("e-mail domain", EmailDomain, attrgetter("domain_id")),
    Key("customer at merchant", CustomerAtMerchant, both("customer_id", "merchant_id"), learns=False),
    Key("card at merchant", CardAtMerchant, both("instrument_id", "merchant_id"), learns=False),
    Key("customer on device", CustomerOnDevice, both("customer_id", "device_hash"), learns=False),
    Key("merchant", Merchant, attrgetter("merchant_id")),
)

MODEL = "0"  # all go to one


def shards_of(item: StreamedPayment | OutcomeInput | LabelInput, secret: bytes) -> list[str]:
    """By step of the flow: the shard that an item goes to, `NOBODY` where it names no history there."""
    named = [place_of(key.id_of(item), secret) for key in KEYS]
    to_model = NOBODY if isinstance(item, OutcomeInput) else MODEL
    return [place_of(item.instrument_id, secret), *named, to_model]


class KeyStage:
    """Adds the features of one key to a payment that names it."""

    def __init__(self, key: Key, keys_max: int, histories: Mapping[str, Any] | None = None) -> None:
        self._key = key
        self.shard: KeyShard[Any] = KeyShard(key.history, keys_max, dict(histories or {}))

    def process(self, item: Item) -> bool:
        """Update the history that `item` names, if it names one. Always True: every item goes on."""
        if id := self._key.id_of(item):
            history = self.shard.get(id)
            match item:
                case ScoredPayment():
                    item.extend(history)
                case OutcomeInput():
                    history.settle(item)
                case LabelInput():
                    history.learn(item)
                case _:
                    assert_never(item)
        return True
