"""An event that says another `created_at` than its payment has changes that payment, and makes no second one."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from connectors.records import Record
from flows.analytics.births import elsewhere
from flows.analytics.ingest import ingest
from flows.analytics.rows import WarehousePayment
from schemas.ids import born_at, earliest_id
from schemas.payments import Payment
from schemas.times import to_micros
from tests.flows.analytics.conftest import BIRTH, Kept, Log, payment, step
from tests.flows.analytics.test_retention import prune_all

PAYMENTS = "payments.v1"
BORN = replace(payment(), id=earliest_id("pay", to_micros(BIRTH)))
DAY = timedelta(days=1)
COUNTED = "SELECT minute::VARCHAR, state, count, amount FROM payments_by_minute"
ONE = [("2026-11-23 12:00:00", "captured", 1, 1999)]


def captured(**given: object) -> Payment:
    paid = payment(state="captured", id=BORN.id)
    return replace(paid, **given)


def told(log: Log, *lives: tuple[int, Payment]) -> list[Record]:
    before = {1: None, 2: "processing", 3: "captured"}
    return [log.event(PAYMENTS, step(n, before[n], stands)) for n, stands in lives]  # type: ignore[arg-type]


@pytest.mark.parametrize("apart", [timedelta(seconds=0.7), timedelta(seconds=31), -400 * DAY])
@pytest.mark.parametrize("size", [1, 3])
def test_a_payment_is_one_whatever_its_events_say_of_its_birth(
    kept: Kept, kafka_log: Log, apart: timedelta, size: int
) -> None:
    other = captured(created_at=BIRTH + apart)
    records = told(kafka_log, (1, BORN), (2, other), (3, captured()))
    for begin in range(0, len(records), size):
        kept.write(*records[begin : begin + size])
    assert kept.ask("SELECT sequence, created_at FROM payments") == [(3, BIRTH.replace(tzinfo=None))]
    assert kept.ask(COUNTED) == ONE
    assert kept.ask("SELECT count(*) FROM payments_as_of(now())") == [(1,)]


def test_and_where_retention_left_a_stub_of_it(kept: Kept, kafka_log: Log) -> None:
    kept.write(*told(kafka_log, (1, BORN), (2, captured())))
    prune_all(kept, BIRTH + DAY)
    assert kept.ask("SELECT count(*) FROM payments") == [(0,)]
    kept.write(*told(kafka_log, (2, captured(created_at=BIRTH + 9 * DAY))))
    assert kept.ask("SELECT count(*) FROM payments") == [(0,)], "a repeat"
    kept.write(*told(kafka_log, (3, captured(created_at=BIRTH + 9 * DAY))))
    assert kept.ask("SELECT sequence, created_at FROM payments") == [(3, BIRTH.replace(tzinfo=None))]
    assert kept.ask(COUNTED) == ONE


def test_a_payment_of_a_clock_that_was_set_is_where_it_says(kept: Kept, kafka_log: Log) -> None:
    """Its id is of the steady clock, which may be hours beside the wall's."""
    late = replace(BORN, created_at=BIRTH + 2 * DAY)
    kept.write(*told(kafka_log, (1, late)))
    kept.write(*told(kafka_log, (2, captured(created_at=late.created_at))))
    assert kept.ask("SELECT created_at FROM payments") == [((BIRTH + 2 * DAY).replace(tzinfo=None),)]
    assert kept.ask(COUNTED) == [("2026-11-25 12:00:00", "captured", 1, 1999)]


def test_nothing_is_asked_for_payments_whose_ids_agree(kafka_log: Log) -> None:
    assert born_at(BORN.id) == BIRTH
    [row] = ingest(told(kafka_log, (1, BORN))[0]).rows
    assert isinstance(row, WarehousePayment)
    assert elsewhere(None, {row.id: [row]}, {}) == {}  # type: ignore[arg-type]
