"""Between Kafka and operators: events become payments, outcomes and labels; scored payments become verdicts."""

from datetime import datetime
from math import isfinite
from typing import Literal, assert_never

import structlog
from prometheus_client import REGISTRY

from connectors.records import Out, Record, out
from connectors.traces import TRACES
from flows.fraud.inputs import NOT_OF_THE_CARD, Features, is_ahead, label_input, outcome_input, payment_input
from flows.fraud.intake import PlacedItem, StreamItem
from flows.fraud.keys import shards_of
from flows.fraud.route import Route
from flows.fraud.rules import Controls, decide
from flows.fraud.scoring import StreamedPayment
from flows.fraud.watch import FoundAlert
from flows.metrics import RiskMetrics
from schemas.accounts import AccountChanged, AccountErased
from schemas.alerts import Alert
from schemas.controls import ID_MAX, Control, ToldControl, id_of, impossible_field
from schemas.events import EVENT_TYPES, DeadLetter, Event, Tombstone, derived_id
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.lists import FraudListing
from schemas.notifications import Notification
from schemas.operations import OperationEvent
from schemas.payments import LatestPayment, Payment, PaymentEvent, RefundEvent, TransactionCompleted
from schemas.reviews import ReviewEvent
from schemas.rules import FraudRule
from schemas.states import PaymentState
from schemas.times import as_utc, from_micros, now, steady_micros
from schemas.topics import ALERTS, RISK

SOURCE = "/flows/fraud"
VERDICT_TYPE = "risk.verdict"
CARD_SCORED_AT = "payment.initiated"
PAYPAL_SCORED_AT = "payment.approved"  # before, nobody has said who pays
PAID_TYPES = ("payment.authorized", "payment.captured")
DECLINED_TYPE = "payment.declined"
PAID_BEFORE: frozenset[PaymentState | None] = frozenset({"authorized", "partially_captured"})
LABEL_TYPE = "label.recorded"
UNUSED_TYPES = {name.encode() for name in EVENT_TYPES} - {
    name.encode() for name in (CARD_SCORED_AT, PAYPAL_SCORED_AT, *PAID_TYPES, DECLINED_TYPE, LABEL_TYPE)
}

METRICS = RiskMetrics(REGISTRY)

log = structlog.get_logger()


def is_used(record: Record) -> bool:
    """False for an event of a type from which nothing is learned, so that it is not even decoded."""
    return not any(name == "ce_type" and value in UNUSED_TYPES for name, value in record.headers)


def placed(pair: tuple[Record, Event], secret: bytes) -> list[PlacedItem]:
    """What `inputs_of` finds in an event, with where that stands and where it goes."""
    record, items = pair[0], inputs_of(pair)
    for item in items:
        item.route = Route(shards_of(item, secret))
    place = f"{record.topic}/{record.partition}"
    return [PlacedItem(item, place, record.offset) for item in items]


def inputs_of(pair: tuple[Record, Event]) -> list[StreamItem]:
    """The payment to score, or the outcome or label to learn in an event; empty where there is none."""
    record, event = pair
    match event.data:
        case Label() as label:
            return [label_input(event.id, label)] if _is_usable(label) else []
        case PaymentEvent() as data if event.type == _scored_at(data.payment.method.type):
            moment = as_utc(data.recorded_at)
            return [
                streamed_payment(
                    event.id, event.traceparent, data.payment, moment, record.partition, record.offset
                )
            ]
        case PaymentEvent() as data:
            return _outcomes(event.id, event.type, data)
        case (
            RefundEvent()
            | TransactionCompleted()
            | LatestPayment()
            | OperationEvent()
            | ReviewEvent()
            | Rule()
            | FraudRule()
            | ListEntry()
            | FraudListing()
            | Verdict()
            | Notification()
            | AccountChanged()
            | AccountErased()
            | Alert()
            | DeadLetter()
            | Tombstone()
        ):
            return []
        case _:
            assert_never(event.data)


def streamed_payment(
    event_id: str,
    traceparent: str | None,
    payment: Payment,
    recorded_at: datetime,
    partition: int,
    offset: int,
) -> StreamedPayment:
    """A payment with the input of its features, or with the fault that makes it unusable."""
    item = StreamedPayment(
        payment.id,
        None,
        event_id=event_id,
        traceparent=traceparent,
        payment=payment,
        recorded_at=recorded_at,
        partition=partition,
        offset=offset,
    )
    try:
        stored_at = max(recorded_at, payment.created_at)  # the clock may have been set back between the two
        if _is_ahead(payment.occurred_at, stored_at):
            item.fault = "occurred_at_ahead"
        else:
            item.input = payment_input(event_id, payment)
    except Exception as error:  # whatever it is, the payment gets a verdict
        item.fail(error)
    return item


def _outcomes(event_id: str, type: str, event: PaymentEvent) -> list[StreamItem]:
    """What became of the payment, where the event is the first to tell; nothing where its fields are unusable."""
    if event.previous_state in PAID_BEFORE:
        return []
    paid = type in PAID_TYPES
    if not paid and not (type == DECLINED_TYPE and _by_issuer(event.payment)):
        return []
    try:
        ahead = is_ahead(event.payment.occurred_at, as_utc(event.recorded_at))
        return [] if ahead else [outcome_input(event_id, event.payment, paid)]
    except (TypeError, ValueError, OverflowError):
        return []


def _by_issuer(payment: Payment) -> bool:
    """Whether a declined payment was declined by its issuer, and because of the card."""
    return payment.decline_code not in NOT_OF_THE_CARD


def verdict_of(payment: StreamedPayment, controls: Controls, moment: datetime) -> Verdict:
    """The verdict on a scored payment, made at `moment`. Features that are NaN or infinite are left out.

    Without a decision yet the `controls` decide.
    """
    decision = payment.decision or decide(payment, controls)
    return Verdict(
        payment=payment.payment_id,
        instrument=payment.instrument_id,
        merchant=payment.merchant_id,
        outcome=decision.outcome,
        source=decision.source,
        score=payment.score,
        reasons=decision.reasons,
        features=_finite(payment.features),
        model=payment.model,
        rules=decision.version,
        flow_sequence=payment.sequence,
        input_partition=payment.partition,
        input_offset=payment.offset,
        latency_ms=(moment - as_utc(payment.recorded_at)).total_seconds() * 1000,
        occurred_at=payment.payment.occurred_at,
        recorded_at=moment,
        hold=decision.hold,
        listed=decision.listed,
        intake=payment.intake,
        rules_met=decision.rules_met,
        shadow_met=decision.shadow_met,
        score_live=None if payment.fault else payment.live,
        counterfactual=payment.counterfactual,
    )


def _finite(features: Features) -> Features:
    if isfinite(sum(features.values())):
        return features
    return {name: value for name, value in features.items() if isfinite(value)}


def verdict_record(payment: StreamedPayment, controls: Controls) -> Out:
    """The record of a verdict. Its event id is derived from the input's, so that readers recognise a repeat."""
    moment = now()
    verdict = verdict_of(payment, controls, moment)
    began_ns = int((moment.timestamp() - verdict.latency_ms / 1000) * 1e9)
    span = TRACES.begin("fraud verdict", "consumer", payment.traceparent, began_ns)
    span.end({"sluice.payment_id": verdict.payment, "sluice.outcome": verdict.outcome})
    event_id = derived_id(payment.event_id, VERDICT_TYPE)
    event = Event(event_id, VERDICT_TYPE, SOURCE, verdict.payment, moment, verdict, payment.traceparent)
    METRICS.count(verdict.outcome, verdict.source, verdict.latency_ms / 1000, is_faulty=payment.fault is not None)
    return out(RISK.name, verdict.payment, event)


def record_of(found: StreamedPayment | FoundAlert, controls: Controls) -> Out:
    """The record of what the model's step gives: a verdict, or an alert."""
    return alert_record(found) if isinstance(found, FoundAlert) else verdict_record(found, controls)


def alert_record(found: FoundAlert) -> Out:
    """The record of an alert that begins or is over, which the log tells of too."""
    kind, at = ("alert.over" if found.is_over else "alert.raised"), from_micros(int(found.at * 1e6))
    sequence, over_at = (2, at) if found.is_over else (1, None)
    alert = Alert(found.id, sequence, found.kind, found.subject, "fraud", found.facts, at, now(), over_at)
    about = {"alert_id": alert.id, "kind": alert.kind, "subject": alert.subject, "facts": alert.facts}
    if found.is_over:
        log.info("alert.over", **about)
    else:
        log.warning("alert.raised", **about)
    return out(
        ALERTS.name, alert.id, Event(derived_id(found.caused_by, kind), kind, SOURCE, alert.id, now(), alert)
    )


def apply_control(event: Event, controls: Controls) -> list[Out]:
    """Put a rule or list entry in force, or take it away, unless it cannot be meant. Returns nothing to write."""
    controls.apply(*control_of(event))
    return []


def control_of(event: Event) -> list[ToldControl]:
    """The rule or list entry in an event, or its tombstone; empty where there is none that can be meant."""
    control = event.data
    if not isinstance(control, Control | Tombstone):
        return []
    if field := impossible_field(control):
        log.warning("control.refused", control_id=id_of(control)[:ID_MAX], field=field)
        return []
    return [control]


def _scored_at(method: Literal["card", "paypal"]) -> str:
    """The type of the event at which a payment by this method is scored."""
    match method:
        case "card":
            return CARD_SCORED_AT
        case "paypal":
            return PAYPAL_SCORED_AT
        case _:
            assert_never(method)


def _is_usable(label: Label) -> bool:
    if label.score is not None and not 0 <= label.score <= 1:
        return False
    return not _is_ahead(as_utc(label.occurred_at), as_utc(label.recorded_at))


def _is_ahead(occurred_at: datetime, recorded_at: datetime) -> bool:
    """Also where both lie ahead of our own clock, set back or not: who wrote such an event is not the gateway."""
    return is_ahead(occurred_at, min(recorded_at, max(now(), from_micros(steady_micros()))))
