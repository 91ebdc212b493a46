"""State and amounts (minor units) of every payment, as the books, Kafka and the warehouse each have them."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
from confluent_kafka import Message, TopicPartition
from sqlalchemy import BigInteger, Connection, cast, func, select

from connectors.kafka import consumer, partitions
from connectors.warehouse import WarehouseReader
from gateway.books.opening import run_once, sqlite_path
from gateway.books.operations import OPEN, Operation, operations
from gateway.books.outbox import outbox
from gateway.books.payments import payments
from gateway.books.postings import postings
from schemas.events import Unreadable, decode
from schemas.payments import PROCESSORS, PaymentEvent, TransactionCompleted
from schemas.topics import PAYMENTS

T = TypeVar("T")

PAGE = 20_000
NEXT = """
    SELECT id, state, currency, amount, amount_captured FROM payments
    WHERE id > '{after}' ORDER BY id LIMIT {most}
"""


class ReconciledPayment(msgspec.Struct, frozen=True):
    """One payment as one store has it."""

    state: str
    currency: str
    amount: int
    amount_captured: int


class Cut(msgspec.Struct, frozen=True):
    """The books at one moment. `sequences`: the last event of each payment.

    `taken`: what the processor of each payment owes us by the postings (minor units); `posted`: the sum of all
    postings, which must be zero. `at` in microseconds UTC.
    """

    outbox_id: int
    at: int
    lines: dict[str, ReconciledPayment]
    sequences: dict[str, int]
    operations: list[Operation]
    taken: dict[str, int]
    unpublished: int
    posted: int

    def in_doubt(self) -> list[str]:
        """The ids of payments and operations that are not final."""
        payments_ = [id for id, line in self.lines.items() if line.state in ("processing", "unknown")]
        return payments_ + [o.id for o in self.operations if o.status in OPEN]


def read_books(url: str) -> Cut:
    """The books as of now, in one transaction that disturbs no writer."""
    return _read(url, _cut)


def moved_since(url: str, cut: Cut) -> set[str]:
    """The ids of payments that have events after the cut."""
    newer = select(outbox.c.subject_id).where(outbox.c.id > cut.outbox_id).distinct()
    return set(_read(url, lambda conn: conn.execute(newer).scalars().all()))


def operations_since(url: str, cut: Cut) -> set[str]:
    """The ids of operations that were written after the cut."""
    now = set(_read(url, lambda conn: conn.execute(select(operations.c.id)).scalars().all()))
    return now - {operation.id for operation in cut.operations}


def read_kafka(bootstrap: str, cut: Cut) -> tuple[dict[str, ReconciledPayment], list[str]]:
    """The payments by id from `payments.v1` up to the cut, and the ids of those whose events have gaps."""
    last: dict[str, tuple[int, ReconciledPayment]] = {}
    seen: dict[str, set[int]] = {}
    for message in _all_messages(bootstrap):
        try:
            data = decode(message.headers(), message.value()).data  # type: ignore[arg-type]
        except Unreadable:
            continue
        if not isinstance(data, PaymentEvent | TransactionCompleted):
            continue
        payment = data.payment
        if data.sequence > cut.sequences.get(payment.id, 0):
            continue  # after the cut
        seen.setdefault(payment.id, set()).add(data.sequence)
        if data.sequence > last.get(payment.id, (0,))[0]:
            line = ReconciledPayment(payment.state, payment.currency, payment.amount, payment.amount_captured)
            last[payment.id] = (data.sequence, line)
    gaps = [id for id, sequence in cut.sequences.items() if len(seen.get(id, ())) != sequence]
    return {id: line for id, (_, line) in last.items()}, gaps


def read_warehouse(reader: WarehouseReader) -> dict[str, ReconciledPayment]:
    """The payments by id as the warehouse has them now. Raises `WarehouseAway`."""
    lines: dict[str, ReconciledPayment] = {}
    after = ""
    while True:
        page = reader.query(NEXT.format(after=after, most=PAGE)).rows
        for id, state, currency, amount, captured in page:
            lines[str(id)] = ReconciledPayment(str(state), str(currency), int(str(amount)), int(str(captured)))
            after = str(id)
        if len(page) < PAGE:
            return lines


def _read(url: str, fn: Callable[[Connection], T]) -> T:
    """Run `fn` in one read-only transaction. Raises `FileNotFoundError`, because opening a file would make it."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise FileNotFoundError(f"no books at {path}: has the stack run on this data directory?")
    return run_once(url, fn, readonly=True)


def _cut(conn: Connection) -> Cut:
    c = payments.c
    rows = conn.execute(select(c.id, c.state, c.currency, c.amount, c.amount_captured, c.sequence)).all()
    names = Operation.__struct_fields__
    called = conn.execute(select(*[operations.c[name] for name in names]))
    last = conn.execute(select(func.coalesce(func.max(outbox.c.id), 0), func.max(outbox.c.recorded_at))).one()
    due = postings.c.account.in_([f"due:{processor}" for processor in PROCESSORS])
    total = cast(func.coalesce(func.sum(postings.c.amount), 0), BigInteger)  # PostgreSQL's sum is a numeric
    taken = total.label("taken")
    owed = conn.execute(select(postings.c.payment_id, taken).where(due).group_by(postings.c.payment_id))
    unpublished = conn.execute(select(func.count()).where(outbox.c.published_at.is_(None))).scalar_one()
    return Cut(
        outbox_id=last[0],
        at=last[1] or 0,
        lines={r.id: ReconciledPayment(r.state, r.currency, r.amount, r.amount_captured) for r in rows},
        sequences={r.id: r.sequence for r in rows},
        operations=[Operation(**dict(zip(names, row, strict=True))) for row in called],
        taken={row.payment_id: row.taken for row in owed},
        unpublished=unpublished,
        posted=conn.execute(select(total)).scalar_one(),
    )


def _all_messages(bootstrap: str) -> Iterator[Message]:
    """The messages of `payments.v1` up to the end that each partition had when this began."""
    client = consumer(bootstrap)
    try:
        left = {}
        for partition in partitions(client, PAYMENTS.name):
            low, high = client.get_watermark_offsets(TopicPartition(PAYMENTS.name, partition))
            if high > low:
                left[partition] = high
        client.assign([TopicPartition(PAYMENTS.name, partition, 0) for partition in left])
        while left:
            for message in client.consume(5000, 1.0):
                yield message
                place, offset = message.partition(), message.offset()
                assert place is not None
                assert offset is not None, "a record that was read has its place"
                if offset + 1 >= left.get(place, 0):
                    left.pop(place, None)
    finally:
        client.close()
