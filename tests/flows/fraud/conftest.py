"""Payments, labels and the records they come in."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.records import Record
from flows.fraud.codec import streamed_payment
from flows.fraud.inputs import DAY, PaymentInput
from flows.fraud.scoring import StreamedPayment
from schemas.events import Event, decode, derived_id, encode
from schemas.fraud import Label, Verdict
from schemas.payments import Method, Payment, PaymentEvent
from schemas.states import PaymentState
from schemas.topics import LABELS, PAYMENTS

BEGIN = datetime(2026, 3, 2, 12, tzinfo=UTC)


def payment(number: int = 0, **fields: Any) -> Payment:
    """A card payment, an hour after the one before."""
    occurred_at = fields.pop("occurred_at", BEGIN + timedelta(hours=number))
    given: dict[str, Any] = {
        "id": f"pay_{number}",
        "stream_key": "fp_1",
        "state": "processing",
        "status": "pending",
        "amount": 4200,
        "amount_captured": 0,
        "amount_refunded": 0,
        "currency": "EUR",
        "customer": "acc_customer",
        "merchant": "acc_merchant",
        "method": Method("card"),
        "capture": "automatic",
        "occurred_at": occurred_at,
        "created_at": occurred_at,
        "updated_at": occurred_at,
    }
    return Payment(**(given | fields))


def in_flight(number: int = 0, **fields: Any) -> StreamedPayment:
    """A payment as the operators get it."""
    paid = payment(number, **fields)
    return streamed_payment(f"evt_{number:04}", None, paid, BEGIN + timedelta(days=3650), 0, number)


def payment_input(number: int = 0, **fields: Any) -> PaymentInput:
    """The input of a payment, an hour after the one before."""
    given = {"payment_id": f"pay_{number}", "instrument_id": "fp_1", "merchant_id": "acc_merchant", "amount": 4200}
    return PaymentInput(**(given | {"currency": "EUR", "unit": 100, "at": 1e9 + number * 3600.0} | fields))


def payment_record(
    paid: Payment, offset: int = 0, type: str = "payment.initiated", previous: PaymentState | None = None
) -> Record:
    """The record of the event of a payment, which was `previous` before."""
    data = PaymentEvent(1, previous, paid.created_at, paid)
    trace = f"00-{offset:032x}-{1:016x}-01"
    event = Event(f"evt_{paid.id}", type, "/gateway", paid.id, paid.created_at, data, trace)
    return record(PAYMENTS.name, paid.stream_key, event, offset)


def label_record(verdict: Verdict, fraud: bool, offset: int = 0) -> Record:
    """The record of a label on the payment of a verdict."""
    told = verdict.occurred_at + timedelta(days=7)
    data = Label(
        payment=verdict.payment,
        instrument=verdict.instrument,
        merchant=verdict.merchant,
        label="fraud" if fraud else "good",
        source="test",
        amount=1,
        currency="EUR",
        features=verdict.features,
        score=verdict.score,
        model=verdict.model,
        occurred_at=verdict.occurred_at,
        recorded_at=told,
    )
    event = Event(derived_id(verdict.payment, "label"), "label.recorded", "/gateway", verdict.payment, told, data)
    return record(LABELS.name, verdict.instrument, event, offset)


def record(topic: str, key: str, event: Event, offset: int = 0) -> Record:
    """An event as Kafka holds it."""
    headers, value = encode(event)
    return Record(topic, 0, offset, key.encode(), headers, value, 0)


def read_verdict(headers: Any, value: bytes | None) -> Verdict:
    """The verdict of a record."""
    data = decode(headers, value).data
    assert isinstance(data, Verdict)
    return data


def timeless(verdict: Verdict) -> Verdict:
    """A verdict without when it was made, and by which run."""
    return msgspec.structs.replace(verdict, latency_ms=0, recorded_at=BEGIN, intake=None)


@pytest.fixture(scope="session")
def shop() -> list[tuple[PaymentInput, bool]]:
    """Ten weeks of sixty cards at thirty merchants; now and then a merchant leaks its cards for a while."""
    chance = random.Random(7)
    habits = [(chance.uniform(0.5, 3), chance.uniform(500, 9000)) for _ in range(60)]
    leaks = {(chance.randrange(30), week) for week in range(10) for _ in range(2)}
    paid = []
    for day in range(70):
        for card, (often, usual) in enumerate(habits):
            for _ in range(round(chance.expovariate(1 / often))):
                merchant = chance.randrange(30)
                leaking = any((merchant, week) in leaks for week in (day // 7, day // 7 - 1))
                fraud = (leaking and chance.random() < 0.8) or chance.random() < 0.001
                amount = max(1, round(chance.gauss(usual, usual / 3)))
                paid.append((1e9 + (day + chance.random()) * DAY, f"fp_{card}", f"acc_{merchant}", amount, fraud))
    return [
        (PaymentInput(f"pay_{number}", card, merchant, amount, "EUR", 100, at), fraud)
        for number, (at, card, merchant, amount, fraud) in enumerate(sorted(paid))
    ]
