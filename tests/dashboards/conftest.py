"""A warehouse filled by the analytics flow's own code with a day's worth of random payments."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import streamlit as st

from connectors.records import Record, out
from connectors.warehouse import WRITERS_READERS, WarehouseReader, tokens
from dashboards import door
from dashboards.settings import DashboardSettings
from flows.analytics.ingest import ingest
from flows.analytics.settings import AnalyticsSettings
from flows.analytics.warehouse import Warehouse
from schemas.events import Event, new_event
from schemas.ids import new_id
from schemas.notifications import Notification
from schemas.operations import OperationEvent, ProcessorOperation
from schemas.payments import AppliedRisk, Method, Payment, PaymentEvent, ProcessorName, Refund, RefundEvent
from schemas.settings import PORTS
from schemas.states import STATUS, DeclineCode, PaymentState, Status
from schemas.times import now
from schemas.topics import NOTIFICATIONS, OPERATIONS, PAYMENTS, Topic
from tests.conftest import unused_ports
from tests.dashboards import gateway_double
from tests.dashboards.gateway_double import GatewayDouble

ENDS: list[PaymentState] = (
    ["captured"] * 86 + ["partially_captured"] * 2 + ["declined"] * 6 + ["in_review"] * 2 + ["authorized"] * 2
)
ENDS += ["unknown", "failed"]
CURRENCIES = ["EUR"] * 6 + ["USD"] * 3 + ["GBP", "JPY", "BHD"]
PROCESSORS: list[ProcessorName] = ["visa"] * 5 + ["mastercard"] * 4 + ["paypal"]
BINS = {"visa": "411111", "mastercard": "555555"}


class Shop:
    """A served warehouse and the payments written to it."""

    def __init__(self, settings: AnalyticsSettings) -> None:
        self.settings = settings
        self.warehouse = Warehouse(settings.file(), lambda letters: None)
        self._chance = random.Random(4)
        self._offset = 0

    def serve(self) -> None:
        address = f"quack:localhost:{self.settings.port('warehouse')}"
        self.warehouse.serve(address, tokens(self.settings, WRITERS_READERS))

    def sell(self, count: int, over: timedelta, until: datetime | None = None) -> None:
        """Write `count` payments, evenly spread over the time up to `until` (now)."""
        end = until or now()
        records = [r for n in range(count) for r in self._payment(end - over * (n / max(count, 1)))]
        for at in range(0, len(records), 500):
            self.warehouse.write([ingest(record) for record in records[at : at + 500]])
        self.warehouse.save_lag({(topic.name, 0): 0 for topic in (PAYMENTS, NOTIFICATIONS)})

    def refund(self, payment: Payment, amount: int, status: Status = "succeeded", sequence: int = 2) -> Payment:
        """Write a refund of a payment; the payment as it then stands."""
        event, stands = _refund(payment, amount, status, sequence)
        self.warehouse.write([ingest(self._record(PAYMENTS.name, event))])
        return stands

    def take(self, payment: Payment, traceparent: str | None = None) -> None:
        """Write one payment."""
        data = PaymentEvent(1, None, payment.created_at, payment)
        event = new_event("payment.captured", "/", payment.id, data, now())
        traced = msgspec.structs.replace(event, traceparent=traceparent)
        self.warehouse.write([ingest(self._record(PAYMENTS.name, traced))])

    def call(self, *operations: ProcessorOperation, sequence: int = 1) -> None:
        """Write what calls to processors came to."""
        events = [
            new_event(f"operation.{o.status}", "/", o.id, OperationEvent(sequence, o.created_at, o, []), now())
            for o in operations
        ]
        self.warehouse.write([ingest(self._record(OPERATIONS.name, event)) for event in events])

    def take_all(self, payments: Iterable[Payment]) -> None:
        """Write payments at once, as they stand."""
        events = [
            new_event("payment.captured", "/", made.id, PaymentEvent(1, None, made.created_at, made), now())
            for made in payments
        ]
        self.warehouse.write([ingest(self._record(PAYMENTS.name, event)) for event in events])

    def tell(self, topic: Topic, kind: str, subject: str, data: Any) -> None:
        """Write an event of any topic."""
        self.warehouse.write([ingest(self._record(topic.name, new_event(kind, "/", subject, data, now())))])

    def put(self, topic: str, *events: Event) -> None:
        """Write what else is told."""
        self.warehouse.write([ingest(self._record(topic, event)) for event in events])

    def reader(self) -> WarehouseReader:
        """Who asks it as the dashboards do."""
        settings = DashboardSettings(data=self.settings.data, port_offset=self.settings.port_offset)
        return WarehouseReader(settings, "dashboard")

    now = staticmethod(now)

    def empty(self) -> None:
        """As a new file, which takes a second to make; whoever asks stays connected."""
        con = self.warehouse._con.cursor()
        for [name] in con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store'").fetchall():
            if name != "history":
                con.execute(f"DELETE FROM store.{name}")
        self.warehouse._upkeep.pruned.clear()

    def close(self) -> None:
        self.warehouse.close()

    def payment(self, moment: datetime, **changes: Any) -> Payment:
        """A random payment, with these fields changed."""
        state = self._chance.choice(ENDS)
        processor = self._chance.choice(PROCESSORS)
        risk = self._risk(state)
        start = Payment(
            id=new_id("pay"),
            stream_key="fp_1",
            state=state,
            status=STATUS[state],
            amount=int(self._chance.lognormvariate(8, 1)),
            amount_captured=0,
            amount_refunded=0,
            currency=self._chance.choice(CURRENCIES),
            customer="acc_ada",
            merchant="acc_shop",
            method=_method(processor, f"{self._chance.randrange(10_000):04}"),
            capture="automatic",
            occurred_at=moment,
            created_at=moment,
            updated_at=moment,
            processor=processor,
            decline_code=_decline(state, risk),
            risk=risk,
            attempts=1,
            country="DE",
        )
        asked = msgspec.structs.replace(start, **changes)
        taken = {"captured": asked.amount, "partially_captured": asked.amount // 2}.get(asked.state, 0)
        return msgspec.structs.replace(asked, **{"amount_captured": taken} | changes)

    def _payment(self, moment: datetime) -> list[Record]:
        payment = self.payment(moment)
        data = PaymentEvent(1, None, moment, payment)
        records = [
            self._record(PAYMENTS.name, new_event(f"payment.{payment.state}", "/", payment.id, data, moment))
        ]
        if payment.amount_captured and self._chance.random() < 0.08:
            event, _ = _refund(payment, payment.amount_captured // self._chance.choice([1, 3]))
            records.append(self._record(PAYMENTS.name, event))
        if self._chance.random() < 0.4:
            records.append(self._record(NOTIFICATIONS.name, self._notification(payment, moment)))
        return records

    def _notification(self, payment: Payment, moment: datetime) -> Event:
        channel = self._chance.choice(["email", "email", "sms"])
        outcome = self._chance.choice(["delivered"] * 30 + ["suppressed"] * 3 + ["failed"])
        said = msgspec.convert(
            {
                "payment": payment.id,
                "event": new_id("evt"),
                "sequence": 4,
                "kind": "transaction_completed",
                "channel": channel,
                "address": "c…@example.com",
                "outcome": outcome,
                "reason": None,
                "message_id": new_id("evt"),
                "recorded_at": moment,
            },
            Notification,
        )
        return new_event("notification.recorded", "/", payment.id, said, moment)

    def _record(self, topic: str, event: Event) -> Record:
        self._offset += 1
        sent = out(topic, event.subject, event)
        moment_ms = int(event.time.timestamp() * 1000)
        return Record(topic, 0, self._offset, sent.key, sent.headers, sent.value, moment_ms)

    def _risk(self, state: PaymentState) -> AppliedRisk:
        outcome = "review" if state == "in_review" else "allow"
        if state == "declined" and self._chance.random() < 0.5:
            outcome = "block"
        elif self._chance.random() < 0.04:
            outcome = "flag"
        source = "stand_in" if self._chance.random() < 0.01 else "model"
        low, high = {"allow": (0, 0.3), "flag": (0.4, 0.6), "review": (0.6, 0.8), "block": (0.8, 1)}[outcome]
        waited = 250.0 if source == "stand_in" else self._chance.lognormvariate(1.6, 0.5)
        return msgspec.convert(
            {
                "outcome": outcome,
                "source": source,
                "score": round(self._chance.uniform(low, high), 3),
                "waited_ms": waited,
            },
            AppliedRisk,
        )


def _refund(
    payment: Payment, amount: int, status: Status = "succeeded", sequence: int = 2
) -> tuple[Event, Payment]:
    """A refund's event, and the payment as it then stands."""
    moment = payment.created_at + timedelta(seconds=sequence)
    given_back = amount if status == "succeeded" else 0
    stands = msgspec.structs.replace(payment, amount_refunded=payment.amount_refunded + given_back)
    code: DeclineCode | None = "call_issuer" if status == "failed" else None
    refund = Refund(new_id("ref"), amount, payment.currency, status, code, moment, moment)
    data = RefundEvent(sequence, payment.state, moment, stands, refund)
    return new_event(f"refund.{status}", "/", payment.id, data, moment), stands


def _method(processor: ProcessorName, last4: str) -> Method:
    if processor == "paypal":
        return Method("paypal")
    return Method("card", "card_1", processor, BINS[processor], last4)


def _decline(state: PaymentState, risk: AppliedRisk) -> Any:
    if state == "declined":
        return "blocked" if risk.outcome == "block" else "insufficient_funds"
    return "processor_unavailable" if state == "failed" else None


@pytest.fixture
def gateway() -> Iterator[GatewayDouble]:
    """A double of the gateway, where each role's name is a token."""
    with gateway_double.running() as double:
        yield double


@pytest.fixture
def around(gateway: GatewayDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a page needs that is opened in this process (`driven.py`): a gateway, a folder, and empty caches."""
    st.cache_resource.clear()
    monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
    monkeypatch.setenv("SLUICE_GATEWAY", gateway.url)
    monkeypatch.setattr(door, "_browser", lambda: "one")  # the runner has no cookies
    yield
    st.cache_resource.clear()


@contextmanager
def serving_shop(data: Path) -> Iterator[Shop]:
    """A served warehouse with nothing in it: one takes a second to open, so that tests that only read share it."""
    [port] = unused_ports(1)
    shop = Shop(AnalyticsSettings(data=data, port_offset=port - PORTS["warehouse"]))
    shop.serve()
    try:
        yield shop
    finally:
        shop.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A served warehouse with nothing in it, for one test."""
    with serving_shop(tmp_path) as shop:
        yield shop


@pytest.fixture
def reader(shop: Shop) -> WarehouseReader:
    """Who asks the warehouse of `shop`."""
    return shop.reader()
