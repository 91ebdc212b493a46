"""Records as rows of the warehouse: plain functions, and one row type per table with the names of its columns."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

import msgspec
from msgspec.structs import asdict, replace

from connectors.records import Out, Place, Record, read
from schemas.events import DeadLetter, Event, trace_id
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.notifications import Notification
from schemas.payments import PaymentEvent, TransactionCompleted
from schemas.times import from_micros
from schemas.topics import DEAD_LETTER

SOURCE = "/flows/analytics"  # of the dead letters


class WarehousePayment(msgspec.Struct, frozen=True):
    """A payment as of its event `sequence`. `trace_id` is the first event's, null in the row of a later one."""

    id: str
    sequence: int
    state: str
    status: str
    amount: int
    amount_captured: int
    amount_refunded: int
    currency: str
    customer: str
    merchant: str
    instrument: str
    processor: str | None
    attempts: int
    capture: str
    method: str
    card: str | None
    brand: str | None
    bin: str | None
    last4: str | None
    country: str | None
    risk_outcome: str | None
    risk_source: str | None
    risk_score: float | None
    risk_reasons: list[str]
    risk_model: str | None
    waited_ms: float | None
    decline_code: str | None
    occurred_at: datetime
    created_at: datetime
    updated_at: datetime
    recorded_at: datetime
    trace_id: str | None


class WarehouseVerdict(Verdict, frozen=True, kw_only=True):
    """A verdict of the fraud flow. `event` is the id of its event."""

    event: str


class WarehouseLabel(Label, frozen=True, kw_only=True):
    """A label of a payment. `event` is the id of its event."""

    event: str


class WarehouseNotification(msgspec.Struct, frozen=True):
    """A message that was delivered, failed or was suppressed. `cause` is the id of the event it is about."""

    event: str
    payment: str
    cause: str
    sequence: int
    kind: str
    channel: str
    address: str
    outcome: str
    reason: str | None
    message_id: str
    recorded_at: datetime


class WarehouseControl(msgspec.Struct, frozen=True):
    """A fraud rule or list entry."""

    id: str
    kind: str
    setting: Rule | ListEntry
    recorded_at: datetime


class WarehouseDeadLetter(msgspec.Struct, frozen=True):
    """The place of an unreadable record. `event` is null where that record is itself a dead letter."""

    event: str | None
    topic: str
    partition: int
    offset: int
    reason: str
    recorded_at: datetime


WarehouseRow = (
    WarehousePayment
    | WarehouseVerdict
    | WarehouseLabel
    | WarehouseNotification
    | WarehouseControl
    | WarehouseDeadLetter
)


class PartitionPosition(msgspec.Struct, frozen=True):
    """The next offset to read of a partition, and Kafka's time of the newest record read."""

    topic: str
    partition: int
    next_offset: int
    newest_at: datetime


class PartitionLag(msgspec.Struct, frozen=True):
    """How many records of a partition are not read yet."""

    topic: str
    partition: int
    lag: int


class IngestedRecord(msgspec.Struct, frozen=True):
    """A record and what to do about it: write a row, send a dead letter, or only advance the offset."""

    record: Record
    row: WarehouseRow | None = None
    letter: Out | None = None


def ingest(record: Record) -> IngestedRecord:
    """What to do about a record.

    An unreadable dead letter becomes a row and no new dead letter: that would be unreadable again, without end.
    """
    event_or_letter = read(record, SOURCE)
    if isinstance(event_or_letter, Event):
        return IngestedRecord(record, row_of(event_or_letter))
    if record.topic == DEAD_LETTER.name:
        return IngestedRecord(record, _unreadable_letter(record))
    return IngestedRecord(record, letter=event_or_letter)


def row_of(event: Event) -> WarehouseRow | None:
    """The row of an event; None for `transaction_completed`, which only repeats the state of its payment."""
    data = event.data
    match data:
        case PaymentEvent():
            return _payment(data, event.traceparent)
        case Verdict():
            return WarehouseVerdict(**asdict(data), event=event.id)
        case Label():
            return WarehouseLabel(**asdict(data), event=event.id)
        case Notification():
            return _notification(event.id, data)
        case Rule():
            return WarehouseControl(data.id, "rule", data, data.recorded_at)
        case ListEntry():
            return WarehouseControl(data.id, "list_entry", data, data.recorded_at)
        case DeadLetter():
            return WarehouseDeadLetter(
                event.id, data.topic, data.partition, data.offset, data.reason, data.recorded_at
            )
        case TransactionCompleted():
            return None
        case _:
            assert_never(data)


def latest(rows: Iterable[WarehousePayment]) -> list[WarehousePayment]:
    """One row per payment: the one with the highest sequence, which keeps the trace of the one before it."""
    newest: dict[str, WarehousePayment] = {}
    for row in rows:
        known = newest.get(row.id)
        if known is None or row.sequence > known.sequence:
            newest[row.id] = replace(row, trace_id=known.trace_id) if known else row
    return list(newest.values())


def positions(records: Iterable[Record]) -> list[PartitionPosition]:
    """Where to read on after `records`, which are in the order of their offsets in each partition."""
    last: dict[Place, Record] = {(r.topic, r.partition): r for r in records}
    return [
        PartitionPosition(topic, partition, record.offset + 1, from_micros(record.timestamp_ms * 1000))
        for (topic, partition), record in last.items()
    ]


def _payment(event: PaymentEvent, traceparent: str | None) -> WarehousePayment:
    payment, method, risk = event.payment, event.payment.method, event.payment.risk
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
    )


def _unreadable_letter(record: Record) -> WarehouseDeadLetter:
    moment = from_micros(record.timestamp_ms * 1000)
    return WarehouseDeadLetter(
        None, record.topic, record.partition, record.offset, "unreadable dead letter", moment
    )
