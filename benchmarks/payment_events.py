"""Lives of payments as events on `payments.v1` and `risk.v1`, without a gateway: as many as one likes, fast."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from connectors.kafka import producer
from connectors.kafka_login import Bootstrap
from connectors.records import Out, out
from schemas.events import Event, EventData, new_event
from schemas.fraud import Verdict
from schemas.payments import AppliedRisk, Method, Payment, PaymentEvent, Refund, RefundEvent
from schemas.states import STATUS, PaymentState
from schemas.times import now

EVERY_US = 5_000  # one payment after the other
CARDS, CUSTOMERS, MERCHANTS = 100_000, 50_000, 500
IN_FLIGHT = 100_000


def lives(count: int, began: datetime | None = None, prefix: str = "") -> Iterator[Out]:
    """Records of `count` payments, in the order of their commits: a fifth is declined, a tenth refunded."""
    begin = began or now() - timedelta(microseconds=EVERY_US * count)
    for number in range(count):
        born = begin + timedelta(microseconds=EVERY_US * number)
        yield from _life(f"pay_{prefix}{number:010}", number, born)


def send(bootstrap: Bootstrap, outs: Iterator[Out]) -> int:
    """Write records to Kafka as fast as it takes them; how many these were."""
    client, sent = producer(bootstrap), 0
    for each in outs:
        client.produce(each.topic, each.value, each.key, headers=[*each.headers])
        sent += 1
        client.poll(0)
        if sent % IN_FLIGHT == 0:
            client.flush()
    client.flush()
    return sent


def _life(id: str, number: int, born: datetime) -> Iterator[Out]:
    first = _payment(id, number, born)
    yield _record(first, "payment.initiated", PaymentEvent(1, None, born, first))
    verdict = _verdict(first, number)
    yield out("risk.v1", id, new_event("risk.verdict", "/bench", id, verdict, born))
    state: PaymentState = "captured" if number % 5 else "declined"
    taken = first.amount if number % 5 else 0
    at = born + timedelta(milliseconds=30)
    ended = replace(
        first,
        state=state,
        status=STATUS[state],
        processor="visa" if number % 2 else "mastercard",
        amount_captured=taken,
        updated_at=at,
        risk=AppliedRisk("allow", "model", 0.1, [], "trees-1", 3.5),
    )
    yield _record(ended, f"payment.{state}", PaymentEvent(2, "processing", at, ended))
    if number % 10 == 1:
        later = at + timedelta(seconds=1)
        back = replace(ended, amount_refunded=taken, updated_at=later)
        refund = Refund(f"ref_{id[4:]}", taken, first.currency, "succeeded", None, later, later)
        yield _record(back, "refund.succeeded", RefundEvent(3, "captured", later, back, refund))


def _payment(id: str, number: int, born: datetime) -> Payment:
    return Payment(
        id=id,
        stream_key=f"ins_{number * 7919 % CARDS:06}",
        state="processing",
        status=STATUS["processing"],
        amount=100 + number % 9_900,
        amount_captured=0,
        amount_refunded=0,
        currency="EUR" if number % 3 else "USD",
        customer=f"acc_{number % CUSTOMERS:08}",
        merchant=f"acc_m{number % MERCHANTS:06}",
        method=Method("card", f"card_{number % CARDS:08}", "visa", "411111", "1111"),
        capture="automatic",
        occurred_at=born,
        created_at=born,
        updated_at=born,
        country="DE",
    )


def _verdict(payment: Payment, number: int) -> Verdict:
    return Verdict(
        payment=payment.id,
        instrument=payment.stream_key,
        merchant=payment.merchant,
        outcome="allow",
        source="model",
        score=0.1,
        reasons=[],
        features={"amount": float(payment.amount), "hour": 12.0, "count_1h": float(number % 7)},
        model="trees-1",
        rules="r1",
        flow_sequence=number,
        input_partition=0,
        input_offset=number,
        latency_ms=2.5,
        occurred_at=payment.occurred_at,
        recorded_at=payment.created_at,
    )


def _record(payment: Payment, type: str, data: EventData) -> Out:
    event: Event = new_event(type, "/bench", payment.id, data, payment.updated_at)
    return out("payments.v1", payment.stream_key, event)
