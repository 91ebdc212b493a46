"""Payments from beginning to end, as Kafka's records: what the gateway and the fraud flow write of them."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from connectors.records import Out, Record, out
from schemas.events import Event, new_event
from schemas.fraud import Verdict
from schemas.ids import earliest_id, new_id
from schemas.payments import PaymentEvent, TransactionCompleted
from schemas.samples import CAPTURED, NEW, SAMPLES
from schemas.times import to_micros
from schemas.topics import PAYMENTS, RISK

TOOK = timedelta(milliseconds=80)  # from the first event of a payment to its last
AT_ONCE = 10  # payments that are under way
TIMED = len("pay_") + 10  # characters of an id that tell when it was made
TRACE = "00-{:032x}-{:016x}-01"


def life(number: int, began: datetime) -> list[Out]:
    """The records of a payment that is captured: initiated, its verdict, captured, answered."""
    ended = began + TOOK
    first = replace(
        NEW,
        id=_id(began),
        stream_key=f"ins_{number % 5000:026}",
        customer=f"acc_{number % 5000:026}",
        merchant=f"acc_{number % 300:026}",
        amount=100 + number % 9999,
        occurred_at=began,
        created_at=began,
        updated_at=began,
    )
    paid = replace(
        first,
        state="captured",
        status="succeeded",
        amount_captured=first.amount,
        processor="visa",
        risk=CAPTURED.payment.risk,
        attempts=1,
        updated_at=ended,
    )
    initiated = new_event("payment.initiated", "/gateway", first.id, PaymentEvent(1, None, began, first), began)
    captured = PaymentEvent(2, "processing", ended, paid)
    answered = TransactionCompleted(3, "processing", ended, "succeeded", "pending", paid)
    return [
        _record(replace(initiated, traceparent=TRACE.format(number + 1, number + 1)), first.stream_key),
        _verdict(first.id, first.stream_key, began),
        _record(new_event("payment.captured", "/gateway", first.id, captured, ended), first.stream_key),
        _record(new_event("transaction_completed", "/gateway", first.id, answered, ended), first.stream_key),
    ]


def _id(moment: datetime) -> str:
    """An id that is made at that moment."""
    return earliest_id("pay", to_micros(moment))[:TIMED] + new_id("pay")[TIMED:]


def records(payments: int, began: datetime, apart: timedelta) -> Iterator[Record]:
    """The records of so many payments as they are read back, those of some payments mixed."""
    offsets = {PAYMENTS.name: 0, RISK.name: 0}
    for each in _mixed(life(number, began + number * apart) for number in range(payments)):
        offset = offsets[each.topic]
        offsets[each.topic] = offset + 1
        yield Record(each.topic, 0, offset, each.key, each.headers, each.value, 1_795_000_000_000 + offset)


def _mixed(lives: Iterator[list[Out]]) -> Iterator[Out]:
    waiting: deque[list[Out]] = deque()
    for first, *rest in lives:
        yield first
        waiting.append(rest)
        if len(waiting) > AT_ONCE:
            yield from waiting.popleft()
    for rest in waiting:
        yield from rest


def _record(event: Event, key: str) -> Out:
    return out(PAYMENTS.name, key, event)


def _verdict(payment_id: str, instrument: str, moment: datetime) -> Out:
    sample = SAMPLES["risk.verdict"]
    assert isinstance(sample, Verdict)
    verdict = replace(sample, payment=payment_id, instrument=instrument, occurred_at=moment, recorded_at=moment)
    return out(RISK.name, payment_id, new_event("risk.verdict", "/flows/fraud", payment_id, verdict, moment))
