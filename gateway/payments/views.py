"""A payment as others see it: on the topics, by role over HTTP, and operation by operation for staff."""

from datetime import datetime
from typing import Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from gateway.books.idempotency import JSON, IdempotentAnswer, RunningRequest
from gateway.books.operations import Attempt, Operation
from gateway.books.payments import PaymentRow, may_be_unasked
from gateway.books.persons import is_sealed
from gateway.books.refunds import RefundRow
from gateway.payments.changes import Change, capturable
from gateway.payments.routing import RoutingReason, routing_reason
from gateway.prints import Prints
from gateway.problems import CONTENT_TYPE, processor_declined
from gateway.roles import STAFF
from schemas.fraud import Counterfactual, Hold, Outcome, Source
from schemas.operations import OperationKind, OperationStatus
from schemas.payments import AppliedRisk, LastRefusal, Method, MethodType, Payment, ProcessorName, Refund
from schemas.states import STATUS, DeclineCode, PaymentState, Status
from schemas.times import from_micros, now_micros, steady_micros


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
        customer=row.customer_id,
        merchant=row.merchant_id,
        method=Method(row.method, row.card_id, row.brand, row.bin, row.last4),
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
        amount_capturable=capturable(row),
        last_refusal=row.refused(),
        ip_network_hash=row.ip_network_hash,
        email_domain_hash=row.email_domain_hash,
        amount_eur_cents=row.amount_eur_cents,
    )


def refund_snapshot(row: RefundRow, updated_at: datetime) -> Refund:
    """The refund as every topic shows it: without its reason, which is free text."""
    return Refund(
        row.id,
        row.amount,
        row.currency,
        row.status,
        row.decline_code,
        from_micros(row.created_at),
        updated_at,
    )


class Reader(Protocol):
    """Who is shown a payment: a caller, or whoever sent a request that runs on it."""

    @property
    def account_id(self) -> str:
        """An account's id, or a service client's."""
        ...

    @property
    def role(self) -> str:
        """The account's role, or `service`."""
        ...


class MethodView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What pays, as one reader sees it: a tokenized card, or PayPal (then all but `type` is absent).

    `fingerprint` says "the same number" to this reader alone: to the payer as on its cards; to the merchant as on
    all payments made to it, never as on a card. Staff have `instrument` for it, but not of what they pay
    themselves.
    """

    type: MethodType
    card: str | None = None
    brand: str | None = None
    bin: str | None = None
    last4: str | None = None
    fingerprint: str | None = None
    instrument: str | None = None


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
    hold: Hold | UnsetType = UNSET
    counterfactual: Counterfactual | UnsetType | None = UNSET


class PaymentView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payment over HTTP. Amounts in minor units of `currency`; times UTC. A customer sees no `risk`.

    `processor` is null before one is chosen. While a payment is in work or held, and once it is declined, a
    customer does not see whether an issuer was asked: `processor` is null, and `attempts` 1. `pending_reason`: the
    processor's own word for what the open call waits for, where it said so.
    """

    id: str
    status: Status
    state: PaymentState
    amount: int
    currency: str
    customer: str
    merchant: str
    payment_method: MethodView
    capture: Literal["automatic", "manual"]
    processor: str | None
    created_at: datetime
    updated_at: datetime
    attempts: int = msgspec.field(default_factory=lambda: 0)
    amount_capturable: int = msgspec.field(default_factory=lambda: 0)
    amount_captured: int = msgspec.field(default_factory=lambda: 0)
    amount_refunded: int = msgspec.field(default_factory=lambda: 0)
    object: Literal["payment"] = msgspec.field(default_factory=lambda: "payment")  # a factory: never omitted
    reference: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    next_action: NextAction | None = None
    decline_code: str | None = None
    last_refusal: LastRefusal | None = None
    pending_reason: str | None = None
    risk: RiskView | None = None


def role_towards(row: PaymentRow | RefundRow, reader: Reader) -> str:
    """Whose view of a payment an account gets: a merchant who pays another one sees what any payer does."""
    return "customer" if reader.role == "merchant" and reader.account_id != row.merchant_id else reader.role


def payment_view(row: PaymentRow, reader: Reader, prints: Prints) -> PaymentView:
    """The payment as `reader` may see it; its texts are still sealed."""
    role, risk = role_towards(row, reader), row.applied_risk()
    # A customer must not learn whether our gate or the issuer said no: a thief would find out which cards live.
    veiled = may_be_unasked(row.state) and not _sees_risk(role)
    redirect = row.redirect_url if row.state == "requires_action" else None
    return PaymentView(
        id=row.id,
        status=STATUS[row.state],
        state=row.state,
        amount=row.amount,
        amount_capturable=capturable(row),
        amount_captured=row.amount_captured,
        amount_refunded=row.amount_refunded,
        currency=row.currency,
        customer=row.customer_id,
        merchant=row.merchant_id,
        payment_method=_method_view(row, reader, prints),
        capture=row.capture,
        processor=None if veiled else row.processor,
        reference=row.reference,
        description=row.description,
        metadata=_metadata(row.metadata),
        next_action=NextAction("redirect", redirect) if redirect else None,
        decline_code="generic_decline" if veiled and row.decline_code == "blocked" else row.decline_code,
        last_refusal=row.refused(),
        pending_reason=row.pending_reason,
        risk=_risk(risk, role),
        attempts=1 if veiled else row.attempts,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.created_at if veiled and row.state == "processing" else row.updated_at),
    )


def _metadata(kept: str | None) -> dict[str, str] | None:
    """What is sealed stays so, under an empty name, until the answer leaves (`gateway.web.opened_texts`)."""
    if kept is None:
        return None
    return {"": kept} if is_sealed(kept) else msgspec.json.decode(kept, type=dict[str, str])


class RefundView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refund over HTTP. `amount` in minor units of `currency`; times UTC.

    Where a part was given back before the processor refused the rest, it is `succeeded` with that part as its
    `amount` and the refusal's `decline_code`. `reason` is not for the payer. `pending_reason` as of a payment.
    """

    id: str
    payment: str
    amount: int
    currency: str
    status: Status
    created_at: datetime
    object: Literal["refund"] = msgspec.field(default_factory=lambda: "refund")  # a factory: never omitted
    reason: str | None = None
    decline_code: DeclineCode | None = None
    pending_reason: str | None = None


def refund_view(row: RefundRow, role: str) -> RefundView:
    """The refund as an account of this role may see it."""
    return RefundView(
        id=row.id,
        payment=row.payment_id,
        amount=row.amount,
        currency=row.currency,
        status=row.status,
        created_at=from_micros(row.created_at),
        reason=row.reason if _sees_risk(role) else None,
        decline_code=row.decline_code,
        pending_reason=row.pending_reason,
    )


def answer_to(request: RunningRequest, change: Change, payment: PaymentRow, prints: Prints) -> IdempotentAnswer:
    """What a request that ran on a payment is answered once a change leaves it at rest."""
    status = 202 if change.waiting else request.ok_status
    if request.body is not None:
        return IdempotentAnswer(status, request.body, JSON)
    refusal, refund = payment.refused(), change.refund
    if change.refused and refusal:
        body = processor_declined(refusal.decline_code, payment.id, refund.id if refund else None)
        return IdempotentAnswer(402, body, CONTENT_TYPE)
    role = role_towards(payment, request)
    shown = refund_view(refund, role) if refund else payment_view(payment, request, prints)
    return IdempotentAnswer(status, msgspec.json.encode(shown), JSON)


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a processor. `amount` in minor units of `currency`; times UTC.

    `id` is the request id the processor got, `processor_reference` its own. `milliseconds`: from the commit before
    the call to the commit of its answer; null while it is open. `requested_by`: the account that asked for it;
    null where it follows by itself. `routing_reason`: why this processor: the client `named` it, it is the
    `first_choice` for the payment, that takes no new ones (`first_choice_stopped`), or an earlier one could not
    take it (`failover`). `pending_reason`: the processor's own word for what it waits for; `asked_again_at`: when
    we ask next, while its end is not known.
    """

    id: str
    object: Literal["operation"] = "operation"
    kind: OperationKind
    processor: ProcessorName
    status: OperationStatus
    amount: int
    currency: str
    attempt: int
    routing_reason: RoutingReason
    parent: str | None
    refund: str | None
    requested_by: str | None
    processor_reference: str | None
    decline_code: DeclineCode | None
    pending_reason: str | None
    asked_again_at: datetime | None
    detail: str
    milliseconds: float | None
    created_at: datetime
    finished_at: datetime | None


def operation_views(row: PaymentRow, attempts: list[Attempt], operations: list[Operation]) -> list[OperationView]:
    """The operations of a payment, the oldest first."""
    numbers = {attempt.id: attempt.number for attempt in attempts}
    return [_operation_view(row, operation, numbers[operation.attempt_id]) for operation in operations]


def milliseconds(operation: Operation) -> float | None:
    """How long an operation took by the wall clock, which may be set back; None while it is open."""
    return None if operation.finished_at is None else max(0, operation.finished_at - operation.created_at) / 1000


def _operation_view(row: PaymentRow, operation: Operation, attempt: int) -> OperationView:
    o = operation
    return OperationView(
        id=o.id,
        kind=o.kind,
        processor=o.processor,
        status=o.status,
        amount=o.amount,
        currency=o.currency,
        attempt=attempt,
        routing_reason=routing_reason(row, o.processor, attempt),
        parent=o.parent_id,
        refund=o.refund_id,
        requested_by=o.requested_by,
        processor_reference=o.processor_reference,
        decline_code=o.decline_code,
        pending_reason=o.pending_reason,
        asked_again_at=_asked_again_at(o),
        detail=o.detail,
        milliseconds=milliseconds(o),
        created_at=from_micros(o.created_at),
        finished_at=from_micros(o.finished_at) if o.finished_at is not None else None,
    )


def _asked_again_at(operation: Operation) -> datetime | None:
    """By the wall clock, as it goes now: what is due is kept by the steady one."""
    if operation.status != "unknown" or operation.lease_until is None:
        return None
    return from_micros(now_micros() + operation.lease_until - steady_micros())


def _sees_risk(role: str) -> bool:
    """Staff and merchants; nobody else, whatever they are."""
    return role in STAFF or role == "merchant"


def _method_view(row: PaymentRow, reader: Reader, prints: Prints) -> MethodView:
    shown = MethodView(row.method, row.card_id, row.brand, row.bin, row.last4)
    if row.fingerprint is None:
        return shown
    # Who pays comes first, whatever else it is: what it sees of a number that it sent is made for it alone.
    if reader.account_id == row.customer_id:
        return replace(shown, fingerprint=prints.of_card(row.customer_id, row.fingerprint))
    if reader.role in STAFF:
        return replace(shown, instrument=row.stream_key)
    if reader.account_id == row.merchant_id:
        return replace(shown, fingerprint=prints.of_payment(row.merchant_id, row.fingerprint))
    return shown


def _risk(risk: AppliedRisk | None, role: str) -> RiskView | None:
    if risk is None or not _sees_risk(role):
        return None
    return RiskView(**msgspec.structs.asdict(risk)) if role in STAFF else RiskView(risk.outcome)
