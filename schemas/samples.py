"""One sample per event type: the examples of the AsyncAPI document, and golden input for readers of the topics."""

from datetime import UTC, datetime

from msgspec.structs import replace

from schemas.accounts import AccountChanged, AccountErased
from schemas.alerts import LABEL_BURST, Alert
from schemas.events import DeadLetter, EventData
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.lists import FraudListing
from schemas.notifications import Notification
from schemas.operations import LedgerEntry, OperationEvent, OperationStatus, ProcessorOperation
from schemas.payments import (
    AppliedRisk,
    LastRefusal,
    LatestPayment,
    Method,
    Payment,
    PaymentEvent,
    Refund,
    RefundEvent,
    RefusedKind,
    TransactionCompleted,
)
from schemas.reviews import PaymentReview, ReviewEvent
from schemas.rules import FraudRule, Snooze
from schemas.states import STATUS, PaymentState, Status

AT = datetime(2026, 11, 23, 14, 31, 7, 120_000, tzinfo=UTC)
LATER = AT.replace(microsecond=180_000)

CARD = Method("card", "card_01kaf3w5n8qz7v2m4x6b9c1d0e", "visa", "411111", "1111")
PAYPAL = Method("paypal")
FEATURES = {"card_count_1h": 1.0, "amount_over_mean": 1.2}
ALLOWED = AppliedRisk("allow", "model", 0.012, ["usual_amount"], "logistic-1", 11.5)

NEW = Payment(
    id="pay_01kaf3wq4t0n5h8r2y6j9m3v7k",
    stream_key="ins_gnmbadtekhbcrfps",
    state="processing",
    status="pending",
    amount=1250,
    amount_captured=0,
    amount_refunded=0,
    currency="EUR",
    customer="acc_01kaf3v1c8w2p6s9d4g7k0n5q3",
    merchant="acc_01kaf3v9e5r8t1y4u7b0m3x6z2",
    method=CARD,
    capture="automatic",
    occurred_at=AT,
    created_at=AT,
    updated_at=AT,
    country="DE",
)
INITIATED = PaymentEvent(1, None, AT, NEW)


def _came_to(state: PaymentState, before: PaymentState = "processing", method: Method = CARD) -> PaymentEvent:
    payment = replace(
        NEW,
        state=state,
        status=STATUS[state],
        amount_captured=NEW.amount if state == "captured" else 0,
        amount_capturable=NEW.amount if state == "authorized" else 0,
        method=method,
        stream_key=NEW.stream_key if method is CARD else NEW.customer,
        updated_at=LATER,
        processor="visa" if method is CARD else "paypal",
        decline_code="insufficient_funds" if state == "declined" else None,
        risk=ALLOWED,
        attempts=1,
    )
    return PaymentEvent(2, before, LATER, payment)


CAPTURED = _came_to("captured")
HELD = _came_to("authorized").payment


def _in_parts() -> PaymentEvent:
    state: PaymentState = "partially_captured"
    payment = replace(HELD, state=state, status=STATUS[state], amount_captured=800, amount_capturable=450)
    return PaymentEvent(3, "authorized", LATER, payment)


def _refused(kind: RefusedKind) -> PaymentEvent:
    return PaymentEvent(
        3, "authorized", LATER, replace(HELD, last_refusal=LastRefusal(kind, "generic_decline", LATER))
    )


def _refund(status: Status) -> RefundEvent:
    given_back = 500 if status == "succeeded" else 0
    refund = Refund(
        id="ref_01kaf3xb2m5q8t1w4z7c0f3j6n",
        amount=500,
        currency="EUR",
        status=status,
        decline_code="generic_decline" if status == "failed" else None,
        created_at=LATER,
        updated_at=LATER,
    )
    refunded = replace(CAPTURED.payment, amount_refunded=given_back)
    return RefundEvent(4 if status == "pending" else 5, "captured", LATER, refunded, refund)


def _operation(status: OperationStatus) -> OperationEvent:
    is_done = status == "succeeded"
    operation = ProcessorOperation(
        id="op_01kaf3wqg2x5b8n1r4v7y0c3f6",
        payment=NEW.id,
        attempt="att_01kaf3wqf9j2m5q8t1w4z7d0g3",
        attempt_number=1,
        merchant=NEW.merchant,
        processor="visa",
        kind="sale",
        status=status,
        amount=NEW.amount,
        currency=NEW.currency,
        created_at=AT,
        finished_at=None if status == "unknown" else LATER,
        milliseconds=None if status == "unknown" else 41.8,
        requested_by=NEW.customer,
        processor_reference="7655512345678901234567" if is_done else None,
        decline_code="insufficient_funds" if status == "declined" else None,
    )
    moved = [LedgerEntry("due:visa", NEW.amount), LedgerEntry(f"due:{NEW.merchant}", -NEW.amount)]
    return OperationEvent(1, LATER, operation, moved if is_done else [])


ALERT = Alert(
    id="alr_01kaf3wq4v7e0g3j6m9p2s5v8y",
    sequence=1,
    kind=LABEL_BURST,
    subject=NEW.merchant,
    source="gateway",
    facts={"labels": 26.0, "usual": 0.4},
    occurred_at=AT,
    recorded_at=AT,
)
OPENED = PaymentReview(
    id="rev_01kaf3ww3c6f9j2m5q8t1w4z7d",
    payment=NEW.id,
    kind="held",
    merchant=NEW.merchant,
    amount=NEW.amount,
    currency=NEW.currency,
    reasons=["velocity_10m"],
    opened_at=AT,
    decision=None,
    decided_by=None,
    decided_at=None,
)
DECIDED = replace(OPENED, decision="approve", decided_by="acc_01kaf3v0d7f0j3m6q9t2w5z8c1", decided_at=LATER)
EXPIRED = replace(OPENED, decision="reject", decided_at=LATER)


SAMPLES: dict[str, EventData] = {
    "payment.initiated": INITIATED,
    "payment.requires_action": _came_to("requires_action", method=PAYPAL),
    "payment.approved": _came_to("processing", "requires_action", PAYPAL),
    "payment.in_review": _came_to("in_review"),
    "payment.authorized": _came_to("authorized"),
    "payment.partially_captured": _in_parts(),
    "payment.captured": CAPTURED,
    "payment.voided": _came_to("voided", "authorized"),
    "payment.declined": _came_to("declined"),
    "payment.failed": _came_to("failed"),
    "payment.unknown": _came_to("unknown"),
    "payment.capture_declined": _refused("capture"),
    "payment.void_declined": _refused("void"),
    "refund.pending": _refund("pending"),
    "refund.succeeded": _refund("succeeded"),
    "refund.failed": _refund("failed"),
    "transaction_completed": TransactionCompleted(3, "captured", LATER, "succeeded", None, CAPTURED.payment),
    "payment.latest": LatestPayment(CAPTURED.sequence, CAPTURED.recorded_at, CAPTURED.payment),
    "operation.succeeded": _operation("succeeded"),
    "operation.declined": _operation("declined"),
    "operation.failed": _operation("failed"),
    "operation.unknown": _operation("unknown"),
    "review.opened": ReviewEvent(1, AT, OPENED),
    "review.decided": ReviewEvent(2, LATER, DECIDED),
    "review.expired": ReviewEvent(2, LATER, EXPIRED),
    "risk.verdict": Verdict(
        payment=NEW.id,
        instrument=NEW.stream_key,
        merchant=NEW.merchant,
        outcome="allow",
        source="model",
        score=0.012,
        reasons=["usual_amount"],
        features=FEATURES,
        model="logistic-1",
        rules="rules-1",
        flow_sequence=4711,
        input_partition=2,
        input_offset=1093,
        latency_ms=6.2,
        occurred_at=AT,
        recorded_at=LATER,
    ),
    "label.recorded": Label(
        payment=NEW.id,
        instrument=NEW.stream_key,
        merchant=NEW.merchant,
        label="fraud",
        source="analyst",
        amount=NEW.amount,
        currency=NEW.currency,
        features=FEATURES,
        score=0.012,
        model="logistic-1",
        occurred_at=AT,
        recorded_at=LATER,
    ),
    "control.rule": Rule("rule_velocity", "card_count_1h", 10.0, "review", "many payments in an hour", True, AT),
    "control.fraud_rule": FraudRule(
        "rule_night",
        3,
        "amount_eur > 500 and new_device == 2 and count_1h >= 3",
        "review",
        "many payments of a new device",
        "live",
        LATER,
        "unsent",
        [Snooze(NEW.customer, LATER)],
        "acc_01kaf3analyst",
    ),
    "control.list_entry": ListEntry(
        "list_01kaf40b7d", "block", "instrument", NEW.stream_key, "reported stolen", None, AT
    ),
    "control.listing": FraudListing(
        id="lst_01kaf40b7d3g6j9m2p5s8v1y4b",
        version=1,
        list="block",
        kind="card",
        value=NEW.stream_key,
        owner="acc_01kaf3v0d7f0j3m6q9t2w5z8c1",
        expires_at=LATER,
        recorded_at=AT,
    ),
    "account.changed": AccountChanged(NEW.merchant, 1, "merchant", False, "Merle's Shop", LATER),
    "account.erased": AccountErased(NEW.customer, "customer", LATER),
    "notification.recorded": Notification(
        payment=NEW.id,
        event="evt_01kaf3wr1c6x9z2b5n8m4k7j0h",
        sequence=3,
        kind="transaction_completed",
        channel="email",
        address="c…@example.com",
        outcome="delivered",
        reason=None,
        message_id="<evt_01kaf3wr1c6x9z2b5n8m4k7j0h@sluice>",
        recorded_at=LATER,
        caused_at=AT,
    ),
    "alert.raised": ALERT,
    "alert.over": replace(ALERT, sequence=2, recorded_at=LATER, over_at=LATER),
    "dead_letter": DeadLetter(
        "payments.v1",
        2,
        1093,
        "malformed DecodeError",
        "eyJ1bmZpbmlzaGVk",
        LATER,
        NEW.stream_key,
        {"ce_id": "evt_01kaf3wq4v7e0g3j6m9p2s5v8y", "ce_type": "payment.captured"},
    ),
}
