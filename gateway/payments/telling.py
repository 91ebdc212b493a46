"""What is told of a payment on the topics, as events: of itself, of its operations, of its reviews. Pure.

What stands on a topic stands there for ever and is read by others: no text of a person, no card number.
"""

import re
from collections.abc import Iterator

import msgspec

from connectors.processors.response_checks import scrub
from connectors.records import card_number_in
from gateway.books.operations import Operation
from gateway.books.outbox import NewEvent
from gateway.books.payments import PaymentRow
from gateway.books.postings import Entries
from gateway.books.reviews import ENDED, OPENED, Review
from gateway.payments.changes import Change
from gateway.payments.views import milliseconds, refund_snapshot, snapshot
from schemas.events import EVENT_TYPES, EventData, operation_type
from schemas.operations import LedgerEntry, OperationEvent, ProcessorOperation
from schemas.payments import AppliedRisk, PaymentEvent, RefundEvent, TransactionCompleted
from schemas.reviews import PaymentReview, ReviewEvent
from schemas.states import STATUS
from schemas.times import from_micros
from schemas.topics import OPERATIONS, PAYMENTS, REVIEWS

PLAIN = re.compile(r"[A-Za-z_ ]*\Z")  # as AUTHORIZED is: nothing to scrub, which takes 10 µs


def payment_events(change: Change) -> Iterator[NewEvent]:
    """The events that a change of a payment names, each with the payment's next sequence."""
    before, payment = change.before, change.payment
    previous, announced = (before.state, before.announced) if before else (None, None)
    recorded_at, shown = from_micros(payment.updated_at), snapshot(payment)
    refund = refund_snapshot(change.refund, recorded_at) if change.refund else None
    data: EventData
    for sequence, type in enumerate(change.events, start=payment.sequence - len(change.events) + 1):
        if type == "transaction_completed":
            status = STATUS[payment.state]
            data = TransactionCompleted(sequence, previous, recorded_at, status, announced, shown)
        elif refund and EVENT_TYPES[type] is RefundEvent:
            data = RefundEvent(sequence, previous, recorded_at, shown, refund)
        else:
            data = PaymentEvent(sequence, previous, recorded_at, shown)
        yield NewEvent(
            topic=PAYMENTS.name,
            key=payment.stream_key,
            type=type,
            subject_id=payment.id,
            sequence=sequence,
            data=data,
            traceparent=payment.traceparent,
            now=payment.updated_at,
        )


def operation_event(
    payment: PaymentRow,
    operation: Operation,
    attempt_number: int,
    entries: Entries,
    *,
    happened_at: int,
    now: int,
) -> NewEvent:
    """The event of an operation as it is written, which carries its `sequence`; of `now`, about `happened_at`.

    Both in microseconds UTC: what happened before this release is told later.
    """
    moved = [LedgerEntry(account, amount) for account, amount in entries]
    shown = operation_snapshot(payment, operation, attempt_number)
    return NewEvent(
        topic=OPERATIONS.name,
        key=payment.stream_key,
        type=operation_type(operation.status),
        subject_id=operation.id,
        sequence=operation.sequence,
        data=OperationEvent(operation.sequence, from_micros(happened_at), shown, moved),
        traceparent=payment.traceparent,
        now=now,
    )


def operation_snapshot(payment: PaymentRow, operation: Operation, attempt_number: int) -> ProcessorOperation:
    """The operation as the topic shows it. What its processor said was scrubbed when it was read.

    It is once more: a vendor's words and ids are theirs to choose.
    """
    o, reference = operation, operation.processor_reference
    return ProcessorOperation(
        id=o.id,
        payment=o.payment_id,
        attempt=o.attempt_id,
        attempt_number=attempt_number,
        merchant=payment.merchant_id,
        processor=o.processor,
        kind=o.kind,
        status=o.status,
        amount=o.amount,
        currency=o.currency,
        created_at=from_micros(o.created_at),
        finished_at=None if o.finished_at is None else from_micros(o.finished_at),
        milliseconds=milliseconds(o),
        parent=o.parent_id,
        part=o.part,
        final=o.final,
        refund=o.refund_id,
        replaces=o.replaces_id,
        requested_by=o.requested_by,
        processor_reference=reference and _shown_id(reference),
        decline_code=o.decline_code,
        detail=o.detail if PLAIN.match(o.detail) else scrub(o.detail),
    )


def _shown_id(reference: str) -> str:
    """A vendor's id: of 22 digits perhaps, in which no number is looked for."""
    return scrub(reference) if card_number_in(reference.encode()) else reference


def review_events(payment: PaymentRow, review: Review, now: int) -> Iterator[NewEvent]:
    """What is to be told of a review as it is, beyond the `sequence` that it was told of before."""
    if review.sequence < OPENED:
        opened = msgspec.structs.replace(review, decision=None, decided_by=None, decided_at=None)
        yield _review_event(payment, opened, "review.opened", OPENED, review.opened_at, now)
    if review.decided_at is not None and review.sequence < ENDED:
        by_person = review.decided_by is not None
        type = "review.decided" if by_person else "review.expired"
        yield _review_event(payment, review, type, ENDED, review.decided_at, now)


def _review_event(
    payment: PaymentRow, review: Review, type: str, sequence: int, happened_at: int, now: int
) -> NewEvent:
    shown = PaymentReview(
        id=review.id,
        payment=payment.id,
        kind=review.kind,
        merchant=payment.merchant_id,
        amount=payment.amount,
        currency=payment.currency,
        reasons=reasons_of(review),
        opened_at=from_micros(review.opened_at),
        decision=review.decision,
        decided_by=review.decided_by,
        decided_at=None if review.decided_at is None else from_micros(review.decided_at),
    )
    return NewEvent(
        topic=REVIEWS.name,
        key=payment.id,
        type=type,
        subject_id=review.id,
        sequence=sequence,
        data=ReviewEvent(sequence, from_micros(happened_at), shown),
        traceparent=payment.traceparent,
        now=now,
    )


def reasons_of(review: Review) -> list[str]:
    """Why a payment is reviewed: the reasons of its late block, or of the verdict that held it."""
    if review.reasons is not None:
        return msgspec.json.decode(review.reasons, type=list[str])
    return msgspec.json.decode(review.risk, type=AppliedRisk).reasons if review.risk else []
