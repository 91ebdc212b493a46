"""What stands on Kafka about the fraud flow: its verdicts by run and position, and the records it took in.

Memory does not grow with them: verdicts lie in a temporary file, and records are read when it is their turn.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

import msgspec

from connectors.kafka_login import Bootstrap
from connectors.record_reader import Bookmark, RecordReader, until_now
from connectors.records import Place, Record, read
from flows.fraud.codec import SOURCE, inputs_of, is_used
from flows.fraud.intake import StreamItem
from flows.fraud.replaying import OrderUnknown, RecordedRun
from schemas.events import Event
from schemas.fraud import Stretch, Verdict
from schemas.topics import RISK

KEPT = 4_000  # records of a partition: what a run did after its last snapshot is read twice
TABLE = """
    CREATE TABLE verdicts (run TEXT, position INTEGER, sequence INTEGER, resumed_run TEXT, resumed_at INTEGER,
        rules TEXT, body BLOB, PRIMARY KEY (run, position)) WITHOUT ROWID
"""
RUNS = "SELECT run, resumed_run, resumed_at, min(sequence) FROM verdicts GROUP BY run ORDER BY run"
OF_RUN = "SELECT body FROM verdicts WHERE run = ? AND position > ? ORDER BY position"


class RecordedVerdicts:
    """Verdicts in a temporary file, and the inputs they name from `bootstrap`. `unordered`: how many name none."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap, self._windows = bootstrap, dict[str, _Window]()
        self._file = sqlite3.connect("", isolation_level=None)  # no name: on disk, and removed when it is closed
        self._file.execute("PRAGMA journal_mode=OFF")
        self._file.execute(TABLE)
        self.unordered = 0

    def load(self, on_records: Callable[[int], None]) -> int:
        """Read all verdicts. Returns how many name their inputs; `on_records` is told how many were read."""
        for records in until_now(self._bootstrap, [RISK.name]):
            self._add(records)
            on_records(len(records))
        return int(self._file.execute("SELECT count(*) FROM verdicts").fetchone()[0])

    def rule_versions(self) -> set[str]:
        """The versions of the rules that they were made by."""
        return {version for (version,) in self._file.execute("SELECT DISTINCT rules FROM verdicts")}

    def runs(self) -> list[RecordedRun]:
        """All runs that wrote a verdict."""
        return [RecordedRun(*row) for row in self._file.execute(RUNS)]

    def verdicts(self, run_id: str, above: int) -> Iterable[Verdict]:
        """The verdicts of a run on payments at a position `above` that, in order."""
        for (body,) in self._file.execute(OF_RUN, (run_id, above)):
            yield msgspec.json.decode(body, type=Verdict)

    def items(self, stretch: Stretch) -> Iterator[StreamItem]:
        """The inputs of a stretch, made anew. Raises `OrderUnknown` where they are gone."""
        if stretch.place not in self._windows:
            topic, _, number = stretch.place.rpartition("/")
            self._windows[stretch.place] = _Window(self._bootstrap, (topic, int(number)))
        offset, left = stretch.offset, stretch.count
        while left:
            record = self._windows[stretch.place].first_from(offset)
            offset = record.offset + 1
            for item in _items(record):
                left -= 1
                yield item

    def close(self) -> None:
        """Remove the file, close the connections."""
        self._file.close()
        for window in self._windows.values():
            window.close()

    def _add(self, records: list[Record]) -> None:
        rows = []
        for record in records:
            event = read(record, SOURCE)
            if not isinstance(event, Event) or not isinstance(verdict := event.data, Verdict):
                continue
            if (intake := verdict.intake) is None:
                self.unordered += 1
                continue
            known = (intake.run, intake.position, verdict.flow_sequence, intake.resumed_run, intake.resumed_at)
            rows.append((*known, verdict.rules, record.value))
        self._file.executemany("INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _items(record: Record) -> list[StreamItem]:
    if not is_used(record):
        return []
    event = read(record, SOURCE)
    return inputs_of((record, event)) if isinstance(event, Event) else []


class _Window:
    """The records of one partition around where it is read."""

    def __init__(self, bootstrap: Bootstrap, place: Place) -> None:
        self._bootstrap, self._place = bootstrap, place
        self._reader: RecordReader | None = None
        self._records: list[Record] = []

    def first_from(self, offset: int) -> Record:
        """The first record at `offset` or later. Raises `OrderUnknown` where there is none."""
        if not self._records or offset < self._records[0].offset:
            self._open(offset)
        while self._records[-1].offset < offset:
            self._read_on(offset)
        return self._records[bisect_left(self._records, offset, key=lambda record: record.offset)]

    def close(self) -> None:
        if self._reader:
            self._reader.close()

    def _open(self, offset: int) -> None:
        self.close()
        self._records, self._reader = [], RecordReader(self._bootstrap)
        self._reader.add(self._place, Bookmark(offset))
        self._read_on(offset)

    def _read_on(self, offset: int) -> None:
        assert self._reader
        while not (records := self._reader.poll()):
            if self._reader.at_end():
                raise OrderUnknown(f"{self._place[0]}/{self._place[1]}: nothing stands at {offset} any more")
        self._records = [*self._records[-KEPT:], *records]
