"""Reads the books, Kafka and the warehouse into the scratch file, each page by page."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, and_, cast, func, literal_column, select

from connectors.kafka_login import Bootstrap
from connectors.record_reader import until_now
from connectors.warehouse import WarehouseReader
from gateway.books.opening import run_once
from gateway.books.operations import OPEN, Operation, operations
from gateway.books.outbox import outbox
from gateway.books.payments import payments
from gateway.books.postings import postings
from gateway.books.tasks import TaskRow, tasks
from schemas.events import Unreadable, decode
from schemas.fraud import Hold
from schemas.payments import PROCESSORS, AppliedRisk, PaymentEvent, RefundEvent, TransactionCompleted
from schemas.topics import PAYMENTS
from sluice.reconcile import balances
from sluice.reconcile.balances import LedgerAccount, Posted
from sluice.reconcile.ledger import ProcessorRecord
from sluice.reconcile.money import HeldAndDue
from sluice.reconcile.scratch import BooksLine, ReconciledPayment, Scratch

T = TypeVar("T")

PAGE = 2_000
NAMED_MAX = 20
NEXT = """
    SELECT id, state, currency, amount, amount_captured, amount_refunded FROM payments
    WHERE id > '{after}' ORDER BY id LIMIT {most}
"""
# By itself librdkafka fetches 64 MB of each partition ahead.
FETCHED_AHEAD: dict[str, Any] = {"queued.max.messages.kbytes": 8_192, "queued.min.messages": 5_000}
UNSETTLED = ("processing", "unknown")  # payments that are not final


class SomeIds:
    """Ids that something is wrong with: how many, and the first of them, so `most`."""

    def __init__(self, ids: Iterable[str] = (), most: int = NAMED_MAX) -> None:
        self.count, self._most = 0, most
        self.first: list[str] = []
        for id in ids:
            self.add(id)

    def add(self, id: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < self._most:
            self.first.append(id)

    def __str__(self) -> str:
        shown = ", ".join(self.first)
        return shown if self.count <= self._most else f"{shown}, …"


class Cut(msgspec.Struct):
    """The books at one moment, `at` in microseconds UTC. Their payments and operations are in the scratch file.

    `posted`: what is posted on each account of the ledger. `in_doubt`: payments, operations and tasks that are not
    final. `tasks`: what no machine could end, open and resolved. `untold`: how many operations of an earlier
    release no event tells of.
    """

    outbox_id: int
    at: int
    unpublished: int
    posted: dict[LedgerAccount, Posted]
    in_doubt: SomeIds
    tasks: list[TaskRow]
    untold: int = 0

    def told(self) -> dict[str, str]:
        """What a person said became of operations' money, by their ids; `open`: nobody did yet."""
        said = {task.about_id: task.outcome or "open" for task in self.tasks}
        return {
            about_id: outcome for about_id, outcome in said.items() if outcome in ("released", "lapsed", "open")
        }

    def with_open_tasks(self) -> set[str]:
        """The ids of payments that a person has to decide about."""
        return {task.payment_id for task in self.tasks if task.resolved_at is None}


def read_books(url: str, scratch: Scratch, *, unsettled: bool) -> Cut | None:
    """The books as of now, in one transaction that disturbs no writer.

    None, and nothing read, where something is under way and they are not wanted `unsettled`.
    """
    return _read(url, lambda conn: _cut(conn, scratch) if unsettled or not _is_under_way(conn, scratch) else None)


def put_moved(url: str, cut: Cut, scratch: Scratch) -> None:
    """Note the payments that have events after the cut."""
    newer = select(outbox.c.subject_id).where(outbox.c.id > cut.outbox_id).distinct()
    scratch.put_moved(_read(url, lambda conn: conn.execute(newer).scalars().all()))


def without_newer(url: str, records: Iterable[ProcessorRecord]) -> Iterator[ProcessorRecord]:
    """The records whose operations the books do not know now either: others were written after the cut."""
    rest = iter(records)
    while some := list(islice(rest, PAGE)):
        found = _read(url, partial(_known, [record.request_id for record in some]))
        yield from (record for record in some if record.request_id not in found)


def _known(operation_ids: list[str], conn: Connection) -> set[str]:
    return set(conn.execute(select(operations.c.id).where(operations.c.id.in_(operation_ids))).scalars())


def read_kafka(bootstrap: Bootstrap, scratch: Scratch) -> None:
    """The payments from the events on `payments.v1`, up to the cut. Raises as `until_now`."""
    for record in chain.from_iterable(until_now(bootstrap, [PAYMENTS.name], config=FETCHED_AHEAD)):
        try:
            data = decode(record.headers, record.value).data
        except Unreadable:
            continue
        if isinstance(data, PaymentEvent | RefundEvent | TransactionCompleted):
            scratch.add_event(data.payment.id, data.sequence, _line(data.payment))


def read_warehouse(reader: WarehouseReader, scratch: Scratch) -> None:
    """The payments as the warehouse has them now. Raises `WarehouseAway`."""
    scratch.put_warehouse(_warehouse_lines(reader))


def _warehouse_lines(reader: WarehouseReader) -> Iterator[tuple[str, ReconciledPayment]]:
    after = ""
    while True:
        page = reader.query(NEXT.format(after=after, most=PAGE)).rows
        for id, *values in page:
            state, currency, *amounts = values
            line = (state, currency, *(int(str(amount)) for amount in amounts))
            yield str(id), msgspec.convert(line, ReconciledPayment)
            after = str(id)
        if len(page) < PAGE:
            return


def _read(url: str, fn: Callable[[Connection], T]) -> T:
    """Run `fn` in one read-only transaction."""
    return run_once(url, fn, readonly=True)


def _is_under_way(conn: Connection, scratch: Scratch) -> bool:
    """Whether an event is not published, something not final, or a late landing not looked up yet. By indexes."""
    unpublished = select(outbox.c.id).where(outbox.c.published_at.is_(None)).limit(1)
    not_captured = payments.c.state != literal_column("'captured'")  # in the index
    unsettled = select(payments.c.id).where(payments.c.state.in_(UNSETTLED), not_captured).limit(1)
    o = operations.c
    sending = select(o.id, o.status).where(o.status == literal_column("'sending'"))  # each in an index of its own
    awaited = select(o.id, o.status).where(o.lease_until.is_not(None), o.status != literal_column("'sending'"))
    if conn.execute(unpublished).first() or conn.execute(unsettled).first():
        return True
    return any(row.status in OPEN or scratch.applied(row.id) for row in conn.execute(sending.union_all(awaited)))


def _cut(conn: Connection, scratch: Scratch) -> Cut:
    last = conn.execute(select(func.coalesce(func.max(outbox.c.id), 0), func.max(outbox.c.recorded_at))).one()
    unpublished = conn.execute(select(func.count()).where(outbox.c.published_at.is_(None))).scalar_one()
    known = [TaskRow(**row._mapping) for row in conn.execute(select(tasks).order_by(tasks.c.id))]
    open_ones = SomeIds(task.id for task in known if task.resolved_at is None)
    cut = Cut(last[0], last[1] or 0, unpublished, balances.posted(conn), open_ones, known)
    after: str | None = ""
    while after is not None:
        after = _copy_page(conn, scratch, cut, after)
    return cut


def _copy_page(conn: Connection, scratch: Scratch, cut: Cut, after: str) -> str | None:
    """Copy the next payments with what belongs to them; the id to go on after, None at the end."""
    c = payments.c
    read = (
        c.id,
        c.state,
        c.currency,
        c.amount,
        c.amount_captured,
        c.amount_refunded,
        c.sequence,
        c.updated_at,
        c.risk,
    )
    rows = conn.execute(select(*read).where(c.id > after).order_by(c.id).limit(PAGE)).all()
    if not rows:
        return None
    last_id = str(rows[-1].id)
    posted = _posted(conn, after, last_id)
    called = _operations(conn, after, last_id)
    scratch.add_books([BooksLine(row.id, _line(row), row.sequence, posted[row.id], _hold(row)) for row in rows])
    scratch.add_operations(called)
    _note(cut, rows, called)
    return last_id


def _hold(row: Any) -> Hold:
    """How a payment in review is held: its issuer may not have been asked yet."""
    if row.state != "in_review" or row.risk is None:
        return "authorized"
    return msgspec.json.decode(row.risk, type=AppliedRisk).hold


def _note(cut: Cut, rows: Iterable[Any], called: list[Operation]) -> None:
    """What is in doubt, and the latest moment that the books tell of: the outbox may be pruned."""
    for row in rows:
        cut.at = max(cut.at, row.updated_at)
        if row.state in UNSETTLED:
            cut.in_doubt.add(row.id)
    for operation in called:
        cut.at = max(cut.at, operation.finished_at or 0)
        if operation.status in OPEN:
            cut.in_doubt.add(operation.id)
        cut.untold += operation.sequence == 0 and operation.status != "sending"


def _between(column: Column[str], after: str, last_id: str) -> ColumnElement[bool]:
    return and_(column > after, column <= last_id)


def _operations(conn: Connection, after: str, last_id: str) -> list[Operation]:
    names = Operation.__struct_fields__
    query = select(*[operations.c[name] for name in names])
    found = conn.execute(query.where(_between(operations.c.payment_id, after, last_id)))
    values = [dict(zip(names, row, strict=True)) for row in found]
    # SQLite has integers for booleans.
    return [Operation(**(row | {"final": bool(row["final"])})) for row in values]


def _posted(conn: Connection, after: str, last_id: str) -> defaultdict[str, HeldAndDue]:
    """What is held and due at the processors, by payment id."""
    c = postings.c
    names = [f"{kind}:{processor}" for kind in ("hold", "due") for processor in PROCESSORS]
    summed = select(c.payment_id, c.account, cast(func.sum(c.amount), BigInteger).label("amount"))
    of_these = summed.where(_between(c.payment_id, after, last_id), c.account.in_(names))
    found: defaultdict[str, HeldAndDue] = defaultdict(HeldAndDue)
    for row in conn.execute(of_these.group_by(c.payment_id, c.account)):
        held = row.account.startswith("hold:")
        more = HeldAndDue(row.amount, 0) if held else HeldAndDue(0, row.amount)
        found[row.payment_id] = found[row.payment_id].plus(more)
    return found


def _line(payment: Any) -> ReconciledPayment:
    return ReconciledPayment(*[getattr(payment, name) for name in ReconciledPayment.__struct_fields__])
