"""State and amounts (minor units) of every payment, as the books, Kafka and the warehouse each have them."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

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
from gateway.books.tasks import TaskRow, tasks
from schemas.events import Unreadable, decode
from schemas.payments import PROCESSORS, PaymentEvent, RefundEvent, TransactionCompleted
from schemas.states import PaymentState
from schemas.topics import PAYMENTS
from sluice.reconcile.money import HeldAndDue

T = TypeVar("T")

PAGE = 20_000
NEXT = """
    SELECT id, state, currency, amount, amount_captured, amount_refunded FROM payments
    WHERE id > '{after}' ORDER BY id LIMIT {most}
"""


class ReconciledPayment(msgspec.Struct, frozen=True):
    """One payment as one store has it."""

    state: PaymentState
    currency: str
    amount: int
    amount_captured: int
    amount_refunded: int


class Cut(msgspec.Struct, frozen=True):
    """The books at one moment. `sequences`: the last event of each payment.

    `money`: of each payment by the postings; `posted`: the sum of all postings of a currency (minor units), where
    it is not zero, as it must be. `tasks`: what no machine could end, open and resolved. `at` in microseconds UTC.
    """

    outbox_id: int
    at: int
    lines: dict[str, ReconciledPayment]
    sequences: dict[str, int]
    operations: list[Operation]
    money: dict[str, HeldAndDue]
    unpublished: int
    posted: dict[str, int]
    tasks: list[TaskRow]

    def told(self) -> dict[str, str]:
        """What a person said became of operations' money, by their ids; `open`: nobody did yet."""
        said = {task.about_id: task.outcome or "open" for task in self.tasks}
        return {
            about_id: outcome for about_id, outcome in said.items() if outcome in ("released", "lapsed", "open")
        }

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


def operations_since(url: str, cut: Cut) -> dict[str, str]:
    """The operations that were written after the cut, each with the id of its payment."""
    known = {operation.id for operation in cut.operations}
    all_of_them = select(operations.c.id, operations.c.payment_id)
    now = _read(url, lambda conn: conn.execute(all_of_them).all())
    return {row.id: row.payment_id for row in now if row.id not in known}


def read_kafka(bootstrap: str, cut: Cut) -> tuple[dict[str, ReconciledPayment], list[str]]:
    """The payments by id from `payments.v1` up to the cut, and the ids of those whose events have gaps."""
    last: dict[str, tuple[int, ReconciledPayment]] = {}
    seen: dict[str, set[int]] = {}
    for message in _all_messages(bootstrap):
        try:
            data = decode(message.headers(), message.value()).data  # type: ignore[arg-type]
        except Unreadable:
            continue
        if not isinstance(data, PaymentEvent | RefundEvent | TransactionCompleted):
            continue
        payment = data.payment
        if data.sequence > cut.sequences.get(payment.id, 0):
            continue  # after the cut
        seen.setdefault(payment.id, set()).add(data.sequence)
        if data.sequence > last.get(payment.id, (0,))[0]:
            last[payment.id] = (data.sequence, _line(payment))
    gaps = [id for id, sequence in cut.sequences.items() if len(seen.get(id, ())) != sequence]
    return {id: line for id, (_, line) in last.items()}, gaps


def read_warehouse(reader: WarehouseReader) -> dict[str, ReconciledPayment]:
    """The payments by id as the warehouse has them now. Raises `WarehouseAway`."""
    lines: dict[str, ReconciledPayment] = {}
    after = ""
    while True:
        page = reader.query(NEXT.format(after=after, most=PAGE)).rows
        for id, state, currency, *amounts in page:
            values = (state, currency, *(int(str(amount)) for amount in amounts))
            names = ReconciledPayment.__struct_fields__
            lines[str(id)] = msgspec.convert(dict(zip(names, values, strict=True)), ReconciledPayment)
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
    read = (c.id, c.state, c.currency, c.amount, c.amount_captured, c.amount_refunded, c.sequence)
    rows = conn.execute(select(*read)).all()
    names = Operation.__struct_fields__
    called = conn.execute(select(*[operations.c[name] for name in names]))
    last = conn.execute(select(func.coalesce(func.max(outbox.c.id), 0), func.max(outbox.c.recorded_at))).one()
    unpublished = conn.execute(select(func.count()).where(outbox.c.published_at.is_(None))).scalar_one()
    return Cut(
        outbox_id=last[0],
        at=last[1] or 0,
        lines={row.id: _line(row) for row in rows},
        sequences={r.id: r.sequence for r in rows},
        operations=[Operation(**dict(zip(names, row, strict=True))) for row in called],
        money=_posted_money(conn),
        unpublished=unpublished,
        posted=_unbalanced(conn),
        tasks=[TaskRow(**row._mapping) for row in conn.execute(select(tasks).order_by(tasks.c.id))],
    )


def _line(payment: Any) -> ReconciledPayment:
    return ReconciledPayment(**{name: getattr(payment, name) for name in ReconciledPayment.__struct_fields__})


def _posted_money(conn: Connection) -> dict[str, HeldAndDue]:
    c = postings.c
    names = [f"{kind}:{processor}" for kind in ("hold", "due") for processor in PROCESSORS]
    summed = select(c.payment_id, c.account, cast(func.sum(c.amount), BigInteger).label("amount"))
    found: defaultdict[str, HeldAndDue] = defaultdict(HeldAndDue)
    for row in conn.execute(summed.where(c.account.in_(names)).group_by(c.payment_id, c.account)):
        held = row.account.startswith("hold:")
        found[row.payment_id] = found[row.payment_id].plus(
            HeldAndDue(row.amount, 0) if held else HeldAndDue(0, row.amount)
        )
    return dict(found)


def _unbalanced(conn: Connection) -> dict[str, int]:
    summed = cast(func.sum(postings.c.amount), BigInteger)
    found = conn.execute(select(postings.c.currency, summed).group_by(postings.c.currency))
    return {currency: total for currency, total in found if total}


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
