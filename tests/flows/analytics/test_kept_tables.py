"""A refund, an operation, a review has one row, and an entry counts once, whatever times events say."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from schemas.events import Event
from schemas.ids import earliest_id
from schemas.operations import OperationEvent
from schemas.payments import RefundEvent
from schemas.times import to_micros
from tests.flows.analytics.conftest import BIRTH, Kept, Log, payment, refund_step
from tests.flows.analytics.lives import operated, operation, review, reviewed

DAY = timedelta(days=1)
MOVED = {"due:visa": 1999, "due:acc_merchant": -1999}
Told = Callable[[int, datetime], Event]  # the event of a sequence, which says that time of the first one


def refunded(sequence: int, created_at: datetime) -> Event:
    event = refund_step(sequence, "pending", payment(state="captured"), id=_id("ref"))
    assert isinstance(event.data, RefundEvent)
    refund = replace(event.data.refund, created_at=created_at)
    return replace(event, data=replace(event.data, refund=refund))


def called(sequence: int, created_at: datetime) -> Event:
    return operated(sequence, operation(id=_id("op"), created_at=created_at))


def opened(sequence: int, opened_at: datetime) -> Event:
    return reviewed(sequence, review(id=_id("rev"), opened_at=opened_at))


def _id(prefix: str) -> str:
    return earliest_id(prefix, to_micros(BIRTH))


def moved_at(event: Event, recorded_at: datetime) -> Event:
    assert isinstance(event.data, OperationEvent)
    return replace(event, data=replace(event.data, recorded_at=recorded_at))


@pytest.mark.parametrize("apart", [timedelta(seconds=0.7), timedelta(seconds=31), -400 * DAY])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    ("topic", "told", "clock"),
    [
        ("payments.v1", refunded, "refunds.created_at"),
        ("operations.v1", called, "operations.created_at"),
        ("reviews.v1", opened, "reviews.opened_at"),
    ],
)
def test_it_has_one_row(
    kept: Kept, kafka_log: Log, topic: str, told: Told, clock: str, size: int, apart: timedelta
) -> None:
    said = ((1, BIRTH), (2, BIRTH + apart), (3, BIRTH))
    records = [kafka_log.event(topic, told(*each)) for each in said]
    for begin in range(0, len(records), size):
        kept.write(*records[begin : begin + size])
    view, column = clock.split(".")
    assert kept.ask(f"SELECT sequence, {column} FROM {view}") == [(3, BIRTH.replace(tzinfo=None))]


@pytest.mark.parametrize("apart", [timedelta(seconds=1), -400 * DAY, 400 * DAY])
@pytest.mark.parametrize("later", [1, 2])  # the last sequence that is told before
def test_an_entry_counts_once(kept: Kept, kafka_log: Log, later: int, apart: timedelta) -> None:
    for sequence in range(1, later + 1):
        kept.write(kafka_log.event("operations.v1", operated(sequence, operation(), MOVED)))
    before = kept.ask(told := "SELECT account, amount, entries FROM balances ORDER BY account")
    assert before == [("due:acc_merchant", -1999 * later, later), ("due:visa", 1999 * later, later)]
    again = operated(1, operation(), MOVED)
    kept.write(kafka_log.event("operations.v1", moved_at(again, BIRTH + apart)))
    assert kept.ask(told) == before
    assert kept.ask("SELECT sum(entries) FROM ledger_by_day") == [(2 * later,)]


def test_entries_of_an_earlier_event_that_comes_late_count(kept: Kept, kafka_log: Log) -> None:
    for sequence in (2, 1, 1):
        kept.write(kafka_log.event("operations.v1", operated(sequence, operation(), MOVED)))
    assert kept.ask("SELECT amount, entries FROM balances WHERE account = 'due:visa'") == [(2 * 1999, 2)]
