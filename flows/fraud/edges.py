"""Where events become payments in flight and lessons, and where verdicts become records."""

from datetime import UTC, datetime

from connectors.records import Out, Record, out
from flows.fraud.facts import ahead, lesson_of
from flows.fraud.inflight import InFlight, verdict
from flows.fraud.rules import Controls
from flows.fraud.steps import Item
from schemas.events import EVENT_TYPES, Event, derived_id
from schemas.fraud import Label, ListEntry, Rule
from schemas.payments import PaymentEvent
from schemas.times import now
from schemas.topics import RISK

SOURCE = "/flows/fraud"
KIND = "risk.verdict"
JUDGED = {"payment.initiated": "card", "payment.approved": "paypal"}  # event type: method
OTHERS = {name.encode() for name in EVENT_TYPES} - {name.encode() for name in (*JUDGED, "label.recorded")}


def concerns_us(record: Record) -> bool:
    """False for events of the types that are neither judged nor learned: they are not even decoded."""
    return not any(name == "ce_type" and value in OTHERS for name, value in record.headers)


def take_in(pair: tuple[Record, Event]) -> list[Item]:
    """The payment to judge or the lesson to learn of an event, if there is one in it."""
    record, event = pair
    data = event.data
    if isinstance(data, Label):
        return [lesson_of(event.id, data)] if _timely(data) else []
    if isinstance(data, PaymentEvent) and data.payment.method.type == JUDGED.get(event.type):
        moment = aware(data.recorded_at)
        return [InFlight(event.id, event.traceparent, data.payment, moment, record.partition, record.offset)]
    return []


def verdict_record(judged: InFlight, controls: Controls) -> Out:
    """The record of a verdict. Its id comes from the input's, so that a repeat is recognised."""
    moment = now()
    data = verdict(judged, controls, moment)
    id = derived_id(judged.event, KIND)
    return out(RISK.name, data.payment, Event(id, KIND, SOURCE, data.payment, moment, data, judged.traceparent))


def apply(event: Event, controls: Controls) -> list[Out]:
    """Put a control in force. Nothing comes out of it."""
    if isinstance(event.data, Rule | ListEntry):
        controls.apply(event.data)
    return []


def aware(moment: datetime) -> datetime:
    """`moment` as UTC where it names no zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _timely(label: Label) -> bool:
    return not ahead(aware(label.occurred_at), aware(label.recorded_at))
