"""`payment.latest`: told of what a batch changes, once it is in the warehouse, and again rather than never."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from connectors.record_reader import Bookmark
from connectors.records import Out, Record
from connectors.streams import DeliveryFailed
from flows.analytics.ingest import ingest
from flows.analytics.settings import AnalyticsSettings
from flows.analytics.warehouse import Warehouse
from schemas.events import Event, decode, derived_id
from schemas.payments import LatestPayment
from tests.flows.analytics.conftest import Kept, Log, completed, payment, refund_step, step

PAYMENTS = "payments.v1"
PAID = payment(state="captured")
FIRST, SECOND = step(1, None, payment()), step(2, "processing", PAID)


def told(outs: list[Out]) -> list[tuple[str, str, int]]:
    """Key, state and sequence of each, which are as a consumer reads them."""
    found = []
    for out in outs:
        data = decode(out.headers, out.value).data
        assert out.topic == "payments.latest.v1"
        assert isinstance(data, LatestPayment)
        found.append((out.key.decode(), data.payment.state, data.sequence))
    return found


def batches(*events: Event) -> list[Record]:
    log = Log()
    return [log.event(PAYMENTS, each) for each in events]


def test_each_payment_of_a_batch_is_told_once_as_its_newest_event_says(kept: Kept, kafka_log: Log) -> None:
    other = step(1, None, payment(id="pay_2"))
    refunded = refund_step(3, "succeeded", replace(PAID, amount_refunded=500))
    kept.write(*[kafka_log.event(PAYMENTS, each) for each in (FIRST, other, SECOND, completed(3, PAID))])
    assert told(kept.told) == [("pay_1", "captured", 2), ("pay_2", "processing", 1)]
    kept.write(kafka_log.event(PAYMENTS, refunded))
    event = decode(kept.told[-1].headers, kept.told[-1].value)
    assert event.data == LatestPayment(3, refunded.data.recorded_at, refunded.data.payment)  # type: ignore[union-attr]
    assert (event.id, event.subject) == (derived_id(refunded.id, "payment.latest"), "pay_1")


def test_what_is_not_newer_is_not_told(kept: Kept, kafka_log: Log) -> None:
    kept.write(kafka_log.event(PAYMENTS, SECOND))
    kept.write(kafka_log.event(PAYMENTS, FIRST), kafka_log.event(PAYMENTS, completed(3, PAID)))
    assert told(kept.told) == [("pay_1", "captured", 2)]


def test_fields_of_a_newer_release_go_on_as_they_came(kept: Kept) -> None:
    [record] = batches(FIRST)
    value = (record.value or b"").replace(b'"payment":{', b'"payment":{"future":[1.50],')
    kept.write(msgspec.structs.replace(record, value=value))
    assert b'"future":[1.50]' in kept.told[0].value


def test_a_value_that_is_rejected_leaves_its_neighbours_told(kept: Kept) -> None:
    unfit = step(1, None, payment(id="pay_x", amount=2**70))
    kept.write(*batches(FIRST, unfit, step(1, None, payment(id="pay_3"))))
    assert told(kept.told) == [("pay_1", "processing", 1), ("pay_3", "processing", 1)]


def test_killed_before_it_told_it_tells_again_and_never_goes_back(tmp_path: Path) -> None:
    """However the batches are cut then. What was told before the kill is not followed by an older state."""
    records = batches(FIRST, SECOND, step(1, None, payment(id="pay_2")))
    outs: list[Out] = []

    def fail(_outs: list[Out]) -> None:
        raise DeliveryFailed("no answer")

    file = AnalyticsSettings(data=tmp_path).file()
    warehouse = Warehouse(file, outs.extend, fail)
    with pytest.raises(DeliveryFailed):
        warehouse.write([ingest(record) for record in records])
    warehouse.close()

    again = Warehouse(file, outs.extend, outs.extend)
    assert again.bookmarks() == {(PAYMENTS, 0): Bookmark(0)}
    for record in records:
        again.write([ingest(record)])
    assert told(outs) == [("pay_1", "captured", 2), ("pay_2", "processing", 1)]
    assert again.bookmarks() == {(PAYMENTS, 0): Bookmark(2, records[1].timestamp_ms)}
    again.close()


def test_who_does_not_tell_reads_on_after_its_last_commit(tmp_path: Path, kafka_log: Log) -> None:
    copy = Warehouse(AnalyticsSettings(data=tmp_path).file(), lambda letters: None)
    record = kafka_log.event(PAYMENTS, FIRST)
    copy.write([ingest(record)])
    assert copy.bookmarks() == {(PAYMENTS, 0): Bookmark(1, record.timestamp_ms)}
    copy.close()


def test_a_file_from_before_reads_all_payments_once_more_to_tell_of_them(tmp_path: Path, kafka_log: Log) -> None:
    records = [kafka_log.event(PAYMENTS, each) for each in (FIRST, SECOND)]
    older = Kept(tmp_path)
    older.write(*records)
    older.ask("UPDATE store.offsets SET told_offset = NULL, told_at = NULL")
    older.warehouse.close()
    opened = Kept(tmp_path)
    assert opened.warehouse.bookmarks() == {(PAYMENTS, 0): Bookmark(0)}
    opened.write(records[0])
    opened.write(records[1])
    assert told(opened.told) == [("pay_1", "captured", 2)]
    opened.warehouse.close()
