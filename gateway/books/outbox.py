"""The outbox: each event is a row of the transaction that caused it, and stays as its subject's history."""

import msgspec
from sqlalchemy import Connection, Index, UniqueConstraint, bindparam, func, insert, select, update

from gateway.books.engine import announce
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, SerialId, table_of
from schemas.events import EventData
from schemas.ids import new_id


class OutboxRow(msgspec.Struct, frozen=True):
    """A row of `outbox`: an event on its way out. `value` is the event's data as JSON; times in microseconds UTC.

    `subject_id`: what the event is about (a payment, in whose sequence its refunds and disputes count; a rule, an
    account). `sequence` counts the subject's own events from 1; null where the event is not one of them (a label).
    """

    id: SerialId
    event_id: str
    topic: str
    key: str
    type: str
    subject_id: str
    sequence: Int32 | None
    value: bytes
    traceparent: str | None
    recorded_at: Micros
    published_at: Micros | None = None


class OutboxBacklog(msgspec.Struct, frozen=True):
    """What waits for Kafka: `rows` from the oldest that does to the newest of all, `since` in microseconds UTC."""

    rows: int = 0
    since: int | None = None


# A reused id would be skipped by a reader of `id > last`: hence autoincrement.
outbox = table_of(
    "outbox", OutboxRow, UniqueConstraint("event_id", name="uq_outbox_event"), sqlite_autoincrement=True
)
_c = outbox.c
_waiting = _c.published_at.is_(None)
Index("ix_outbox_subject_id", _c.subject_id, _c.sequence)
Index("ix_outbox_unpublished", _c.id, sqlite_where=_waiting, postgresql_where=_waiting)

_written = [name for name in OutboxRow.__struct_fields__ if name not in ("id", "published_at")]
_insert = Statement(insert(outbox).values({name: bindparam(name) for name in _written}).returning(_c.id))
_publish = Statement(update(outbox).where(_c.id == bindparam("row_id")).values(published_at=bindparam("at")))
_unpublished = Statement(
    select(outbox).where(_waiting, _c.id <= bindparam("until")).order_by(_c.id).limit(bindparam("most"))
)
_newest_id = Statement(select(func.max(_c.id)))
_page = Statement(
    select(outbox)
    .where(_c.subject_id == bindparam("of_subject_id"), _c.sequence > bindparam("after"))
    .order_by(_c.sequence)
    .limit(bindparam("most"))
)
_newest = select(func.max(outbox.alias("every").c.id)).scalar_subquery()
_backlog = Statement(
    select((_newest - _c.id + 1).label("rows"), _c.recorded_at).where(_waiting).order_by(_c.id).limit(1)
)


def add_event(
    conn: Connection,
    *,
    topic: str,
    key: str,
    type: str,
    subject_id: str,
    sequence: int | None,
    data: EventData,
    traceparent: str | None,
    now: int,
) -> None:
    """Write an event at `now` (microseconds UTC), and announce it to the relay once it is committed."""
    event_id, value = new_id("evt"), msgspec.json.encode(data)
    row_id = _insert(
        conn,
        event_id=event_id,
        topic=topic,
        key=key,
        type=type,
        subject_id=subject_id,
        sequence=sequence,
        value=value,
        traceparent=traceparent,
        recorded_at=now,
    ).scalar()
    announce(conn, OutboxRow(row_id, event_id, topic, key, type, subject_id, sequence, value, traceparent, now))


def mark_published(conn: Connection, row_ids: list[int], at: int) -> None:
    """Note that Kafka acknowledged these rows."""
    _publish.many(conn, [{"row_id": row_id, "at": at} for row_id in row_ids])


def newest_id(conn: Connection) -> int:
    """The id of the newest row; 0 where there is none."""
    return _newest_id(conn).scalar() or 0


def select_unpublished(conn: Connection, until: int, most: int) -> list[OutboxRow]:
    """Up to `most` rows Kafka has not acknowledged, up to the id `until`, in order."""
    return [OutboxRow(*row) for row in _unpublished(conn, until=until, most=most)]


def list_history(conn: Connection, subject_id: str, after: int, most: int) -> list[OutboxRow]:
    """Up to `most` of a subject's own events past a sequence, in order."""
    return [OutboxRow(*row) for row in _page(conn, of_subject_id=subject_id, after=after, most=most)]


def measure_backlog(conn: Connection) -> OutboxBacklog:
    """How far Kafka is behind. Two look-ups in an index: counting the rows would stop the loop."""
    found = _backlog(conn).first()
    return OutboxBacklog(*found) if found else OutboxBacklog()
