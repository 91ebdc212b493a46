"""Records as the gateway and the other flows write them, and a warehouse of one's own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from msgspec.structs import replace

from connectors.records import Out, Record, out
from connectors.warehouse import SQL_READERS, WRITERS_READERS, tokens
from flows.analytics import minutes
from flows.analytics.ingest import IngestedRecord, ingest
from flows.analytics.readers import Readers
from flows.analytics.settings import AnalyticsSettings, SqlSettings, WarehouseFile
from flows.analytics.upkeep import Upkeep
from flows.analytics.warehouse import Warehouse
from flows.analytics.writer import transaction
from schemas.events import Event, EventData, new_event
from schemas.payments import AppliedRisk, Method, Payment, PaymentEvent, Refund, RefundEvent, TransactionCompleted
from schemas.settings import PORTS
from schemas.states import STATUS, PaymentState, Status
from tests.conftest import is_used, unused_ports

BIRTH = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
HASHES = """
SELECT customer_hash = (md5_number_lower(customer) >> 32), instrument_hash = (md5_number_lower(instrument) >> 32)
FROM store.payments
"""


def payment(**given: Any) -> Payment:
    """A card payment of 19.99 EUR; `state` and whatever else is given."""
    state: PaymentState = given.pop("state", "processing")
    usual = {
        "id": "pay_1",
        "stream_key": "fp_1",
        "state": state,
        "status": STATUS[state],
        "amount": 1999,
        "amount_captured": 1999 if state == "captured" else 0,
        "amount_refunded": 0,
        "currency": "EUR",
        "customer": "acc_customer",
        "merchant": "acc_merchant",
        "method": Method("card", "card_1", "visa", "411111", "1111"),
        "capture": "automatic",
        "occurred_at": BIRTH,
        "created_at": BIRTH,
        "updated_at": BIRTH,
        "country": "DE",
    }
    return Payment(**(usual | given))


def step(sequence: int, previous: PaymentState | None, payment: Payment) -> Event:
    """`payment.<state>`: the payment came to its state as its event `sequence`."""
    begins = payment.state == "processing"  # and where it comes back to that, its payer approved
    type = ("payment.initiated" if sequence == 1 else "payment.approved") if begins else f"payment.{payment.state}"
    moment = BIRTH + timedelta(seconds=sequence)
    return new_event(type, "/gateway", payment.id, PaymentEvent(sequence, previous, moment, payment), moment)


def refund_step(sequence: int, status: Status, payment: Payment, amount: int = 500, id: str = "ref_1") -> Event:
    """`refund.<status>`: a refund of a payment, which is as it then stands, came to its status."""
    moment = BIRTH + timedelta(seconds=sequence)
    code = "generic_decline" if status == "failed" else None
    refund = Refund(id, amount, payment.currency, status, code, BIRTH + timedelta(minutes=1), moment)
    data = RefundEvent(sequence, payment.state, moment, payment, refund)
    return new_event(f"refund.{status}", "/gateway", payment.id, data, moment)


def completed(sequence: int, payment: Payment) -> Event:
    """The answer its client got."""
    data = TransactionCompleted(sequence, "processing", BIRTH, payment.status, "pending", payment)
    return new_event("transaction_completed", "/gateway", payment.id, data, BIRTH)


def event(type: str, data: EventData) -> Event:
    """Any other event."""
    return new_event(type, "/test", "subject", data, BIRTH)


def lives(count: int, prefix: str = "") -> list[Out]:
    """Kafka records of `count` payments from beginning to end, in the order they happened.

    Of each five one is declined, and of the others some are captured in two parts, or refunded in part.
    """
    outs: list[Out] = []
    for n in range(count):
        id = f"pay_{prefix}{n}"
        first = payment(id=id, stream_key=f"fp_{n % 50}", amount=100 + n, currency="EUR" if n % 3 else "JPY")
        risk = AppliedRisk("allow", "rules", 0.1, [], "none", 3.5)
        judged = replace(first, processor="visa" if n % 2 else "mastercard", risk=risk)
        events = [step(1, None, first), *(_taken(judged, n) if n % 5 else [_came(2, judged, "declined")])]
        last = events[-1].data
        assert isinstance(last, PaymentEvent | RefundEvent)
        events.append(completed(last.sequence + 1, last.payment))
        outs += [out("payments.v1", first.stream_key, each) for each in events]
    return outs


def _taken(judged: Payment, n: int) -> list[Event]:
    whole = judged.amount
    captured = _came(2, judged, "captured", amount_captured=whole)
    if n % 5 == 1:
        parts = [_came(2, judged, "partially_captured", amount_captured=60, amount_capturable=whole - 60)]
        return [*parts, _came(3, judged, "captured", amount_captured=90)]
    if n % 5 == 2:
        paid = replace(judged, state="captured", status="succeeded", amount_captured=whole)
        given = [(3, "pending", 0), (4, "failed", 0), (5, "pending", 0), (6, "succeeded", 40)]
        return [captured, *(_refund_of(paid, *each) for each in given)]
    return [captured]


def _came(sequence: int, judged: Payment, state: PaymentState, **amounts: int) -> Event:
    return step(sequence, "processing", replace(judged, state=state, status=STATUS[state], **amounts))


def _refund_of(paid: Payment, sequence: int, status: Status, given_back: int) -> Event:
    id = f"ref_{paid.id}_{1 if sequence < 5 else 2}"
    return refund_step(sequence, status, replace(paid, amount_refunded=given_back), 40, id)


class Log:
    """Stands for Kafka: gives records their offsets."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}

    def record(self, out: Out, partition: int = 0) -> Record:
        """`out` as it is read back."""
        offset = self._next.get((out.topic, partition), 0)
        self._next[out.topic, partition] = offset + 1
        return Record(out.topic, partition, offset, out.key, out.headers, out.value, 1_795_000_000_000 + offset)

    def event(self, topic: str, event: Event, partition: int = 0) -> Record:
        """The record of an event."""
        return self.record(out(topic, "key", event), partition)

    def bytes(self, topic: str, value: bytes | None, headers: list[tuple[str, bytes]] | None = None) -> Record:
        """A record of whatever bytes."""
        return msgspec.structs.replace(self.record(Out(topic, b"key", headers or [], b"")), value=value)


@pytest.fixture
def kafka_log() -> Log:
    return Log()


@pytest.fixture
def settings(tmp_path: Path) -> AnalyticsSettings:
    """A data directory and ports of one's own."""
    return AnalyticsSettings(data=tmp_path, port_offset=own_ports())


class Kept:
    """A warehouse that keeps what it is given, and the dead letters it sends."""

    def __init__(self, data: Path, settings: AnalyticsSettings | None = None) -> None:
        self.letters: list[Out] = []
        self.told: list[Out] = []  # of `payments.latest.v1`
        file = (settings or AnalyticsSettings(data=data)).file()
        self.warehouse = Warehouse(file, self.letters.extend, self.told.extend)

    def write(self, *records: Record) -> None:
        """One batch."""
        self.warehouse.write([ingest(record) for record in records])

    def fold(self) -> None:
        """What is done once a minute: what batches noted goes into the sums."""
        with transaction(self.warehouse._con):
            minutes.fold(self.warehouse._con)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """What stands in it."""
        con: duckdb.DuckDBPyConnection = self.warehouse._con.cursor()
        return con.execute(sql).fetchall()

    def empty(self) -> None:
        """As a new file, which takes ten times as long to make; what it may be asked of stays."""
        for [name] in self.ask("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store'"):
            if name != "history":
                self.ask(f"DELETE FROM store.{name}")
        self.warehouse._upkeep.pruned.clear()
        self.letters.clear()
        self.told.clear()


def looked_after(kept: Kept, path: Path, days: int | None = None) -> tuple[Upkeep, list[str]]:
    """Upkeep of a file of that path in the present hour, and why it restarted the process, which it did not."""
    whys: list[str] = []
    file = WarehouseFile(path, 0, 1, days, datetime.now(UTC).hour)
    return Upkeep(kept.warehouse._con, file, restart=whys.append), whys


def own_ports() -> int:
    """A port offset at which the two ports of a warehouse were free a moment ago."""
    offsets = (unused_ports(1)[0] - PORTS["warehouse"] for _ in count())
    return next(offset for offset in offsets if not is_used(PORTS["sql"] + offset))


@contextmanager
def served_warehouse(data: Path, host: str = "localhost") -> Iterator[AnalyticsSettings]:
    """A warehouse with nothing in it that our own readers can ask."""
    settings = AnalyticsSettings(data=data, port_offset=own_ports(), host=host)
    warehouse = Warehouse(settings.file(), lambda letters: None)
    warehouse.serve(f"quack:{host}:{settings.port('warehouse')}", tokens(settings, WRITERS_READERS))
    try:
        yield settings
    finally:
        warehouse.close()


@contextmanager
def served_copy(data: Path, batch: Sequence[IngestedRecord] = ()) -> Iterator[SqlSettings]:
    """The same for everybody else, with `batch` in it, and limits that nobody meets: this process would end."""
    settings = SqlSettings(data=data, port_offset=own_ports(), statement_s=10_000, sql_process_mb=1_000_000)
    copy = Warehouse(settings.file(), lambda letters: None)
    if batch:
        copy.write(batch)
        copy.save_lag({(item.record.topic, item.record.partition): 0 for item in batch})
    readers = Readers(tokens(settings, SQL_READERS))
    copy.serve_guarded(f"quack:localhost:{settings.port('sql')}", readers, settings)
    try:
        yield settings
    finally:
        copy.close()


@pytest.fixture(scope="session")
def one_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Served, since DuckDB may do less from then on: it opens no file, and finds no variable of Python."""
    settings = AnalyticsSettings(data=tmp_path_factory.mktemp("kept"), port_offset=own_ports())
    kept = Kept(settings.data, settings)
    kept.warehouse.serve(f"quack:localhost:{settings.port('warehouse')}", tokens(settings, WRITERS_READERS))
    yield kept
    kept.warehouse.close()


@pytest.fixture
def kept(one_kept: Kept) -> Kept:
    """A warehouse with nothing in it."""
    one_kept.empty()
    return one_kept
