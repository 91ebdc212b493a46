"""A warehouse built anew from Kafka, in a file beside the one that is used."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from msgspec.structs import replace

from connectors.kafka_login import Bootstrap
from connectors.record_reader import RecordReader, places
from connectors.records import Place, Record
from flows.analytics.ingest import FOLLOWED, MAY_EXPIRE, IngestedRecord, ingest
from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import Warehouse

# Records of one transaction: beyond that nothing gets faster, and two of them are in memory.
BATCH = 10_000
# Bytes in memory until all is put into the file: then rows are written once more of which there are under 122,880.
UNSAVED_MAX = 300_000_000
RECORD_BYTES = 1_000  # of its rows, beside what its JSON has: the numbers of a verdict have 1,320
# What the client may hold of records that nobody took yet, in KB.
READ_AHEAD: dict[str, Any] = {"queued.max.messages.kbytes": 32_768, "fetch.message.max.bytes": 524_288}

Progress = Callable[[int, int], None]  # so many records more, of so many in all


def rebuild(
    bootstrap: Bootstrap, file: WarehouseFile, until: Mapping[Place, int] | None, progress: Progress
) -> None:
    """Fill the new `file` from Kafka, up to the offsets `until`, or as far as the topics reach now.

    Raises `KafkaException`, `OffsetGone`, `duckdb.Error`, `OSError`. Dead letters were sent when the records were
    first read.
    """
    warehouse = Warehouse(replace(file, logged=False), lambda letters: None)
    reader = RecordReader(bootstrap, may_expire=MAY_EXPIRE, config=READ_AHEAD)
    gc.disable()  # nothing here refers to itself, and a collection looks through the records of two batches
    try:
        _add(reader, places(bootstrap, FOLLOWED), until)
        total = sum(end - reader.bookmarks[place].offset for place, end in reader.ends.items())
        _write_all(warehouse, reader, lambda records: progress(records, total))
        warehouse.save_lag(dict.fromkeys(reader.ends, 0))
        warehouse.checkpoint()
    finally:
        gc.enable()
        reader.close()
        warehouse.close()


def _add(reader: RecordReader, found: list[Place], until: Mapping[Place, int] | None) -> None:
    for place in found:
        reader.add(place)
        if until is not None:
            reader.ends[place] = max(reader.bookmarks[place].offset, until.get(place, 0))


def _write_all(warehouse: Warehouse, reader: RecordReader, wrote: Callable[[int], None]) -> None:
    """Read the next batch while DuckDB writes this one."""
    with ThreadPoolExecutor(1, "rebuild") as writing:
        pending: Future[None] | None = None
        unsaved = 0
        for batch in _batches(reader):
            if pending:
                pending.result()
            unsaved += sum(len(item.record.value or b"") + RECORD_BYTES for item in batch)
            pending = writing.submit(_write, warehouse, batch, unsaved >= UNSAVED_MAX)
            unsaved %= UNSAVED_MAX
            wrote(len(batch))
        if pending:
            pending.result()


def _write(warehouse: Warehouse, batch: Sequence[IngestedRecord], checkpoint: bool) -> None:
    warehouse.write(batch)
    if checkpoint:
        warehouse.checkpoint()


def _batches(reader: RecordReader) -> Iterator[list[IngestedRecord]]:
    """All records before the ends, in the order in which they come."""
    batch: list[IngestedRecord] = []
    while not reader.at_end():
        batch += [ingest(record) for record in reader.poll() if _is_within(record, reader)]
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _is_within(record: Record, reader: RecordReader) -> bool:
    return record.offset < reader.ends[record.topic, record.partition]
