"""A payment as others see it: on the topics, and by role over HTTP."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from gateway.books.payments import PaymentRow
from gateway.identity.roles import STAFF
from schemas.fraud import Outcome, Source
from schemas.payments import AppliedRisk, Method, Payment
from schemas.states import STATUS, PaymentState, Status
from schemas.times import from_micros


def snapshot(row: PaymentRow) -> Payment:
    """The payment as every topic shows it: nothing personal, no description, no metadata."""
    return Payment(
        id=row.id,
        stream_key=row.stream_key,
        state=row.state,
        status=STATUS[row.state],
        amount=row.amount,
        amount_captured=row.amount_captured,
        amount_refunded=row.amount_refunded,
        currency=row.currency,
        customer=row.customer,
        merchant=row.merchant,
        method=_method(row),
        capture=row.capture,
        occurred_at=from_micros(row.occurred_at),
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        processor=row.processor,
        decline_code=row.decline_code,
        risk=row.applied_risk(),
        attempts=row.attempts,
        country=row.country,
        ip_hash=row.ip_hash,
        device_hash=row.device_hash,
    )


class NextAction(msgspec.Struct, frozen=True):
    """Send the payer to `url`."""

    type: Literal["redirect"]
    url: str


class RiskView(msgspec.Struct, frozen=True):
    """The verdict that decided, as staff see it; a merchant sees `outcome` alone."""

    outcome: Outcome
    source: Source | UnsetType = UNSET
    score: float | UnsetType | None = UNSET
    reasons: list[str] | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    waited_ms: float | UnsetType | None = UNSET


class PaymentView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payment over HTTP. Amounts in minor units of `currency`; times UTC. A customer sees no `risk`.

    `processor` is null before one is chosen, and for a customer where the payment is declined.
    """

    id: str
    status: Status
    state: PaymentState
    amount: int
    currency: str
    customer: str
    merchant: str
    payment_method: Method
    capture: Literal["automatic", "manual"]
    processor: str | None
    created_at: datetime
    updated_at: datetime
    attempts: int = msgspec.field(default_factory=lambda: 0)
    amount_captured: int = msgspec.field(default_factory=lambda: 0)
    amount_refunded: int = msgspec.field(default_factory=lambda: 0)
    object: Literal["payment"] = msgspec.field(default_factory=lambda: "payment")  # a factory: never omitted
    description: str | None = None
    metadata: dict[str, str] | None = None
    next_action: NextAction | None = None
    decline_code: str | None = None
    risk: RiskView | None = None


def view(row: PaymentRow, role: str) -> PaymentView:
    """The payment as an account of this role may see it."""
    risk = row.applied_risk()
    # A customer must not learn that it was our gate that refused, or a thief would tune against it.
    veiled = row.state == "declined" and role == "customer"
    redirect = row.redirect_url if row.state == "requires_action" else None
    return PaymentView(
        id=row.id,
        status=STATUS[row.state],
        state=row.state,
        amount=row.amount,
        amount_captured=row.amount_captured,
        amount_refunded=row.amount_refunded,
        currency=row.currency,
        customer=row.customer,
        merchant=row.merchant,
        payment_method=_method(row),
        capture=row.capture,
        processor=None if veiled else row.processor,
        description=row.description,
        metadata=msgspec.json.decode(row.metadata, type=dict[str, str]) if row.metadata else None,
        next_action=NextAction("redirect", redirect) if redirect else None,
        decline_code="generic_decline" if veiled and row.decline_code == "blocked" else row.decline_code,
        risk=_risk(risk, role),
        attempts=1 if veiled else row.attempts,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
    )


def view_bytes(row: PaymentRow, role: str) -> bytes:
    """`view` as the JSON that is sent and stored."""
    return msgspec.json.encode(view(row, role))


def _method(row: PaymentRow) -> Method:
    return Method(row.method, row.card, row.brand, row.bin, row.last4, row.fingerprint)


def _risk(risk: AppliedRisk | None, role: str) -> RiskView | None:
    if risk is None or role == "customer":
        return None
    return RiskView(**msgspec.structs.asdict(risk)) if role in STAFF else RiskView(risk.outcome)
