"""Records as rows of the warehouse: plain functions, one row type per table, named as its columns."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec.structs import asdict

from connectors.records import Out, Place, Record, read
from schemas.events import DeadLetter, Event
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.notifications import Notification
from schemas.payments import PaymentEvent
from schemas.times import from_micros
from schemas.topics import DEAD_LETTER

SOURCE = "/flows/analytics"  # of the dead letters


class PaymentRow(msgspec.Struct, frozen=True):
    """A payment as its event `sequence` left it."""

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


class VerdictRow(Verdict, frozen=True, kw_only=True):
    """A verdict of the fraud flow. `event` is the id of the event that told it."""

    event: str


class LabelRow(Label, frozen=True, kw_only=True):
    """What was learned later about a payment. `event` is the id of the event that told it."""

    event: str


class NotificationRow(msgspec.Struct, frozen=True):
    """A message that was sent, failed or was suppressed. `cause` is the event it told of."""

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


class ControlRow(msgspec.Struct, frozen=True):
    """A fraud rule or list entry."""

    id: str
    kind: str
    setting: Rule | ListEntry
    recorded_at: datetime


class DeadLetterRow(msgspec.Struct, frozen=True):
    """Where a record stands that nobody could read. `event` is null where it is itself a dead letter."""

    event: str | None
    topic: str
    partition: int
    offset: int
    reason: str
    recorded_at: datetime


Row = PaymentRow | VerdictRow | LabelRow | NotificationRow | ControlRow | DeadLetterRow


class Position(msgspec.Struct, frozen=True):
    """Where to read a partition on, and Kafka's time of its newest record."""

    topic: str
    partition: int
    next_offset: int
    newest_at: datetime


class Lag(msgspec.Struct, frozen=True):
    """How many records of a partition are not read yet."""

    topic: str
    partition: int
    lag: int


class Entry(msgspec.Struct, frozen=True):
    """What a record comes to: a row, a dead letter to send, or only that it was read."""

    record: Record
    row: Row | None = None
    letter: Out | None = None


def entry_of(record: Record) -> Entry:
    """What to do about a record.

    A dead letter that nobody can read is counted, not posted again: it would go round for ever.
    """
    answer = read(record, SOURCE)
    if isinstance(answer, Event):
        return Entry(record, row_of(answer))
    if record.topic == DEAD_LETTER.name:
        return Entry(record, _unreadable_letter(record))
    return Entry(record, letter=answer)


def row_of(event: Event) -> Row | None:
    """The row of an event; None where it adds nothing: `transaction_completed` only repeats a state."""
    data = event.data
    if isinstance(data, PaymentEvent):
        return _payment(data)
    if isinstance(data, Verdict):
        return VerdictRow(**asdict(data), event=event.id)
    if isinstance(data, Label):
        return LabelRow(**asdict(data), event=event.id)
    if isinstance(data, Notification):
        return _notification(event.id, data)
    if isinstance(data, Rule | ListEntry):
        return ControlRow(data.id, "rule" if isinstance(data, Rule) else "list_entry", data, data.recorded_at)
    if isinstance(data, DeadLetter):
        return DeadLetterRow(event.id, data.topic, data.partition, data.offset, data.reason, data.recorded_at)
    return None


def latest(rows: Iterable[PaymentRow]) -> list[PaymentRow]:
    """One row per payment: that of its highest sequence."""
    newest: dict[str, PaymentRow] = {}
    for row in rows:
        known = newest.get(row.id)
        if known is None or row.sequence > known.sequence:
            newest[row.id] = row
    return list(newest.values())


def positions(records: Iterable[Record]) -> list[Position]:
    """Where to read on after `records`, which come in the order of each partition."""
    last: dict[Place, Record] = {(r.topic, r.partition): r for r in records}
    return [
        Position(topic, partition, record.offset + 1, from_micros(record.timestamp_ms * 1000))
        for (topic, partition), record in last.items()
    ]


def _payment(event: PaymentEvent) -> PaymentRow:
    payment, method, risk = event.payment, event.payment.method, event.payment.risk
    return PaymentRow(
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
    )


def _notification(id: str, data: Notification) -> NotificationRow:
    return NotificationRow(
        event=id,
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


def _unreadable_letter(record: Record) -> DeadLetterRow:
    moment = from_micros(record.timestamp_ms * 1000)
    return DeadLetterRow(None, record.topic, record.partition, record.offset, "unreadable dead letter", moment)
