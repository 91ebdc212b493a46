"""What a labelled file lacks, made up from the card: so that every key of the fraud flow is filled and measured.

None of it tells anything of a label: each is a hash of the card's id alone. Three cards share a device and an
address, thirty a network, a hundred an e-mail domain; each card has a customer of its own and one of fifty BINs.
"""

from collections.abc import Iterable
from functools import cache
from zlib import crc32

from msgspec.structs import replace

from flows.fraud.inputs import PaymentInput

CARDS_PER_DEVICE, CARDS_PER_NETWORK, CARDS_PER_DOMAIN, BINS = 3, 30, 100, 50
COUNTRIES = ("DE", "FR", "IT", "ES", "PL", "US")


class DerivedKeys:
    """Fills the keys of payments, by how many `cards` there are."""

    def __init__(self, card_ids: Iterable[str]) -> None:
        self._cards = len(set(card_ids))
        self._fields_of = cache(self._make)  # one text per card and key, not one per payment

    def fill(self, payment: PaymentInput) -> PaymentInput:
        """The payment with every key that it may name."""
        return replace(payment, eur_cents=payment.amount, **self._fields_of(payment.instrument_id))

    def _make(self, card_id: str) -> dict[str, str]:
        return {
            "customer_id": f"customer {card_id}",
            "device_hash": f"device {self._one_of(CARDS_PER_DEVICE, 'device', card_id)}",
            "address_id": f"address {self._one_of(CARDS_PER_DEVICE, 'address', card_id)}",
            "network_id": f"network {self._one_of(CARDS_PER_NETWORK, 'network', card_id)}",
            "domain_id": f"domain {self._one_of(CARDS_PER_DOMAIN, 'domain', card_id)}",
            "bin_id": str(400_000 + crc32(f"bin {card_id}".encode()) % BINS),
            "country": COUNTRIES[crc32(f"country {card_id}".encode()) % len(COUNTRIES)],
        }

    def _one_of(self, cards_each: int, kind: str, card_id: str) -> int:
        return crc32(f"{kind} {card_id}".encode()) % max(1, self._cards // cards_each)
