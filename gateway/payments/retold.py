"""The rows of a payment, made of what the topics tell of it: the reverse of `telling`. Pure.

What no topic tells is lost: what payer and merchant wrote, the nonce of an order's return address, who holds a
review, what a call that is out will come to.
"""

from collections.abc import Iterable
from typing import NamedTuple, assert_never

import msgspec

from gateway.books.operations import OPEN, Attempt, Operation
from gateway.books.payments import PaymentRow, RecoveryPoint
from gateway.books.refunds import RefundRow
from gateway.books.reviews import ExpectedLoss, Review
from schemas.events import Event
from schemas.fraud import Label, Verdict
from schemas.operations import OperationEvent, ProcessorOperation
from schemas.payments import Payment, PaymentEvent, Refund, RefundEvent, TransactionCompleted
from schemas.reviews import PaymentReview, ReviewEvent
from schemas.times import to_micros

OfPayment = PaymentEvent | RefundEvent | TransactionCompleted


class ToldPayment(msgspec.Struct, frozen=True):
    """What the topics tell of a payment and the books lack; of each subject in the order of its `sequence`."""

    payment_id: str
    events: list[Event] = []
    operations: list[OperationEvent] = []
    reviews: list[ReviewEvent] = []
    labels: list[Label] = []
    verdict: Verdict | None = None

    def told(self) -> list[OfPayment]:
        """Its own events' data."""
        return [event.data for event in self.events if isinstance(event.data, OfPayment)]

    def refunds(self) -> dict[str, Refund]:
        """Its refunds as they were told of last, by their ids."""
        return {data.refund.id: data.refund for data in self.told() if isinstance(data, RefundEvent)}


class WhenAgain(NamedTuple):
    """When recovery looks again at what is not at rest, by the steady clock (microseconds)."""

    now: int
    review_ends: int


def payment_row(
    known: PaymentRow | None, told: ToldPayment, fingerprint: str | None, calls_open: bool, again: WhenAgain
) -> PaymentRow:
    """The payment as its last event shows it. `known`: as the books have it; `fingerprint`: of its card, if known.

    `calls_open`: whether the end of a call of it is not known.
    """
    newest = told.told()[-1]
    shown = newest.payment
    row = known or _new_row(shown, told.events[0].traceparent, fingerprint)
    point, lease_until = _recovery(told.events[-1].type, shown, calls_open, again)
    announced = [data.status for data in told.told() if isinstance(data, TransactionCompleted)]
    return msgspec.structs.replace(
        row,
        state=shown.state,
        announced=announced[-1] if announced else row.announced,
        recovery_point=point,
        version=row.version + 1,
        sequence=newest.sequence,
        amount_captured=shown.amount_captured,
        amount_refunded=shown.amount_refunded,
        processor=shown.processor,
        decline_code=shown.decline_code,
        last_refusal=_json(shown.last_refusal),
        pending_reason=None,
        risk=_json(shown.risk),
        risk_outcome=shown.risk.outcome if shown.risk else None,
        attempts=shown.attempts,
        worker_id=None,
        lease_until=lease_until,
        updated_at=to_micros(shown.updated_at),
    )


def _new_row(shown: Payment, traceparent: str | None, fingerprint: str | None) -> PaymentRow:
    return PaymentRow(
        id=shown.id,
        stream_key=shown.stream_key,
        customer_id=shown.customer,
        merchant_id=shown.merchant,
        amount=shown.amount,
        currency=shown.currency,
        method=shown.method.type,
        card_id=shown.method.card,
        brand=shown.method.brand,
        bin=shown.method.bin,
        last4=shown.method.last4,
        fingerprint=fingerprint,
        capture=shown.capture,
        country=shown.country,
        ip_hash=shown.ip_hash,
        device_hash=shown.device_hash,
        ip_network_hash=shown.ip_network_hash,
        email_domain_hash=shown.email_domain_hash,
        amount_eur_cents=shown.amount_eur_cents,
        traceparent=traceparent,
        occurred_at=to_micros(shown.occurred_at),
        created_at=to_micros(shown.created_at),
        updated_at=to_micros(shown.updated_at),
    )


def _recovery(
    last_type: str, shown: Payment, calls_open: bool, again: WhenAgain
) -> tuple[RecoveryPoint, int | None]:
    """Where recovery finds the payment, and when."""
    match shown.state:
        case "processing" if calls_open:
            return "judged", None  # its call has a lease of its own
        case "processing":
            return ("approved" if last_type == "payment.approved" else "received"), again.now
        case "in_review" if shown.risk and shown.risk.hold == "unsent":
            return "finished", again.review_ends
        case "in_review" | "requires_action" | "authorized" | "partially_captured" | "captured":
            return "finished", None
        case "voided" | "declined" | "failed" | "unknown":
            return "finished", None
        case _:
            assert_never(shown.state)


def operation_row(
    known: Operation | None, event: OperationEvent, ordinal: int, parent_reference: str | None, again: WhenAgain
) -> Operation:
    """The operation as an event of it shows it. `parent_reference`: the processor's, of the one it follows."""
    o = event.operation
    row = known or Operation(
        id=o.id,
        payment_id=o.payment,
        attempt_id=o.attempt,
        processor=o.processor,
        kind=o.kind,
        parent_id=o.parent,
        parent_reference=parent_reference,
        amount=o.amount,
        currency=o.currency,
        part=o.part,
        final=o.final,
        refund_id=o.refund,
        replaces_id=o.replaces,
        requested_by=o.requested_by,
        ordinal=ordinal,
        created_at=to_micros(o.created_at),
    )
    return msgspec.structs.replace(
        row,
        status=o.status,
        processor_reference=o.processor_reference,
        decline_code=o.decline_code,
        detail=o.detail,
        worker_id=None,
        lease_until=again.now if _is_asked_for(o) else None,
        finished_at=None if o.finished_at is None else to_micros(o.finished_at),
        sequence=event.sequence,
    )


def _is_asked_for(o: ProcessorOperation) -> bool:
    """Whether a processor may know more of it: how often it was asked is on no topic, so it is asked anew."""
    match o.status:
        case "unknown" | "failed":
            return True
        case "succeeded":
            return o.kind == "order"
        case "declined" | "sending":
            return False
        case _:
            assert_never(o.status)


def attempt_row(o: ProcessorOperation) -> Attempt:
    """The attempt of the first operation that is told of in it."""
    return Attempt(o.attempt, o.payment, o.attempt_number, o.processor, to_micros(o.created_at))


def refund_row(
    known: RefundRow | None, refund: Refund, payment: PaymentRow, operations: Iterable[Operation]
) -> RefundRow:
    """The refund as it was told of last; the reason for it is on no topic."""
    given_back = sum(o.amount for o in operations if o.refund_id == refund.id and o.status == "succeeded")
    row = known or RefundRow(
        id=refund.id,
        payment_id=payment.id,
        customer_id=payment.customer_id,
        merchant_id=payment.merchant_id,
        currency=refund.currency,
        created_at=to_micros(refund.created_at),
        amount=refund.amount,
        updated_at=to_micros(refund.updated_at),
    )
    return msgspec.structs.replace(
        row,
        amount=refund.amount,
        amount_refunded=refund.amount if refund.status == "succeeded" else given_back,
        status=refund.status,
        decline_code=refund.decline_code,
        pending_reason=None,
        updated_at=to_micros(refund.updated_at),
    )


def review_row(shown: PaymentReview, payment: PaymentRow, verdict: Verdict | None) -> Review:
    """The review as it was opened; what its reviewers wrote is on no topic. `verdict`: by which it was scored."""
    amount = payment.amount if shown.kind == "held" else payment.amount_captured
    loss = _expected_loss(payment, amount, verdict.score if verdict else None)
    return Review(
        id=shown.id,
        payment_id=payment.id,
        opened_at=to_micros(shown.opened_at),
        decision=None,
        reason=None,
        amount=payment.amount,
        currency=payment.currency,
        risk=payment.risk,
        kind=shown.kind,
        reasons=_json(shown.reasons) if shown.kind == "late" else None,
        amount_captured=payment.amount_captured,
        decided_by=None,
        decided_at=None,
        sequence=0,
        expected_loss=loss.minor,
        loss_rank=loss.rank,
    )


def _expected_loss(payment: PaymentRow, amount: int, score: float | None) -> ExpectedLoss:
    """As `held.expected_loss`, by the euro that the payment was worth when it came."""
    if score is None:
        return ExpectedLoss()
    minor, worth = round(amount * score), payment.amount_eur_cents
    return ExpectedLoss(minor, minor if worth is None else round(worth * minor / payment.amount))


def is_in_doubt(payment: PaymentRow, operations: Iterable[Operation], refunds: Iterable[RefundRow]) -> bool:
    """Whether a call may have been out that no event tells of: that is told once it has come to an end."""
    open_calls = [o for o in operations if o.status in OPEN]
    owed = any(refund.status == "pending" for refund in refunds)
    waits = payment.state == "processing" or (payment.state == "authorized" and payment.capture == "automatic")
    return (owed or waits) and not open_calls


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
