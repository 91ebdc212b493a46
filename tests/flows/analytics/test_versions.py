"""`payments_as_of`: of any moment within its span it says what a fold of the events up to then says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.warehouse import WarehouseReader
from flows.analytics.ingest import ingest
from flows.analytics.rows import WarehousePayment
from flows.analytics.settings import AnalyticsSettings
from flows.analytics.stored_payments import by_payment
from flows.analytics.versions import KnownPayment, replacements
from schemas.events import Event
from schemas.payments import PaymentEvent, RefundEvent
from schemas.times import EPOCH, now
from tests.flows.analytics.conftest import HASHES, Kept, Log, payment, refund_step, served_copy, step

PAYMENTS = "payments.v1"
AS_OF = "SELECT id, sequence, state, amount_refunded FROM payments_as_of(TIMESTAMP '{}') ORDER BY id"
REPLACED = "SELECT count(replaced_at) FROM store.payments"
HOUR = timedelta(hours=1)


def at(event: Event, moment: datetime) -> Event:
    """The event, recorded at that moment."""
    data = event.data
    assert isinstance(data, PaymentEvent | RefundEvent)
    return replace(event, data=replace(data, recorded_at=moment))


def life(n: int, moments: list[datetime]) -> list[Event]:
    """As many events of a payment as there are moments, refunds from the third on."""
    first = payment(id=f"pay_{n}", created_at=moments[0])
    paid = replace(first, state="captured", status="succeeded", amount_captured=first.amount)
    steps = [step(1, None, first), step(2, "processing", paid)]
    given_back = [replace(paid, amount_refunded=50 * k) for k in range(len(moments) + 1)]
    steps += [refund_step(k, "succeeded", given_back[k], 50, f"ref_{n}_{k}") for k in range(3, len(moments) + 1)]
    return [at(each, moment) for each, moment in zip(steps, moments, strict=False)]


def fold(events: list[Event], moment: datetime) -> list[tuple[object, ...]]:
    """What the payments were at a moment: of each the event with the highest sequence up to then."""
    stood: dict[str, PaymentEvent | RefundEvent] = {}
    for event in events:
        data = event.data
        assert isinstance(data, PaymentEvent | RefundEvent)
        known = stood.get(data.payment.id)
        if data.recorded_at <= moment and (known is None or known.sequence < data.sequence):
            stood[data.payment.id] = data
    return [(id, d.sequence, d.payment.state, d.payment.amount_refunded) for id, d in sorted(stood.items())]


def ask(kept: Kept, moment: datetime) -> list[tuple[object, ...]]:
    return kept.ask(AS_OF.format(moment.replace(tzinfo=None)))


minutes = st.lists(st.integers(1, 2000), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(lives=st.lists(minutes, min_size=1, max_size=3), data=st.data(), size=st.integers(1, 6))
def test_of_each_moment_it_is_what_the_events_up_to_then_say(
    one_kept: Kept, lives: list[list[int]], data: st.DataObject, size: int
) -> None:
    """Clocks that go back, events that come late, twice or not in order, batches cut anywhere."""
    one_kept.empty()
    began = now() - timedelta(minutes=2000)
    events = [e for n, life_s in enumerate(lives) for e in life(n, [began + timedelta(minutes=m) for m in life_s])]
    log = Log()
    came = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=3))]))
    records = [log.event(PAYMENTS, each) for each in came]
    for begin in range(0, len(records), size):
        one_kept.write(*records[begin : begin + size])
    moments = {m for life_s in lives for m in life_s} | {0, 2000}
    for moment in (began + timedelta(minutes=m) for m in sorted(moments)):
        assert ask(one_kept, moment) == fold(events, moment)


def test_a_payment_that_last_changed_months_ago_stood_as_it_stands(kept: Kept, kafka_log: Log) -> None:
    old = life(1, [now() - timedelta(days=90), now() - timedelta(days=80), now() - HOUR])
    for each in old:
        kept.write(kafka_log.event(PAYMENTS, each))
    assert ask(kept, now() - 2 * HOUR) == [("pay_1", 2, "captured", 0)]
    assert ask(kept, now()) == [("pay_1", 3, "captured", 150)]
    assert kept.ask(REPLACED) == [(1,)], "nobody may ask for the first"


def test_it_has_the_columns_of_the_view_and_the_trace_of_the_first_event(kept: Kept, kafka_log: Log) -> None:
    began = now() - HOUR
    first, *rest = life(1, [began, began + timedelta(minutes=1), began + timedelta(minutes=2)])
    traced = replace(first, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    kept.write(*[kafka_log.event(PAYMENTS, each) for each in (traced, *rest)])
    asked = f"FROM payments_as_of('{began + timedelta(minutes=1)}')"
    assert kept.ask(f"SELECT sequence, trace_id {asked}") == [(2, "a" * 32)]
    assert [c for c, *_ in kept.ask(f"DESCRIBE {asked}")] == [c for c, *_ in kept.ask("DESCRIBE payments")]


def test_a_moment_outside_of_its_span_is_an_error_that_says_so(kept: Kept, kafka_log: Log) -> None:
    kept.write(kafka_log.event(PAYMENTS, step(1, None, payment())))
    for moment, says in ((now() - 49 * HOUR, "knows moments from"), (now() + HOUR, "still to come")):
        with pytest.raises(duckdb.Error, match=says):
            ask(kept, moment)
    ask(kept, now() - 47 * HOUR)


@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_clock_ahead_recorded_was_true_from_when_it_came(kept: Kept, kafka_log: Log, at_once: bool) -> None:
    """A gateway's clock may be an hour ahead, and the next event may be of one whose clock is right."""
    events = life(1, [now() + HOUR, now() + 2 * HOUR, now() - timedelta(seconds=1)])
    ahead = [kafka_log.event(PAYMENTS, each) for each in events[:2]]
    for records in [ahead] if at_once else [[each] for each in ahead]:
        kept.write(*records)
        assert ask(kept, now()) == kept.ask("SELECT id, sequence, state, amount_refunded FROM payments")
    kept.write(kafka_log.event(PAYMENTS, events[2]))
    assert ask(kept, now()) == [("pay_1", 3, "captured", 150)]
    assert ask(kept, now() - HOUR) == []


def test_what_is_too_old_is_pruned_and_not_known_any_more(tmp_path: Path, kafka_log: Log) -> None:
    """A longer span later does not bring back what is gone."""
    events = life(1, [now() - 3 * HOUR, now() - 2 * HOUR, now() - HOUR / 2])
    longer, shorter = AnalyticsSettings(data=tmp_path), AnalyticsSettings(data=tmp_path, warehouse_history_h=1)
    for given_settings, versions in ((longer, 2), (shorter, 1), (longer, 1)):
        kept = Kept(tmp_path, given_settings)
        kept.write(*[kafka_log.event(PAYMENTS, each) for each in events])
        assert kept.ask(REPLACED) == [(versions,)]
        kept.warehouse.close()
    reopened = Kept(tmp_path, longer)
    with pytest.raises(duckdb.Error, match="knows moments from"):
        ask(reopened, now() - 2 * HOUR)
    assert ask(reopened, now() - HOUR / 2 - timedelta(minutes=1)) == [("pay_1", 2, "captured", 0)]
    reopened.warehouse.close()


def test_a_file_from_before_knows_the_moments_since_it_was_opened(tmp_path: Path, kafka_log: Log) -> None:
    older = Kept(tmp_path)
    older.write(kafka_log.event(PAYMENTS, step(1, None, payment())))
    older.ask("DROP TABLE store.history")
    older.warehouse.close()
    opened = Kept(tmp_path)
    with pytest.raises(duckdb.Error, match="knows moments from"):
        ask(opened, now() - HOUR)
    opened.warehouse.close()


def test_a_file_that_kept_them_in_a_table_of_their_own_goes_on(tmp_path: Path, kafka_log: Log) -> None:
    began = now() - HOUR
    events = life(1, [began, began + timedelta(minutes=1), began + timedelta(minutes=2)])
    older = Kept(tmp_path)
    older.write(*[kafka_log.event(PAYMENTS, each) for each in events])
    older.ask("CREATE TABLE store.payment_versions AS FROM store.payments WHERE replaced_at IS NOT NULL")
    older.ask("DELETE FROM store.payments WHERE replaced_at IS NOT NULL")
    older.ask("ALTER TABLE store.payments DROP COLUMN replaced_at")
    for table in ("payments", "payment_versions"):
        for column in ("customer_hash", "instrument_hash"):
            older.ask(f"ALTER TABLE store.{table} DROP COLUMN {column}")
    older.warehouse.close()
    for _ in range(2):
        opened = Kept(tmp_path)
        assert [ask(opened, began + timedelta(minutes=m)) for m in range(3)] == [
            fold(events, began + timedelta(minutes=m)) for m in range(3)
        ]
        assert opened.ask("SELECT count(*) FROM payments") == [(1,)]
        assert opened.ask(HASHES) == [(True, True)] * 3
        opened.warehouse.close()


def test_readers_may_ask_for_it(tmp_path: Path) -> None:
    with served_copy(tmp_path) as settings:
        reader = WarehouseReader(settings, "sql")
        assert reader.query("SELECT count(*) FROM payments_as_of(now() - INTERVAL 1 HOUR)").rows == [(0,)]


def test_nothing_is_put_into_the_past_that_nobody_may_ask_for() -> None:
    [row] = ingest(Log().event(PAYMENTS, step(1, None, payment()))).rows
    assert isinstance(row, WarehousePayment)
    later = replace(row, sequence=2, recorded_at=row.recorded_at + HOUR)
    known = {row.id: KnownPayment(0, datetime(2026, 1, 1, tzinfo=UTC))}
    past = replacements(by_payment([later, row]), known, EPOCH, later.recorded_at)
    assert (past.stored, past.passed) == ([(row.id, row.recorded_at)], [(row, later.recorded_at)])
    assert replacements(by_payment([later, row]), known, *[later.recorded_at] * 2) == ([], [], set())
