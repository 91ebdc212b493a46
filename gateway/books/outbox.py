"""The outbox: each event is a row of the transaction that caused it, and stays as the payment's history."""

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    update,
)

from gateway.books.engine import announce
from gateway.books.metadata import Micros, Serial, metadata
from gateway.books.statement import Statement

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("event", Text, nullable=False, unique=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("payment", Text, nullable=False),
    Column("sequence", Integer),  # null: not one of the payment's own events (a label)
    Column("value", LargeBinary, nullable=False),
    Column("traceparent", Text),
    Column("recorded_at", Micros, nullable=False),
    Column("published_at", Micros),
    sqlite_autoincrement=True,  # a reused id would be skipped by whoever reads `id > last`
)
Index("ix_outbox_payment", outbox.c.payment, outbox.c.sequence)
Index(
    "ix_outbox_unpublished",
    outbox.c.id,
    sqlite_where=outbox.c.published_at.is_(None),
    postgresql_where=outbox.c.published_at.is_(None),
)


class OutboxRow(msgspec.Struct, frozen=True):
    """An event on its way out. `value` is the event's data as JSON; `recorded_at` microseconds UTC."""

    id: int
    event: str
    topic: str
    key: str
    type: str
    payment: str
    sequence: int | None
    value: bytes
    traceparent: str | None
    recorded_at: int


class Backlog(msgspec.Struct, frozen=True):
    """What waits for Kafka: `rows` from the oldest that does to the newest of all, `since` in microseconds UTC."""

    rows: int = 0
    since: int | None = None


_c = outbox.c
_columns = [_c[name] for name in OutboxRow.__struct_fields__]
_insert = Statement(
    insert(outbox)
    .values({name: bindparam(name) for name in OutboxRow.__struct_fields__ if name != "id"})
    .returning(_c.id)
)
_publish = Statement(update(outbox).where(_c.id == bindparam("of")).values(published_at=bindparam("at")))
_unpublished = Statement(
    select(*_columns)
    .where(_c.published_at.is_(None), _c.recorded_at <= bindparam("until"))
    .order_by(_c.id)
    .limit(bindparam("most"))
)
_history = Statement(
    select(*_columns).where(_c.payment == bindparam("of"), _c.sequence.is_not(None)).order_by(_c.sequence)
)
_newest = select(func.max(outbox.alias("every").c.id)).scalar_subquery()
_backlog = Statement(
    select((_newest - _c.id + 1).label("rows"), _c.recorded_at)
    .where(_c.published_at.is_(None))
    .order_by(_c.id)
    .limit(1)
)


def add_event(conn: Connection, row: OutboxRow) -> None:
    """Write an event (its `id` is given here) and announce it to the relay once this transaction is committed."""
    values = msgspec.structs.asdict(row)
    del values["id"]
    announce(conn, msgspec.structs.replace(row, id=_insert(conn, **values).scalar()))


def mark_published(conn: Connection, ids: list[int], at: int) -> None:
    """Note that Kafka acknowledged these rows."""
    _publish.many(conn, [{"of": id, "at": at} for id in ids])


def select_unpublished(conn: Connection, until: int, most: int) -> list[OutboxRow]:
    """Rows Kafka has not acknowledged, recorded at or before `until`, in order."""
    return [OutboxRow(*row) for row in _unpublished(conn, until=until, most=most)]


def select_history(conn: Connection, payment: str) -> list[OutboxRow]:
    """The events of a payment in order."""
    return [OutboxRow(*row) for row in _history(conn, of=payment)]


def measure_backlog(conn: Connection) -> Backlog:
    """How far Kafka is behind. Two looks at an index: to count the rows would stop the loop."""
    found = _backlog(conn).first()
    return Backlog(*found) if found else Backlog()
