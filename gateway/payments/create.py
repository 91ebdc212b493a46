"""Creating a payment: what a client asks for, checked, the row it becomes, and its way to an answer."""

from collections.abc import Iterator
from datetime import datetime
from secrets import token_urlsafe
from typing import Annotated, assert_never

import iptocc
import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from gateway.addresses import canonical, neighbours_of, network_of
from gateway.books import merchants
from gateway.books.accounts import Account, email_domain_hash
from gateway.books.cards import CardRow, select_card
from gateway.books.idempotency import IdempotentAnswer, KeyedRequest, select_answer
from gateway.books.payments import CaptureMode, PaymentRow
from gateway.books.stops import EVERYTHING, stops_met
from gateway.free_text import FreeText, ShortText, UrlText, of_class
from gateway.keyed_hashes import personal_hash
from gateway.payments.commit import receive
from gateway.payments.lifecycle import advance
from gateway.payments.routing import (
    STOPPED_RETRY_S,
    SalesStopped,
    able_to,
    amount_error,
    first_processor,
    takes,
)
from gateway.prints import Prints
from gateway.refusals import FieldError, InvalidFields, NoSuchObject, NotAllowed
from gateway.return_urls import may_return
from gateway.runtime import Runtime
from schemas.ids import new_id
from schemas.money import AMOUNT_MAX, in_use
from schemas.payments import MethodType, ProcessorName
from schemas.times import AHEAD_MAX, EPOCH, from_micros, now, now_micros, to_micros

SUSPENDED_RETRY_S = 3_600  # a person looks into it
OF_MERCHANT = "New payments to this merchant are not taken at the moment."


class ByCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="card"):
    """A tokenized card; its CVC goes to the processor and is stored nowhere (PCI DSS 3.3.1.2).

    Visa and Mastercard print three digits.
    """

    card: ShortText
    cvc: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{3}\Z")] | None = None

    def __repr__(self) -> str:
        return "ByCard(…)"

    __str__ = __repr__


class ByPaypal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="paypal"):
    """PayPal: the payer approves on PayPal's page, then comes back to `return_url`."""


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payer's device. Both leave the gateway as keyed hashes only."""

    id: ShortText | None = None
    ip: Annotated[str, msgspec.Meta(max_length=45, extra=of_class("code"))] | None = None


class NewPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`amount` in minor units of `currency` (ISO 4217). `occurred_at` needs the scope `payments:import`.

    `reference`: the client's own; payments are found by it.
    """

    amount: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)]
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
    merchant: ShortText
    payment_method: ByCard | ByPaypal
    capture: CaptureMode = "automatic"
    processor: ProcessorName | None = None
    reference: ShortText | None = None
    description: FreeText | None = None
    metadata: Annotated[dict[ShortText, FreeText], msgspec.Meta(max_length=20)] | None = None
    return_url: UrlText | None = None
    device: Device | None = None
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def method(self) -> MethodType:
        """The kind of payment method."""
        match self.payment_method:
            case ByCard():
                return "card"
            case ByPaypal():
                return "paypal"
            case _:
                assert_never(self.payment_method)


class Payer(msgspec.Struct, frozen=True):
    """Who pays: an account, and the address it pays from where that is known.

    `imports`: it may say when a payment happened (the scope `payments:import`).
    """

    account_id: str
    ip: str | None
    traceparent: str
    imports: bool = False


class Created(msgspec.Struct, frozen=True):
    """What a request for a payment is answered; `replayed`: an earlier request under its key was."""

    answer: IdempotentAnswer | None
    replayed: bool = False


class Named(msgspec.Struct, frozen=True):
    """What a new payment names: who sells, and the payer's card. `stopped`: which processors take no new ones.

    `email_domain_hash`: of the payer's account.
    """

    merchant: Account
    card: CardRow | None
    stopped: frozenset[str]
    email_domain_hash: str | None


async def create(runtime: Runtime, request: KeyedRequest, asked: NewPayment, payer: Payer) -> Created:
    """Take a payment from a request to its answer; the answer is None where someone else gave it meanwhile.

    Before anything is written, raises `InvalidFields`, `NotAllowed`, `NoSuchObject`, `SalesStopped`,
    `KeyReused`, `RequestRunning` and `VaultAway`.
    """
    if errors := list(_wrong_fields(asked)):
        raise InvalidFields(*errors)
    if asked.occurred_at is not None and not payer.imports:
        raise NotAllowed("Saying when a payment happened needs the scope payments:import.")
    named = await runtime.books.read(_find, request, asked, payer.account_id)
    if isinstance(named, IdempotentAnswer):
        return Created(named, replayed=True)
    row = _checked_row(runtime, asked, named, payer)
    first, cvc = first_processor(row, named.stopped), None
    if isinstance(asked.payment_method, ByCard):
        cvc = asked.payment_method.cvc
        await runtime.vault.check()  # better no payment than one that fails for the vault
    received = await runtime.books.write(receive, runtime.policy, request, row)
    if isinstance(received, IdempotentAnswer):
        return Created(received, replayed=True)
    answer = (await advance(runtime, received, cvc, first)).answer_to(request)
    return Created(answer, replayed=received.id != row.id)


def row_of(asked: NewPayment, payer: Payer, card: CardRow | None, key: bytes, prints: Prints) -> PaymentRow:
    """The row of a new payment; `key` makes the hashes of address and device, `prints` the card's instrument."""
    created = now_micros()
    ip = canonical(payer.ip) if payer.ip else None
    return PaymentRow(
        id=new_id("pay"),
        stream_key=prints.instrument(card.fingerprint) if card else payer.account_id,
        customer_id=payer.account_id,
        merchant_id=asked.merchant,
        amount=asked.amount,
        currency=asked.currency,
        method=asked.method(),
        card_id=card.id if card else None,
        brand=card.brand if card else None,
        bin=card.bin if card else None,
        last4=card.last4 if card else None,
        fingerprint=card.fingerprint if card else None,
        capture=asked.capture,
        wanted_processor=asked.processor,
        reference=asked.reference,
        description=asked.description,
        metadata=msgspec.json.encode(asked.metadata).decode() if asked.metadata else None,
        return_url=asked.return_url,
        return_nonce=None if card else token_urlsafe(24),
        country=iptocc.country_code(ip) if ip else None,
        ip_hash=_hashed(key, "ip", network_of(ip) if ip else None),
        device_hash=_hashed(key, "device", asked.device.id if asked.device else None),
        ip_network_hash=_hashed(key, "network", neighbours_of(ip) if ip else None),
        traceparent=payer.traceparent,
        occurred_at=to_micros(asked.occurred_at) if asked.occurred_at else created,
        created_at=created,
        updated_at=created,
    )


def _wrong_fields(asked: NewPayment) -> Iterator[FieldError]:
    """What is wrong with a payment beyond the types of its fields; nothing that was sent is quoted."""
    if not in_use(asked.currency):
        yield FieldError("$.currency", "Not a currency of ISO 4217 with minor units.")
    elif error := amount_error(_asked_of(asked), asked.amount, asked.currency):
        yield error
    if asked.processor is not None and not takes(asked.processor, asked.method()):
        yield FieldError("$.processor", "This processor does not take this payment method.")
    if asked.occurred_at is not None and not EPOCH <= asked.occurred_at <= now() + AHEAD_MAX:
        yield FieldError("$.occurred_at", "Before 1970, or more than five minutes ahead.")
    if asked.device and asked.device.ip and canonical(asked.device.ip) is None:
        yield FieldError("$.device.ip", "Not an IP address.")


def _asked_of(asked: NewPayment) -> list[ProcessorName]:
    able = able_to(asked.method())
    return [asked.processor] if asked.processor in able else able


def _find(conn: Connection, request: KeyedRequest, asked: NewPayment, payer_id: str) -> Named | IdempotentAnswer:
    """What the request names, or what it was answered before: a repeat needs none of it to be there still."""
    if answer := select_answer(conn, request):
        return answer
    merchant = merchants.bare_by_id(conn, asked.merchant)
    if merchant is None:
        raise NoSuchObject("There is no such merchant.")
    if merchant.suspended_at is not None:
        raise SalesStopped(OF_MERCHANT, SUSPENDED_RETRY_S)
    stopped, domain_hash = _stopped(conn, merchant.id), email_domain_hash(conn, payer_id)
    if not isinstance(asked.payment_method, ByCard):
        return Named(merchant, None, stopped, domain_hash)
    card = select_card(conn, asked.payment_method.card, payer_id)
    if card is None:
        raise NoSuchObject("There is no such card.")
    return Named(merchant, card, stopped, domain_hash)


def _stopped(conn: Connection, merchant_id: str) -> frozenset[str]:
    """The processors that are stopped. Raises `SalesStopped` where the merchant is, or everything."""
    stopped = stops_met(conn, merchant_id)
    if EVERYTHING in stopped:
        raise SalesStopped(retry_after_s=STOPPED_RETRY_S)
    if merchant_id in stopped:
        raise SalesStopped(OF_MERCHANT, STOPPED_RETRY_S)
    return stopped


def _checked_row(runtime: Runtime, asked: NewPayment, named: Named, payer: Payer) -> PaymentRow:
    if asked.return_url is not None:
        origins, urls = (_texts(found) for found in (named.merchant.return_origins, named.merchant.return_urls))
        if not may_return(asked.return_url, origins, urls, runtime.settings.profile):
            raise InvalidFields(FieldError("$.return_url", "Its origin is not registered for the merchant."))
    row = row_of(asked, payer, named.card, runtime.key, runtime.policy.prints)
    return replace(
        row,
        email_domain_hash=None if payer.imports else named.email_domain_hash,  # an importer pays for many
        amount_eur_cents=runtime.policy.rates.cents_on(row.amount, row.currency, from_micros(row.occurred_at)),
    )


def _texts(stored: str) -> list[str]:
    return msgspec.json.decode(stored, type=list[str])


def _hashed(key: bytes, kind: str, value: str | None) -> str | None:
    """A keyed hash of personal data, 128 bits: equal values stay equal, and nobody can try values out."""
    if value is None:
        return None
    return personal_hash(key, kind, value)
