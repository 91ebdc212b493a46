"""What a client asks for when it creates a payment, checked, and the row it becomes."""

import hashlib
import ipaddress
from collections.abc import Iterator
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Annotated, Literal

import iptocc
import msgspec

from gateway.books.cards import Card
from gateway.books.payments import PaymentRow
from gateway.errors import FieldError
from schemas.cards import find_numbers
from schemas.ids import new_id
from schemas.money import AMOUNT_MAX, UnknownCurrency, exponent
from schemas.payments import ProcessorName
from schemas.times import EPOCH, now, now_micros, to_micros

AHEAD_MAX = timedelta(minutes=5)  # the fraud flow refuses what lies further ahead (design §6)

Text = Annotated[str, msgspec.Meta(max_length=500)]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class ByCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="card"):
    """A tokenized card; its CVC goes to the processor and is stored nowhere (PCI DSS 3.3.1.2)."""

    card: ShortText
    cvc: Annotated[str, msgspec.Meta(pattern="^[0-9]{3,4}$")] | None = None

    def __repr__(self) -> str:
        return "ByCard(…)"

    __str__ = __repr__


class ByPaypal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="paypal"):
    """PayPal: the payer approves on PayPal's page, then comes back to `return_url`."""


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payer's device. Both leave the gateway as keyed hashes only."""

    id: ShortText | None = None
    ip: Annotated[str, msgspec.Meta(max_length=45)] | None = None


class NewPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`amount` in minor units of `currency` (ISO 4217). `occurred_at` needs the scope `payments:import`."""

    amount: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    merchant: ShortText
    payment_method: ByCard | ByPaypal
    capture: Literal["automatic", "manual"] = "automatic"
    processor: ProcessorName | None = None
    description: Text | None = None
    metadata: Annotated[dict[ShortText, Text], msgspec.Meta(max_length=20)] | None = None
    return_url: Annotated[str, msgspec.Meta(max_length=2048)] | None = None
    device: Device | None = None
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def wrong_fields(payment: NewPayment) -> list[FieldError]:
    """What is wrong with a payment beyond the types of its fields; nothing that was sent is quoted."""
    return list(_wrong(payment))


def _wrong(payment: NewPayment) -> Iterator[FieldError]:
    try:
        exponent(payment.currency)
    except UnknownCurrency:
        yield FieldError("$.currency", "Not a currency of ISO 4217 with minor units.")
    by_paypal = isinstance(payment.payment_method, ByPaypal)
    if payment.processor is not None and by_paypal != (payment.processor == "paypal"):
        yield FieldError("$.processor", "This processor does not take this payment method.")
    if payment.occurred_at is not None and not EPOCH <= payment.occurred_at <= now() + AHEAD_MAX:
        yield FieldError("$.occurred_at", "Before 1970, or more than five minutes ahead.")
    if payment.device and payment.device.ip and not _is_address(payment.device.ip):
        yield FieldError("$.device.ip", "Not an IP address.")
    for path, text in _free_text(payment):
        if find_numbers(text):
            yield FieldError(path, "A card number stands in it; tokenize the card and send its id.")


def _free_text(payment: NewPayment) -> Iterator[tuple[str, str]]:
    yield "$.description", payment.description or ""
    yield "$.return_url", payment.return_url or ""
    yield "$.device.id", (payment.device.id if payment.device else None) or ""
    for number, (name, text) in enumerate((payment.metadata or {}).items()):
        yield f"$.metadata[{number}]", f"{name}\n{text}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def row_of(
    asked: NewPayment, customer: str, role: str, card: Card | None, ip: str | None, key: bytes, traceparent: str
) -> PaymentRow:
    """The row of a new payment. `ip`: the payer's address; `key` makes the hashes of it and of the device."""
    created = now_micros()
    device = asked.device.id if asked.device else None
    return PaymentRow(
        id=new_id("pay"),
        stream_key=card.fingerprint if card else customer,
        customer=customer,
        merchant=asked.merchant,
        amount=asked.amount,
        currency=asked.currency,
        method="card" if card else "paypal",
        card=card.id if card else None,
        brand=card.brand if card else None,
        bin=card.bin if card else None,
        last4=card.last4 if card else None,
        fingerprint=card.fingerprint if card else None,
        capture=asked.capture,
        wanted_processor=asked.processor,
        description=asked.description,
        metadata=msgspec.json.encode(asked.metadata).decode() if asked.metadata else None,
        return_url=asked.return_url,
        return_nonce=None if card else token_urlsafe(24),
        country=iptocc.country_code(ip) if ip else None,
        ip_hash=_keyed(key, "ip", ip),
        device_hash=_keyed(key, "device", device),
        traceparent=traceparent,
        occurred_at=to_micros(asked.occurred_at) if asked.occurred_at else created,
        created_at=created,
        viewer=role,
        updated_at=created,
    )


def _keyed(key: bytes, kind: str, value: str | None) -> str | None:
    """A keyed hash of personal data, 128 bits: equal values stay equal, and nobody can try values out."""
    if value is None:
        return None
    return hashlib.blake2b(f"{kind}\0{value}".encode(), key=key, digest_size=16).hexdigest()
