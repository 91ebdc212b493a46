"""A file that is built anew has no log: it is whole with its last checkpoint, and the same as one with a log."""

from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from connectors.records import Record
from flows.analytics.ingest import ingest
from flows.analytics.settings import WarehouseFile
from flows.analytics.view_hash import HashedSpan, view_hash
from flows.analytics.warehouse import Warehouse, open_file
from schemas.events import Event
from schemas.payments import PaymentEvent
from tests.flows.analytics.conftest import Kept, Log, lives, payment, step

UNFIT = 2**70


def test_without_a_log_the_rows_are_the_same(tmp_path: Path, kept: Kept, kafka_log: Log) -> None:
    records = [kafka_log.record(out) for out in lives(20)]
    records.insert(5, kafka_log.event("payments.v1", _unfit()))
    kept.write(*records)
    file = WarehouseFile(tmp_path / "anew.duckdb", 256, 1, logged=False)
    _build(file, records)
    assert [each.name for each in tmp_path.iterdir()] == ["anew.duckdb"]
    with closing(open_file(replace(file, logged=True))) as con:
        anew = view_hash(lambda sql: con.execute(sql).fetchall(), HashedSpan())
    assert anew == view_hash(kept.ask, HashedSpan())


def _build(file: WarehouseFile, records: list[Record]) -> None:
    """In batches, as a rebuild writes them, with a checkpoint between two of them."""
    warehouse = Warehouse(file, lambda letters: None)
    for begin in range(0, len(records), 20):
        warehouse.write([ingest(record) for record in records[begin : begin + 20]])
        if begin == 20:
            warehouse.checkpoint()
    warehouse.checkpoint()
    warehouse.close()


def _unfit() -> Event:
    """One whose value no column holds, so that its batch is rolled back and halved until it stands alone."""
    event = step(1, None, payment(id="pay_unfit"))
    assert isinstance(event.data, PaymentEvent)
    wide = replace(event.data.payment, attempts=UNFIT)
    return replace(event, data=replace(event.data, payment=wide))
