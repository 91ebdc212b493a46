"""Records of Kafka become rows of the warehouse. Pure: nothing is read or written here."""

from collections.abc import Iterable, Sequence
from typing import TypeVar, assert_never

import msgspec
from msgspec.structs import asdict

from connectors.records import Out, Place, Record, dead_letter, read
from flows.analytics.credible import doubt
from flows.analytics.rows import (
    LAST,
    PartitionPosition,
    RemovedControl,
    ReplacedRow,
    WarehouseAccount,
    WarehouseAlert,
    WarehouseControl,
    WarehouseDeadLetter,
    WarehouseLabel,
    WarehouseLedgerEntry,
    WarehouseNotification,
    WarehouseOperation,
    WarehousePayment,
    WarehouseRefund,
    WarehouseReview,
    WarehouseRow,
    WarehouseVerdict,
)
from schemas.accounts import AccountChanged, AccountErased
from schemas.alerts import Alert
from schemas.events import DeadLetter, Event, Tombstone, trace_id
from schemas.features import numbers_of
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.ids import born_at
from schemas.lists import FraudListing
from schemas.notifications import Notification
from schemas.operations import OperationEvent
from schemas.payments import LatestPayment, PaymentEvent, RefundEvent, TransactionCompleted
from schemas.reviews import ReviewEvent
from schemas.rules import FraudRule
from schemas.times import as_utc, from_micros
from schemas.topics import ALERTS, CONTROLS, DEAD_LETTER, LATEST_PAYMENTS, TOPICS, WITH_TOMBSTONES

SOURCE = "/flows/analytics"  # of the dead letters
# `payments.latest.v1` is made of what is read here.
FOLLOWED = tuple(topic.name for topic in TOPICS if topic is not LATEST_PAYMENTS)
MAY_EXPIRE = WITH_TOMBSTONES | {ALERTS.name, DEAD_LETTER.name}  # topics that do not keep every record

R = TypeVar("R", bound=ReplacedRow)


class IngestedRecord(msgspec.Struct, frozen=True):
    """A record and what to do about it: write its rows, send a dead letter, or only advance the offset."""

    record: Record
    rows: tuple[WarehouseRow, ...] = ()
    letter: Out | None = None


def ingest(record: Record) -> IngestedRecord:
    """What to do about a record.

    An unreadable dead letter becomes a row and no new dead letter: that would be unreadable again, without end.
    """
    event_or_letter = read(record, SOURCE)
    if isinstance(event_or_letter, Event):
        reason = doubt(event_or_letter)
        if reason:
            return IngestedRecord(record, letter=dead_letter(record, reason, SOURCE))
        return IngestedRecord(record, rows_of(event_or_letter))
    if record.topic == DEAD_LETTER.name:
        return IngestedRecord(record, (_unreadable_letter(record),))
    return IngestedRecord(record, letter=event_or_letter)


def rows_of(event: Event) -> tuple[WarehouseRow, ...]:
    """The rows of an event: a refund changes its payment too.

    There is none for `transaction_completed`, which only repeats the state of its payment. Nothing of a person
    stands in the warehouse but the bare id, which stays on what was paid; of a merchant its trading name too,
    until it is erased.
    """
    data = event.data
    match data:
        case PaymentEvent():
            return (_payment(data, event.traceparent),)
        case RefundEvent():
            return _payment(data, event.traceparent), _refund(data)
        case Verdict():
            return (WarehouseVerdict(**asdict(data), event=event.id, numbers=numbers_of(data.features)),)
        case Label():
            return (_label(event.id, data),)
        case Alert():
            return (WarehouseAlert(**asdict(data), event=event.id),)
        case Notification():
            return (_notification(event.id, data),)
        case Rule():
            return (WarehouseControl(data.id, "rule", data, data.recorded_at),)
        case FraudRule():
            return (WarehouseControl(data.id, "fraud_rule", data, data.recorded_at),)
        case ListEntry():
            return (WarehouseControl(data.id, "list_entry", data, data.recorded_at),)
        case FraudListing():
            return (WarehouseControl(data.id, "listing", data, data.recorded_at),)
        case DeadLetter():
            return (_dead_letter(event.id, data),)
        case Tombstone():
            return (RemovedControl(data.key, data.recorded_at),) if data.topic == CONTROLS.name else ()
        case OperationEvent():
            return _operation(data), *_entries(data)
        case ReviewEvent():
            return (_review(data),)
        case AccountChanged():
            return (_account(data),)
        case AccountErased():
            return (_erased(data),)
        case TransactionCompleted() | LatestPayment():
            return ()
        case _:
            assert_never(data)


def latest(rows: Iterable[R]) -> list[R]:
    """One row per id: the one with the highest sequence."""
    return list({row.id: row for row in sorted(rows, key=lambda row: row.sequence)}.values())


def latest_controls(rows: Iterable[WarehouseControl | RemovedControl]) -> list[WarehouseControl]:
    """One row per control: what was recorded last; of one that was taken away, since its tombstone."""
    told: dict[str, WarehouseControl] = {}
    for row in rows:
        known = told.get(row.id)
        if isinstance(row, RemovedControl):
            told.pop(row.id, None)
        elif known is None or as_utc(known.recorded_at) <= as_utc(row.recorded_at):
            told[row.id] = row
    return list(told.values())


def positions(records: Sequence[Record]) -> list[PartitionPosition]:
    """Where to read on after `records`, which are in the order of their offsets in each partition."""
    first = {(r.topic, r.partition): r.offset for r in reversed(records)}
    last: dict[Place, Record] = {(r.topic, r.partition): r for r in records}
    return [
        PartitionPosition(
            *place, record.offset + 1, from_micros(record.timestamp_ms * 1000), told_offset=first[place]
        )
        for place, record in last.items()
    ]


def _payment(event: PaymentEvent | RefundEvent, traceparent: str | None) -> WarehousePayment:
    payment, method, risk = event.payment, event.payment.method, event.payment.risk
    refusal = payment.last_refusal
    return WarehousePayment(
        id=payment.id,
        sequence=event.sequence,
        state=payment.state,
        status=payment.status,
        amount=payment.amount,
        amount_captured=payment.amount_captured,
        amount_refunded=payment.amount_refunded,
        currency=payment.currency,
        customer=payment.customer,
        merchant=payment.merchant,
        instrument=payment.stream_key,
        processor=payment.processor,
        attempts=payment.attempts,
        capture=payment.capture,
        method=method.type,
        card=method.card,
        brand=method.brand,
        bin=method.bin,
        last4=method.last4,
        country=payment.country,
        risk_outcome=risk.outcome if risk else None,
        risk_source=risk.source if risk else None,
        risk_score=risk.score if risk else None,
        risk_reasons=risk.reasons if risk else [],
        risk_model=risk.model if risk else None,
        waited_ms=risk.waited_ms if risk else None,
        decline_code=payment.decline_code,
        occurred_at=payment.occurred_at,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
        recorded_at=event.recorded_at,
        trace_id=trace_id(traceparent) if event.sequence == 1 else None,
        amount_capturable=payment.amount_capturable,
        last_refusal_kind=refusal.kind if refusal else None,
        last_refusal_code=refusal.decline_code if refusal else None,
        amount_eur_cents=payment.amount_eur_cents,
    )


def _label(event_id: str, label: Label) -> WarehouseLabel:
    return WarehouseLabel(
        event=event_id,
        payment=label.payment,
        instrument=label.instrument,
        merchant=label.merchant,
        label=label.label,
        source=label.source,
        amount=label.amount,
        currency=label.currency,
        features=label.features,
        score=label.score,
        model=label.model,
        occurred_at=label.occurred_at,
        recorded_at=label.recorded_at,
    )


def _refund(event: RefundEvent) -> WarehouseRefund:
    payment, refund = event.payment, event.refund
    return WarehouseRefund(
        id=refund.id,
        payment=payment.id,
        sequence=event.sequence,
        amount=refund.amount,
        currency=refund.currency,
        status=refund.status,
        decline_code=refund.decline_code,
        customer=payment.customer,
        merchant=payment.merchant,
        processor=payment.processor,
        brand=payment.method.brand,
        created_at=refund.created_at,
        updated_at=refund.updated_at,
        recorded_at=event.recorded_at,
    )


def _operation(event: OperationEvent) -> WarehouseOperation:
    return WarehouseOperation(**asdict(event.operation), sequence=event.sequence, recorded_at=event.recorded_at)


def _entries(event: OperationEvent) -> list[WarehouseLedgerEntry]:
    operation = event.operation
    return [
        WarehouseLedgerEntry(
            operation=operation.id,
            sequence=event.sequence,
            number=number,
            payment=operation.payment,
            merchant=operation.merchant,
            processor=operation.processor,
            kind=operation.kind,
            account=entry.account,
            amount=entry.amount,
            currency=operation.currency,
            recorded_at=event.recorded_at,
        )
        for number, entry in enumerate(event.entries)
    ]


def _review(event: ReviewEvent) -> WarehouseReview:
    return WarehouseReview(**asdict(event.review), sequence=event.sequence, recorded_at=event.recorded_at)


def _account(event: AccountChanged) -> WarehouseAccount:
    return WarehouseAccount(
        id=event.account,
        sequence=event.sequence,
        role=event.role,
        disabled=event.disabled,
        erased=False,
        trading_name=event.trading_name,
        created_at=born_at(event.account),
        recorded_at=event.recorded_at,
    )


def _erased(event: AccountErased) -> WarehouseAccount:
    return WarehouseAccount(
        id=event.account,
        sequence=LAST,
        role=event.role,
        disabled=True,
        erased=True,
        trading_name=None,
        created_at=born_at(event.account),
        recorded_at=event.recorded_at,
    )


def _notification(event_id: str, data: Notification) -> WarehouseNotification:
    return WarehouseNotification(
        event=event_id,
        payment=data.payment,
        cause=data.event,
        sequence=data.sequence,
        kind=data.kind,
        channel=data.channel,
        address=data.address,
        outcome=data.outcome,
        reason=data.reason,
        message_id=data.message_id,
        recorded_at=data.recorded_at,
        caused_at=data.caused_at or data.recorded_at,
    )


def _dead_letter(event_id: str, data: DeadLetter) -> WarehouseDeadLetter:
    return WarehouseDeadLetter(event_id, data.topic, data.partition, data.offset, data.reason, data.recorded_at)


def _unreadable_letter(record: Record) -> WarehouseDeadLetter:
    moment = from_micros(record.timestamp_ms * 1000)
    return WarehouseDeadLetter(
        None, record.topic, record.partition, record.offset, "unreadable dead letter", moment
    )
