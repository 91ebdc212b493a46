"""Events of `payments.v1`: every step of a payment, with the whole payment and no personal data."""

from datetime import datetime
from typing import Literal

import msgspec

from schemas.fraud import Counterfactual, Hold, Outcome, Source
from schemas.states import DeclineCode, PaymentState, Status

ProcessorName = Literal["visa", "mastercard", "paypal"]
PROCESSORS: tuple[ProcessorName, ...] = ("visa", "mastercard", "paypal")
MethodType = Literal["card", "paypal"]
RefusedKind = Literal["capture", "void", "refund"]


class Method(msgspec.Struct, frozen=True, omit_defaults=True):
    """What pays: a tokenized card, or PayPal (then all but `type` is absent). No expiry, no name, no number.

    That two payments are by the same number is told by their `stream_key` alone.
    """

    type: MethodType
    card: str | None = None
    brand: str | None = None
    bin: str | None = None
    last4: str | None = None


class AppliedRisk(msgspec.Struct, frozen=True):
    """The verdict that decided the payment. `waited_ms`: from the commit of `received` to its arrival.

    `hold` is that of a review; `counterfactual` is the verdict's.
    """

    outcome: Outcome
    source: Source
    score: float | None = None
    reasons: list[str] = []
    model: str | None = None
    waited_ms: float | None = None
    hold: Hold = "authorized"
    counterfactual: Counterfactual | None = None


class LastRefusal(msgspec.Struct, frozen=True):
    """The last capture, void or refund that the processor refused; the payment stayed as it was."""

    kind: RefusedKind
    decline_code: DeclineCode
    at: datetime


class Payment(msgspec.Struct, frozen=True):
    """A payment as every topic shows it. Amounts in minor units of `currency`; times UTC.

    `amount_capturable` is what is reserved and not captured yet; `amount_refunded` is a part of `amount_captured`.
    `stream_key` is the record's key and the instrument of the fraud features: of a card a keyed hash of its
    number, which no route answers to whoever sends that number; for PayPal the customer's id. `occurred_at` is
    when it happened at the payer's, `created_at` and `updated_at` when we stored it. `country` is that of the
    payer's IP address (ISO 3166-1 alpha-2). Keyed hashes: `ip_hash` of that address (of IPv6 the /64),
    `ip_network_hash` of its /24 (IPv6: the /64), `device_hash`, `email_domain_hash` of the domain of the paying
    account's e-mail address; null for one that anybody can have a mailbox of. `amount_eur_cents` is `amount` in
    euro cents by the rate of the day it happened, null where there is none.
    """

    id: str
    stream_key: str
    state: PaymentState
    status: Status
    amount: int
    amount_captured: int
    amount_refunded: int
    currency: str
    customer: str
    merchant: str
    method: Method
    capture: Literal["automatic", "manual"]
    occurred_at: datetime
    created_at: datetime
    updated_at: datetime
    processor: ProcessorName | None = None
    decline_code: DeclineCode | None = None
    risk: AppliedRisk | None = None
    attempts: int = 0
    country: str | None = None
    ip_hash: str | None = None
    device_hash: str | None = None
    amount_capturable: int = 0
    last_refusal: LastRefusal | None = None
    ip_network_hash: str | None = None
    email_domain_hash: str | None = None
    amount_eur_cents: int | None = None


class PaymentEvent(msgspec.Struct, frozen=True):
    """`payment.*`: the payment came to `payment.state` from `previous_state` (null: it is new).

    `sequence` counts the payment's events from 1 without gaps: drop what is not above the last you saw.
    """

    sequence: int
    previous_state: PaymentState | None
    recorded_at: datetime
    payment: Payment


class Refund(msgspec.Struct, frozen=True):
    """Money of a payment given back, `amount` minor units of `currency`; times UTC. No reason: it is free text.

    `decline_code` says why it failed; of one that `succeeded`, why `amount` is less than what was asked.
    """

    id: str
    amount: int
    currency: str
    status: Status
    decline_code: DeclineCode | None
    created_at: datetime
    updated_at: datetime


class RefundEvent(msgspec.Struct, frozen=True):
    """`refund.*`: the refund came to `refund.status`; the payment keeps its state.

    `sequence` is the payment's, and counts on with its other events.
    """

    sequence: int
    previous_state: PaymentState | None
    recorded_at: datetime
    payment: Payment
    refund: Refund


class LatestPayment(msgspec.Struct, frozen=True):
    """`payment.latest`: the payment as it stands after its event `sequence`."""

    sequence: int
    recorded_at: datetime
    payment: Payment


class TransactionCompleted(msgspec.Struct, frozen=True):
    """`transaction_completed`: the answer a client got, and each change of `status` after it."""

    sequence: int
    previous_state: PaymentState | None
    recorded_at: datetime
    status: Status
    previous_status: Status | None
    payment: Payment
