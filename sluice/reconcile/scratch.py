"""Where what each store says is put side by side: a temporary file, so that memory does not grow with payments."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import msgspec

from gateway.books.operations import Operation
from schemas.fraud import Hold
from schemas.states import PaymentState
from sluice.reconcile.ledger import ProcessorRecord
from sluice.reconcile.money import HeldAndDue

Store = Literal["books", "kafka", "warehouse"]
STORES: tuple[Store, ...] = ("books", "kafka", "warehouse")
CACHE_KIB = 16_384
TABLES = """
    CREATE TABLE books (id TEXT PRIMARY KEY, line BLOB, sequence INTEGER, held INTEGER, due INTEGER, hold TEXT)
        WITHOUT ROWID;
    CREATE TABLE kafka (id TEXT PRIMARY KEY, line BLOB, last INTEGER, seen BLOB) WITHOUT ROWID;
    CREATE TABLE strangers (id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE warehouse (id TEXT PRIMARY KEY, line BLOB) WITHOUT ROWID;
    CREATE TABLE moved (id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE operations (payment_id TEXT, id TEXT, body BLOB, PRIMARY KEY (payment_id, id)) WITHOUT ROWID;
    CREATE UNIQUE INDEX operations_id ON operations (id);
    CREATE TABLE ledger (id INTEGER PRIMARY KEY, request_id TEXT, follows INTEGER, body BLOB);
    CREATE INDEX ledger_request_id ON ledger (request_id);
    CREATE INDEX ledger_follows ON ledger (follows);
"""
# A payment that moved since the cut is taken to be as the books had it then.
LINES = """
    SELECT line FROM {store} WHERE id NOT IN (SELECT id FROM moved)
    UNION ALL SELECT line FROM books WHERE id IN (SELECT id FROM moved)
"""
DIFFERING = """
    SELECT id FROM (
        SELECT b.id FROM books b LEFT JOIN {store} o ON o.id = b.id WHERE o.line IS NOT b.line
        UNION ALL SELECT o.id FROM {store} o WHERE o.id NOT IN (SELECT id FROM books)
    ) WHERE id NOT IN (SELECT id FROM moved)
"""
WITH_RECORDS = """
    SELECT o.payment_id, b.held, b.due, o.id, o.body, l.body FROM operations o
    JOIN books b ON b.id = o.payment_id LEFT JOIN ledger l ON l.request_id = o.id
    UNION ALL
    SELECT o.payment_id, b.held, b.due, o.id, o.body, f.body FROM operations o
    JOIN books b ON b.id = o.payment_id JOIN ledger l ON l.request_id = o.id JOIN ledger f ON f.follows = l.id
    WHERE f.request_id NOT IN (SELECT id FROM operations)
    ORDER BY 1, 4
"""


class ReconciledPayment(msgspec.Struct, frozen=True, array_like=True):
    """One payment as one store has it; amounts in minor units."""

    state: PaymentState
    currency: str
    amount: int
    amount_captured: int
    amount_refunded: int


class BooksLine(msgspec.Struct, frozen=True):
    """A payment at the cut: `sequence` of its last event, `posted` by its postings, `hold` of its review."""

    id: str
    line: ReconciledPayment
    sequence: int
    posted: HeldAndDue
    hold: Hold = "authorized"


class AtProcessors(msgspec.Struct, frozen=True):
    """The operations of a payment, and what the books have posted for it.

    `records`: the processors' own of these operations, and those that follow them and are none of ours.
    """

    payment_id: str
    posted: HeldAndDue
    operations: list[Operation]
    records: list[ProcessorRecord]


class Scratch:
    """The temporary file. What is given to it is gone with it."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)  # no name: on disk, and removed when it is closed
        for setting in (f"cache_size=-{CACHE_KIB}", "journal_mode=OFF", "synchronous=OFF", "temp_store=FILE"):
            self._file.execute(f"PRAGMA {setting}")
        self._file.executescript(TABLES)
        self._file.execute("BEGIN")

    def close(self) -> None:
        """Remove it."""
        self._file.close()

    def add_books(self, lines: Iterable[BooksLine]) -> None:
        """Payments as the books have them at the cut."""
        rows = [(p.id, _packed(p.line), p.sequence, p.posted.held, p.posted.due, p.hold) for p in lines]
        self._file.executemany("INSERT INTO books VALUES (?, ?, ?, ?, ?, ?)", rows)

    def add_operations(self, operations: Iterable[Operation]) -> None:
        """Operations in the books at the cut."""
        rows = [(o.payment_id, o.id, _packed(o)) for o in operations]
        self._file.executemany("INSERT INTO operations VALUES (?, ?, ?)", rows)

    def add_records(self, records: Iterable[ProcessorRecord]) -> None:
        """More rows of the processors' ledgers."""
        rows = ((record.id, record.request_id, record.of, _packed(record)) for record in records)
        self._file.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?)", rows)

    def add_event(self, payment_id: str, sequence: int, line: ReconciledPayment) -> None:
        """An event of a payment, in any order and any number of times; those after the cut count for nothing."""
        cut = self._file.execute("SELECT sequence FROM books WHERE id = ?", (payment_id,)).fetchone()
        if cut is None:
            self._file.execute("INSERT OR IGNORE INTO strangers VALUES (?)", (payment_id,))
            return
        if sequence > cut[0]:
            return
        known = self._file.execute("SELECT last, seen, line FROM kafka WHERE id = ?", (payment_id,)).fetchone()
        last, seen, newest = known or (0, b"", b"")
        if sequence > last:
            last, newest = sequence, _packed(line)
        bits = int.from_bytes(seen, "big") | 1 << sequence
        row = (payment_id, newest, last, bits.to_bytes(bits.bit_length() // 8 + 1, "big"))
        self._file.execute("INSERT OR REPLACE INTO kafka VALUES (?, ?, ?, ?)", row)

    def put_warehouse(self, lines: Iterable[tuple[str, ReconciledPayment]]) -> None:
        """The warehouse as it is now, instead of what it was before."""
        self._file.execute("DELETE FROM warehouse")
        self._file.executemany("INSERT INTO warehouse VALUES (?, ?)", ((id, _packed(line)) for id, line in lines))

    def put_moved(self, payment_ids: Iterable[str]) -> None:
        """The payments that have events after the cut."""
        self._file.executemany("INSERT OR IGNORE INTO moved VALUES (?)", ((id,) for id in payment_ids))

    def count(self, table: Literal["books", "operations", "ledger"]) -> int:
        """How many rows it has."""
        return int(self._file.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608

    def last_record(self) -> int:
        """The id of the newest row of the ledgers; 0 where there is none."""
        return int(self._file.execute("SELECT coalesce(max(id), 0) FROM ledger").fetchone()[0])

    def applied(self, operation_id: str) -> bool:
        """Whether a processor applied this operation."""
        found = self._file.execute("SELECT body FROM ledger WHERE request_id = ?", (operation_id,))
        return any(_record(body).status == "applied" for (body,) in found)

    def lines(self, store: Store) -> Iterator[ReconciledPayment]:
        """The payments as a store has them, at the cut."""
        for (line,) in self._file.execute(LINES.format(store=store)):
            yield msgspec.msgpack.decode(line, type=ReconciledPayment)

    def differing(self, store: Store) -> Iterator[str]:
        """The ids of payments that a store has otherwise than the books, or that one of them lacks."""
        return (row[0] for row in self._file.execute(DIFFERING.format(store=store)))

    def strangers(self) -> Iterator[str]:
        """The ids of payments that Kafka tells of and the books do not know, as after a restore."""
        return (
            row[0] for row in self._file.execute("SELECT id FROM strangers WHERE id NOT IN (SELECT id FROM moved)")
        )

    def with_gaps(self) -> Iterator[str]:
        """The ids of payments of which Kafka lacks events."""
        rows = self._file.execute("SELECT b.id, b.sequence, k.seen FROM books b LEFT JOIN kafka k ON k.id = b.id")
        return (id for id, sequence, seen in rows if int.from_bytes(seen or b"", "big").bit_count() != sequence)

    def posted(self) -> Iterator[BooksLine]:
        """The payments in the books, with what is posted for each."""
        rows = self._file.execute("SELECT id, line, sequence, held, due, hold FROM books")
        for id, line, sequence, held, due, hold in rows:
            decoded = msgspec.msgpack.decode(line, type=ReconciledPayment)
            yield BooksLine(id, decoded, sequence, HeldAndDue(held, due), hold)

    def posted_without_operation(self) -> Iterator[str]:
        """The ids of payments for which something is posted, but nothing was done."""
        where = "(held, due) != (0, 0) AND id NOT IN (SELECT payment_id FROM operations)"
        return (row[0] for row in self._file.execute(f"SELECT id FROM books WHERE {where}"))  # noqa: S608

    def at_processors(self) -> Iterator[AtProcessors]:
        """Payment by payment, what was done and what the processors have of it."""
        for payment_id, rows in groupby(self._file.execute(WITH_RECORDS), itemgetter(0)):
            found = list(rows)
            operations = {row[3]: msgspec.msgpack.decode(row[4], type=Operation) for row in found}
            records = [_record(row[5]) for row in found if row[5] is not None]
            yield AtProcessors(payment_id, HeldAndDue(*found[0][1:3]), list(operations.values()), records)

    def unknown_records(self) -> Iterator[ProcessorRecord]:
        """The rows of the ledgers that belong to no operation of the cut."""
        where = "request_id NOT IN (SELECT id FROM operations)"
        return (_record(row[0]) for row in self._file.execute(f"SELECT body FROM ledger WHERE {where}"))  # noqa: S608


def _packed(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def _record(body: bytes) -> ProcessorRecord:
    return msgspec.msgpack.decode(body, type=ProcessorRecord)
