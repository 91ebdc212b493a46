"""Records of all that is asked for in docs/sql.md, most of it of today."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from connectors.records import Record
from schemas.accounts import AccountChanged
from schemas.events import Event, new_event
from schemas.fraud import ListEntry, Rule, Verdict
from schemas.payments import AppliedRisk, LastRefusal, Method, Payment, PaymentEvent, Refund, RefundEvent
from schemas.states import Status
from schemas.times import now
from tests.flows.analytics.conftest import Log, event, payment
from tests.flows.analytics.lives import labelled, operated, operation, review, reviewed

SHOP = "acc_merchant"
STOLEN = AppliedRisk("flag", "stand_in", 0.7, ["velocity_10m"], "logistic-1", 250.0)
USUAL = AppliedRisk("allow", "model", 0.1, [], "logistic-1", 11.5)


def records() -> list[Record]:
    """All of it, as it is read from Kafka."""
    log, today = Log(), now() - timedelta(seconds=5)
    told = (*_payments(today), *_calls(today), *_reviews(today), *_controls(today))
    return [log.event(topic, each) for topic, each in told]


def _payments(today: datetime) -> Iterator[tuple[str, Event]]:
    months_ago = today - timedelta(days=70)
    taken = {"state": "captured", "processor": "visa", "amount_captured": 1999, "risk": USUAL}
    given_back = _born(today, **(taken | {"risk": STOLEN}), id="pay_refunded", amount_refunded=500)
    held = {"state": "authorized", "amount_captured": 0, "amount_capturable": 1999}
    refused = LastRefusal("capture", "call_issuer", today)
    found = (
        _born(months_ago, **taken, id="pay_old"),
        _born(today, **taken, id="pay_again"),
        given_back,
        _born(today, **(taken | held), id="pay_held", last_refusal=refused, country="FR"),
        _born(today, state="declined", processor="visa", id="pay_declined", decline_code="insufficient_funds"),
        _born(
            today, state="captured", processor="paypal", id="pay_paypal", method=Method("paypal"), stream_key="x"
        ),
    )
    for each in found:
        yield "payments.v1", _told(f"payment.{each.state}", PaymentEvent(1, None, each.created_at, each), each)
    changed = replace(found[0], updated_at=today, last_refusal=LastRefusal("refund", "call_issuer", today))
    yield "payments.v1", _told("payment.captured", PaymentEvent(2, "captured", today, changed), changed)
    statuses: tuple[Status, ...] = ("succeeded", "pending")
    for number, status in enumerate(statuses, start=2):
        refund = Refund(f"ref_{number}", 500, "EUR", status, None, today, today)
        data = RefundEvent(number, "captured", today, given_back, refund)
        yield "payments.v1", _told(f"refund.{status}", data, given_back)
    yield "labels.v1", labelled("fraud", payment="pay_refunded", recorded_at=today)
    yield "risk.v1", event("risk.verdict", _verdict(given_back))


def _born(moment: datetime, **given: Any) -> Payment:
    return replace(payment(**given), occurred_at=moment, created_at=moment, updated_at=moment)


def _told(type: str, data: PaymentEvent | RefundEvent, about: Payment) -> Event:
    return new_event(type, "/gateway", about.id, data, data.recorded_at)


def _verdict(judged: Payment) -> Verdict:
    return Verdict(
        payment=judged.id,
        instrument=judged.stream_key,
        merchant=judged.merchant,
        outcome="block",
        source="model",
        score=0.95,
        reasons=["velocity_10m"],
        features={},
        model="logistic-1",
        rules="rules-1",
        flow_sequence=1,
        input_partition=0,
        input_offset=0,
        latency_ms=5.0,
        occurred_at=judged.occurred_at,
        recorded_at=judged.created_at,
    )


def _calls(today: datetime) -> Iterator[tuple[str, Event]]:
    owed = {"due:visa": 1999, f"due:{SHOP}": -1999}
    declined = operation(id="op_1", created_at=today, status="declined", decline_code="insufficient_funds")
    second = operation(id="op_2", created_at=today, attempt="att_2", attempt_number=2)
    silent = operation(id="op_3", created_at=today, payment="pay_again", attempt="att_3", status="unknown")
    given_back = replace(second, id="op_4", kind="refund", amount=500)
    yield "operations.v1", operated(1, declined)
    yield "operations.v1", operated(1, second, owed)
    yield "operations.v1", operated(1, replace(silent, milliseconds=None))
    yield "operations.v1", operated(2, replace(silent, status="succeeded", milliseconds=61_000.0), owed)
    yield "operations.v1", operated(1, given_back, {"due:visa": -500, f"due:{SHOP}": 500})


def _reviews(today: datetime) -> Iterator[tuple[str, Event]]:
    opened = review(payment="pay_refunded", opened_at=today)
    by_person = {"decision": "approve", "decided_by": "acc_analyst", "decided_at": today + timedelta(minutes=3)}
    yield "reviews.v1", reviewed(1, opened)
    yield "reviews.v1", reviewed(2, replace(opened, **by_person))
    yield "reviews.v1", reviewed(1, review(id="rev_2", payment="pay_held", opened_at=today))


def _controls(today: datetime) -> Iterator[tuple[str, Event]]:
    rule = Rule("velocity_10m", "count_10m", 60, "review", "busy", True, today)
    entry = ListEntry("list_1", "block", "instrument", "ins_9", "stolen", None, today)
    shop = AccountChanged(SHOP, 1, "merchant", False, "Merle's Shop", today)
    yield "controls.v1", event("control.rule", rule)
    yield "controls.v1", event("control.list_entry", entry)
    yield "accounts.v1", event("account.changed", shop)
