"""CloudEvents 1.0 in Kafka's binary mode: attributes in `ce_*` headers, the data as JSON in the value.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md §3.2
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from schemas.accounts import AccountChanged, AccountErased
from schemas.alerts import Alert
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.ids import new_id
from schemas.lists import FraudListing
from schemas.notifications import Notification
from schemas.operations import OperationEvent, OperationStatus
from schemas.payments import LatestPayment, PaymentEvent, RefundEvent, TransactionCompleted
from schemas.reviews import ReviewEvent
from schemas.rules import FraudRule
from schemas.states import PaymentState, Status

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"

# https://www.w3.org/TR/trace-context/#traceparent-header
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class DeadLetter(msgspec.Struct, frozen=True):
    """`dead_letter`: where the record stands and why it was set aside.

    `value` holds its bytes in base64; null where there are none (`no value`), or where they looked as if a card
    number were in them. `key` and `headers` (its CloudEvents attributes) are kept with it where they are text.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    value: str | None
    recorded_at: datetime
    key: str | None = None
    headers: dict[str, str] | None = None


class Tombstone(msgspec.Struct, frozen=True):
    """A record without a value on a compacted topic: what its key names is no more. No event type is one.

    `recorded_at`: Kafka's time of it.
    """

    topic: str
    key: str
    recorded_at: datetime


EventData = (
    PaymentEvent
    | RefundEvent
    | TransactionCompleted
    | LatestPayment
    | OperationEvent
    | ReviewEvent
    | Verdict
    | Label
    | Notification
    | DeadLetter
    | Rule
    | FraudRule
    | ListEntry
    | FraudListing
    | AccountChanged
    | AccountErased
    | Alert
)

EVENT_TYPES: dict[str, type[EventData]] = {
    "payment.initiated": PaymentEvent,
    "payment.requires_action": PaymentEvent,
    "payment.approved": PaymentEvent,
    "payment.in_review": PaymentEvent,
    "payment.authorized": PaymentEvent,
    "payment.partially_captured": PaymentEvent,
    "payment.captured": PaymentEvent,
    "payment.voided": PaymentEvent,
    "payment.declined": PaymentEvent,
    "payment.failed": PaymentEvent,
    "payment.unknown": PaymentEvent,
    "payment.capture_declined": PaymentEvent,
    "payment.void_declined": PaymentEvent,
    "refund.pending": RefundEvent,
    "refund.succeeded": RefundEvent,
    "refund.failed": RefundEvent,
    "transaction_completed": TransactionCompleted,
    "payment.latest": LatestPayment,
    "operation.succeeded": OperationEvent,
    "operation.declined": OperationEvent,
    "operation.failed": OperationEvent,
    "operation.unknown": OperationEvent,
    "review.opened": ReviewEvent,
    "review.decided": ReviewEvent,
    "review.expired": ReviewEvent,
    "risk.verdict": Verdict,
    "label.recorded": Label,
    "control.rule": Rule,
    "control.fraud_rule": FraudRule,
    "control.list_entry": ListEntry,
    "control.listing": FraudListing,
    "notification.recorded": Notification,
    "account.changed": AccountChanged,
    "account.erased": AccountErased,
    "alert.raised": Alert,
    "alert.over": Alert,
    "dead_letter": DeadLetter,
}

_decoders = {name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()}
_encoder = msgspec.json.Encoder()


class Unreadable(ValueError):
    """A record is no event of ours: a header is missing, the type unknown or the data malformed."""


Headers = list[tuple[str, str | bytes | None]]  # as confluent-kafka takes and gives them


class Event(msgspec.Struct, frozen=True):
    """One event: `id` is the same on every repeat, `subject` is what it is about, `time` is UTC."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: EventData | Tombstone
    traceparent: str | None = None


def new_event(type: str, source: str, subject: str, data: EventData, time: datetime, id: str = "") -> Event:
    """An event with a new `evt_` id, or with the one given (a flow derives it from its input's)."""
    return Event(id or new_id("evt"), type, source, subject, time, data)


def derived_id(cause: str, kind: str) -> str:
    """The id of the one event of this kind that `cause` (an event id) brings about, the same on every repeat."""
    return f"evt_{hashlib.sha256(f'{cause}/{kind}'.encode()).hexdigest()[:40]}"


def payment_type(state: PaymentState) -> str:
    """The type of the event that says a payment came to `state`."""
    return f"payment.{state}"


def refund_type(status: Status) -> str:
    """The type of the event that says a refund came to `status`."""
    return f"refund.{status}"


def operation_type(status: OperationStatus) -> str:
    """The type of the event that says an operation came to `status`."""
    return f"operation.{status}"


def trace_id(traceparent: str | None) -> str | None:
    """The 32 hex digits that all spans of a trace share; None where `traceparent` is absent or malformed."""
    found = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return found[1] if found else None


def encode(event: Event) -> tuple[Headers, bytes]:
    """Headers and value of the Kafka record."""
    headers = headers_of(event.id, event.type, event.source, event.subject, event.time, event.traceparent)
    return headers, _encoder.encode(event.data)


HEADERS = (
    "content-type",
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_dataschema",
    "traceparent",
)


def headers_of(id: str, type: str, source: str, subject: str, time: datetime, traceparent: str | None) -> Headers:
    """The headers of an event's Kafka record; its value may have been encoded long before."""
    headers: Headers = [
        ("content-type", CONTENT_TYPE.encode()),
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type.encode()),
        ("ce_time", time.isoformat().encode()),
        ("ce_subject", subject.encode()),
        ("ce_dataschema", f"/schemas/{type}.json".encode()),
    ]
    if traceparent:
        headers.append(("traceparent", traceparent.encode()))
    return headers


def decode(headers: Iterable[tuple[str, Any]] | None, value: bytes | None) -> Event:
    """The event of a Kafka record. Raises `Unreadable`, never anything else, whatever stands in the record."""
    try:
        attributes = {name: (content or b"").decode() for name, content in headers or []}
        kind = attributes["ce_type"]
        return Event(
            attributes["ce_id"],
            kind,
            attributes["ce_source"],
            attributes.get("ce_subject", ""),
            datetime.fromisoformat(attributes["ce_time"]),
            _decoders[kind].decode(value or b""),
            attributes.get("traceparent"),
        )
    except KeyError as error:
        raise Unreadable(f"missing header or unknown type: {error}") from None
    except (ValueError, RecursionError) as error:
        # Not the error's own text: it may quote the record, and a record nobody could read may hold anything.
        raise Unreadable(f"malformed {type(error).__name__}") from None
