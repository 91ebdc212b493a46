"""What may stand on a list, of each kind: what somebody typed, checked, and what stands for it in the books.

A card is known by its instrument, never by its number. What is personal becomes the keyed hash that payments
carry, and is sealed as it was typed: staff see it, and nobody who has only the database does.
"""

import re
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, assert_never

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import Connection

from gateway.addresses import canonical, network_of
from gateway.books.cards import select_any_card
from gateway.books.payments import select_payment
from gateway.free_text import NUMBER_FOUND, why_refused
from gateway.keyed_hashes import keyed_hash, personal_hash
from gateway.prints import Prints
from schemas.lists import COUNTRIES, ListKind, ListName

VALUE_MAX = 128  # characters, as a payment's device
REASON_MAX = 500
BROAD_MAX = timedelta(days=7)
NETWORK_BITS = {4: 24, 6: 64}
MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 addresses written as IPv6 ones (RFC 4291 §2.5.5.2)

BIN = re.compile(r"[0-9]{6}|[0-9]{8}")
ACCOUNT_ID = re.compile(r"acc_[0-9a-z]{26}")
INSTRUMENT = re.compile(r"ins_[a-z]{32}")

EntryFault = Literal[
    "value_invalid",
    "network_size",
    "not_found",
    "card_number",
    "security_code",
    "reason_invalid",
    "expired",
    "allow_too_broad",
]
FAULTS: dict[EntryFault, tuple[str, str]] = {  # the field, and what is wrong with it
    "value_invalid": ("value", "Not a value of this kind."),
    "network_size": ("value", "A network is a /24, or a /64 of IPv6."),
    "not_found": ("value", "There is no such card, or no payment by card of this id."),
    "card_number": ("value", NUMBER_FOUND),
    "security_code": ("value", "A card's security code stands in it."),
    "reason_invalid": ("reason", "A reason has 1 to 500 characters, and no card number or code."),
    "expired": ("expires_at", "It has passed."),
    "allow_too_broad": ("expires_at", "An allow entry of a country or BIN ends within 7 days."),
}


class EntryRefused(Exception):
    """An entry cannot be meant; `fault` says why, and nothing of it is quoted."""

    def __init__(self, fault: EntryFault) -> None:
        super().__init__(fault)
        self.fault = fault


class EntryAsked(msgspec.Struct, frozen=True):
    """An entry as somebody typed it; `expires_at` has a zone."""

    list: ListName
    kind: ListKind
    value: Annotated[str, msgspec.Meta(max_length=VALUE_MAX)]
    reason: str
    expires_at: datetime | None = None


class ListedValue(msgspec.Struct, frozen=True):
    """What stands for a value in the books and on `controls.v1`; `shown`: the personal one as typed, sealed."""

    stored: str
    shown: bytes | None = None


class ListValues:
    """Checks values and makes what stands for them, with the keys of the gateway."""

    def __init__(self, key: bytes, prints: Prints) -> None:
        self._key, self._prints = key, prints
        self._siv = AESSIV(keyed_hash(key, "list values", size=64))

    def of(self, conn: Connection, kind: ListKind, text: str) -> ListedValue:
        """What stands for a value that was typed. Raises `EntryRefused`."""
        match kind:
            case "card":
                return ListedValue(self._instrument(conn, text))
            case "bin":
                return ListedValue(_matched(BIN, text))
            case "customer" | "merchant":
                return ListedValue(_matched(ACCOUNT_ID, text))
            case "country":
                return ListedValue(_country(text))
            case "ip":
                purpose, address = _address(text)
                return self._personal(purpose, address)
            case "device":
                if not text or "\0" in text:
                    raise EntryRefused("value_invalid")
                return self._personal("device", text)
            case _:
                assert_never(kind)

    def opened(self, stored: str, shown: bytes | None) -> str:
        """A value as staff see it; the hash where the books were only told that."""
        return stored if shown is None else self._siv.decrypt(shown, [stored.encode()]).decode()

    def _personal(self, purpose: str, text: str) -> ListedValue:
        stored = personal_hash(self._key, purpose, text)
        return ListedValue(stored, self._siv.encrypt(text.encode(), [stored.encode()]))

    def _instrument(self, conn: Connection, text: str) -> str:
        if INSTRUMENT.fullmatch(text):
            return text
        fingerprint = None
        if text.startswith("card_") and (card := select_any_card(conn, text)):
            fingerprint = card.fingerprint
        elif text.startswith("pay_") and (payment := select_payment(conn, text)):
            fingerprint = payment.fingerprint
        elif not text.startswith(("card_", "pay_")):
            raise EntryRefused("value_invalid")
        if fingerprint is None:
            raise EntryRefused("not_found")
        return self._prints.instrument(fingerprint)


def check_entry(asked: EntryAsked, now: datetime) -> None:
    """Check what does not depend on what there is, at `now`. Raises `EntryRefused`."""
    if found := why_refused(asked.value):
        raise EntryRefused("card_number" if found == NUMBER_FOUND else "security_code")
    if not 0 < len(asked.reason) <= REASON_MAX or "\0" in asked.reason or why_refused(asked.reason):
        raise EntryRefused("reason_invalid")
    if asked.expires_at is not None and asked.expires_at <= now:
        raise EntryRefused("expired")
    is_broad = asked.list == "allow" and asked.kind in ("country", "bin")
    if is_broad and (asked.expires_at is None or asked.expires_at > now + BROAD_MAX):
        raise EntryRefused("allow_too_broad")


def _matched(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise EntryRefused("value_invalid")
    return text


def _country(text: str) -> str:
    code = text.upper()
    if not text.isascii() or code not in COUNTRIES:  # an "ß" would become Southern Sudan
        raise EntryRefused("value_invalid")
    return code


def _address(text: str) -> tuple[str, str]:
    """What an address or network is hashed for, and in its one spelling, as a payment's (`network_of`)."""
    if "/" not in text:
        found = canonical(text)
        if found is None:
            raise EntryRefused("value_invalid")
        return "ip", network_of(found) if ":" in found else found
    network = _network(text)
    if network.prefixlen == network.max_prefixlen:
        return "ip", network_of(str(network.network_address))
    if network.prefixlen != NETWORK_BITS[network.version]:
        raise EntryRefused("network_size")
    return ("ip", str(network)) if network.version == 6 else ("network", str(network))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError:  # also where an address in it is meant, not the network: which of the two?
        raise EntryRefused("value_invalid") from None
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        address = network.network_address.ipv4_mapped
        return IPv4Network((int(address or 0), network.prefixlen - MAPPED.prefixlen))
    return network
