"""What books lost that were put back, read from the topics: into a temporary file, and from there by payments.

The file holds what the books lack and nothing else, so memory does not grow with the topics.
"""

import sqlite3
from collections.abc import Collection, Iterator
from itertools import groupby
from operator import itemgetter

import msgspec
from sqlalchemy import Connection

from connectors.kafka_login import Bootstrap
from connectors.record_reader import until_now
from connectors.records import Record, event_id_of, read
from gateway.books.outbox import OutboxRow
from gateway.books.restored import missing_events, note_published
from gateway.payments.retold import OfPayment, ToldPayment
from schemas.accounts import AccountChanged, AccountErased
from schemas.events import Event, Tombstone, decode
from schemas.fraud import Label, Verdict
from schemas.operations import OperationEvent
from schemas.reviews import ReviewEvent
from schemas.times import to_micros
from schemas.topics import ACCOUNTS, LABELS, OPERATIONS, PAYMENTS, REVIEWS, RISK

SOURCE = "/sluice/restore"
OURS = (PAYMENTS.name, OPERATIONS.name, REVIEWS.name, LABELS.name, ACCOUNTS.name)
MARGIN_MS = 60_000  # clocks of gateways and brokers differ
PAGE = 1_000
NAMED_MAX = 20
TABLES = """
    CREATE TABLE events (
        id TEXT PRIMARY KEY, payment_id TEXT, at INTEGER, topic TEXT, sequence INTEGER, record BLOB
    );
    CREATE INDEX events_payment_id ON events (payment_id, topic, sequence);
    CREATE INDEX events_at ON events (at);
"""


class KeptRecord(msgspec.Struct, frozen=True):
    """A record of Kafka's that holds an event."""

    topic: str
    key: str
    headers: list[tuple[str, bytes]]
    value: bytes

    def event(self) -> Event:
        """The event in it."""
        return decode(self.headers, self.value)


class LostEvents:
    """The events on the topics that the books do not have, and the verdicts on their payments."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)  # no name: on disk, and removed when it is closed
        for setting in ("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE"):
            self._file.execute(f"PRAGMA {setting}")
        self._file.executescript(TABLES)
        self._unreadable: list[str] = []

    def close(self) -> None:
        """Remove it."""
        self._file.close()

    def read(self, bootstrap: Bootstrap, conn: Connection, since: int | None) -> None:
        """Read the topics to where they end now, from events of `since` on (microseconds UTC; None: all).

        A copy has rows that were on their way to Kafka when it was made: what is there counts as published.
        """
        since_ms = None if since is None else max(0, since // 1000 - MARGIN_MS)
        for records in until_now(bootstrap, OURS, since_ms):
            found = {event_id_of(record.headers) for record in records}
            missing = missing_events(conn, found)
            note_published(conn, found - missing)
            for record in records:
                if event_id_of(record.headers) in missing:
                    self._take(record)
        for records in until_now(bootstrap, [RISK.name], since_ms):
            for record in records:
                if self._knows((record.key or b"").decode()):
                    self._take(record)

    def payments(self) -> Iterator[ToldPayment]:
        """What is told of each payment that the books lack an event of."""
        rows = self._file.execute(
            "SELECT payment_id, record FROM events WHERE payment_id IS NOT NULL"
            " ORDER BY payment_id, topic, sequence, rowid"
        )
        for payment_id, found in groupby(rows, key=itemgetter(0)):
            yield told_payment(payment_id, [_kept(body).event() for _, body in found])

    def accounts(self) -> Iterator[AccountChanged | AccountErased]:
        """What is told of accounts, in the order of its times."""
        for (body,) in self._file.execute(
            "SELECT record FROM events WHERE topic = ? ORDER BY at", (ACCOUNTS.name,)
        ):
            data = _kept(body).event().data
            if isinstance(data, AccountChanged | AccountErased):
                yield data

    def rows(self) -> Iterator[list[OutboxRow]]:
        """The events as rows of the outbox that are published, page by page in the order of their times."""
        found = self._file.execute(
            "SELECT record, sequence FROM events WHERE topic != ? ORDER BY at, sequence, rowid", (RISK.name,)
        )
        while page := found.fetchmany(PAGE):
            yield [_row(_kept(body), sequence) for body, sequence in page]

    def lines(self) -> list[str]:
        """What is said of records that are no events: what they told is lost."""
        if not self._unreadable:
            return []
        some = ", ".join(self._unreadable[:NAMED_MAX])
        return [f"{len(self._unreadable)} records cannot be read, and what they told is lost: {some}"]

    def _take(self, record: Record) -> None:
        match read(record, SOURCE):
            case Event(data=Tombstone()):
                pass
            case Event() as event:
                self._add(event, record)
            case _:
                self._unreadable.append(f"{record.topic}/{record.partition}/{record.offset}")

    def _add(self, event: Event, record: Record) -> None:
        headers = [
            (name, value if isinstance(value, bytes) else (value or "").encode()) for name, value in record.headers
        ]
        kept = KeptRecord(record.topic, (record.key or b"").decode(), headers, record.value or b"")
        sequence = getattr(event.data, "sequence", None)
        row = (
            event.id,
            _payment_id(event),
            to_micros(event.time),
            record.topic,
            sequence,
            msgspec.msgpack.encode(kept),
        )
        self._file.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)", row)

    def _knows(self, payment_id: str) -> bool:
        found = self._file.execute("SELECT 1 FROM events WHERE payment_id = ? LIMIT 1", (payment_id,))
        return found.fetchone() is not None


def told_payment(payment_id: str, events: Collection[Event]) -> ToldPayment:
    """What events tell of a payment, those of each subject in the order of its sequence.

    Where two have one sequence, books that had lost the first of them went on: the first is what consumers took.
    """
    own, operations, told = dict[int, Event](), dict[tuple[str, int], OperationEvent](), list[object]()
    for event in events:
        if isinstance(event.data, OfPayment):
            own.setdefault(event.data.sequence, event)
        elif isinstance(event.data, OperationEvent):  # posted twice, it would count twice
            operations.setdefault((event.data.operation.id, event.data.sequence), event.data)
        else:
            told.append(event.data)
    return ToldPayment(
        payment_id,
        [own[sequence] for sequence in sorted(own)],
        list(operations.values()),
        [data for data in told if isinstance(data, ReviewEvent)],
        [data for data in told if isinstance(data, Label)],
        next((data for data in told if isinstance(data, Verdict)), None),
    )


def _payment_id(event: Event) -> str | None:
    match event.data:
        case OperationEvent():
            return event.data.operation.payment
        case ReviewEvent():
            return event.data.review.payment
        case Label() | Verdict():
            return event.data.payment
        case data if isinstance(data, OfPayment):
            return data.payment.id
        case _:
            return None


def _kept(body: bytes) -> KeptRecord:
    return msgspec.msgpack.decode(body, type=KeptRecord)


def _row(record: KeptRecord, sequence: int | None) -> OutboxRow:
    event = record.event()
    at = to_micros(event.time)
    return OutboxRow(
        id=0,  # counted by the database
        event_id=event.id,
        topic=record.topic,
        key=record.key,
        type=event.type,
        subject_id=event.subject,
        sequence=sequence,
        value=record.value,
        traceparent=event.traceparent,
        recorded_at=at,
        published_at=at,
    )
