"""The outbox: each event is a row of the transaction that caused it, and stays as its subject's history."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    Boolean,
    Connection,
    Index,
    UniqueConstraint,
    bindparam,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from gateway.books.engine import WORKER, announce
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, SerialId, table_of
from schemas.events import EventData
from schemas.ids import new_id


class OutboxRow(msgspec.Struct, frozen=True):
    """A row of `outbox`: an event on its way out; times in microseconds UTC.

    `value` is the event's data as JSON, empty of a tombstone.

    `subject_id`: what the event is about (a payment, in whose sequence its refunds and disputes count; a rule, an
    account). `sequence` counts the subject's own events from 1; null where the event is not one of them (a label).
    `worker_id`: who publishes it (`workers`); null until a gateway takes what a command wrote.
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
    worker_id: str | None = None


class Unpublished(msgspec.Struct, frozen=True):
    """An event on its way out. `is_behind`: so is an earlier one of its subject, which is another worker's."""

    row: OutboxRow
    is_behind: bool = False


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to write, of `now` (microseconds UTC); the other fields are as in its row.

    Without `data` it is a tombstone: what its key names is no more.
    """

    topic: str
    key: str
    type: str
    subject_id: str
    sequence: int | None
    data: EventData | None
    traceparent: str | None
    now: int


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

_is_first = literal_column("0", Boolean).label("is_behind")
# As a text: Core names no table in RETURNING. Written so that no index but that of the subject fits: the one of
# what is unpublished leads through all that waits, and all that an open transaction keeps from being cleared away.
_is_behind = literal_column(
    "EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.subject_id = outbox.subject_id"
    " AND earlier.id + 0 < outbox.id AND coalesce(earlier.published_at, 0) = 0"
    " AND earlier.worker_id IS DISTINCT FROM outbox.worker_id)",
    Boolean,
).label("is_behind")

_written = [name for name in OutboxRow.__struct_fields__ if name not in ("id", "published_at")]


def _inserting(count: int) -> Statement:
    rows: list[dict[str, Any]] = [
        {name: bindparam(_nth(name, place), type_=_c[name].type) for name in _written} for place in range(count)
    ]
    # SQLite has one gateway, and no index for a question in RETURNING.
    return Statement(
        lambda insert: (
            insert(outbox)
            .values(rows)
            .returning(_c.event_id, _c.id, _is_behind if insert is postgresql.insert else _is_first)
        )
    )


def _nth(name: str, place: int) -> str:
    return f"{name}_{place}"


AT_ONCE = 8  # rows of one statement: on PostgreSQL each statement is a way there and back
INSERTS = {count: _inserting(count) for count in range(1, AT_ONCE + 1)}
_publish = Statement(update(outbox).where(_c.id == bindparam("row_id")).values(published_at=bindparam("at")))
_of_worker = _waiting & (_c.worker_id == bindparam("of_worker_id"))
_unpublished = Statement(
    select(outbox, _is_behind)
    .where(_of_worker, _c.id > bindparam("after"), _c.id <= bindparam("until"))
    .order_by(_c.id)
    .limit(bindparam("most"))
)
_behind = Statement(
    select(_c.subject_id, func.min(_c.id).label("first_id"))
    .where(_of_worker, _is_behind.element)
    .group_by(_c.subject_id)
)
_any_waiting = Statement(select(_c.id).where(_waiting, _c.id <= bindparam("until")).limit(1))
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
    data: EventData | None,
    traceparent: str | None,
    now: int,
) -> None:
    """Write one event at `now` (microseconds UTC), and announce it to the relay once it is committed."""
    event = NewEvent(
        topic=topic,
        key=key,
        type=type,
        subject_id=subject_id,
        sequence=sequence,
        data=data,
        traceparent=traceparent,
        now=now,
    )
    add_events(conn, [event])


def add_events(conn: Connection, events: Iterable[NewEvent]) -> None:
    """Write events in this order, which is that of their ids, and announce them to the relay."""
    rows = [_row(event, conn.info.get(WORKER)) for event in events]
    for start in range(0, len(rows), AT_ONCE):
        _write(conn, rows[start : start + AT_ONCE])


def _row(event: NewEvent, worker_id: str | None) -> OutboxRow:
    return OutboxRow(
        0,
        new_id("evt"),
        event.topic,
        event.key,
        event.type,
        event.subject_id,
        event.sequence,
        b"" if event.data is None else msgspec.json.encode(event.data),
        event.traceparent,
        event.now,
        worker_id=worker_id,
    )


def _write(conn: Connection, rows: Sequence[OutboxRow]) -> None:
    values = {_nth(name, n): getattr(row, name) for n, row in enumerate(rows) for name in _written}
    written = {each.event_id: each for each in INSERTS[len(rows)](conn, **values)}
    for row in rows:
        found = written[row.event_id]
        announce(conn, Unpublished(msgspec.structs.replace(row, id=found.id), bool(found.is_behind)))


def mark_published(conn: Connection, row_ids: list[int], at: int) -> None:
    """Note that Kafka acknowledged these rows."""
    _publish.many(conn, [{"row_id": row_id, "at": at} for row_id in row_ids])


def newest_id(conn: Connection) -> int:
    """The id of the newest row; 0 where there is none."""
    return _newest_id(conn).scalar() or 0


def select_unpublished(conn: Connection, worker_id: str, after: int, until: int, most: int) -> list[Unpublished]:
    """Up to `most` rows of a worker that Kafka has not acknowledged, in order: past `after`, up to `until`."""
    found = _unpublished(conn, of_worker_id=worker_id, after=after, until=until, most=most)
    return [Unpublished(OutboxRow(*row), bool(is_behind)) for *row, is_behind in found]


def select_behind(conn: Connection, worker_id: str) -> dict[str, int]:
    """By subject, the first row of a worker that waits for another worker's."""
    return {row.subject_id: row.first_id for row in _behind(conn, of_worker_id=worker_id)}


def any_unpublished(conn: Connection, until: int) -> bool:
    """Whether a row up to the id `until` is not published, whoever is to do it."""
    return _any_waiting(conn, until=until).first() is not None


def list_history(conn: Connection, subject_id: str, after: int, most: int) -> list[OutboxRow]:
    """Up to `most` of a subject's own events past a sequence, in order."""
    return [OutboxRow(*row) for row in _page(conn, of_subject_id=subject_id, after=after, most=most)]


def measure_backlog(conn: Connection) -> OutboxBacklog:
    """How far Kafka is behind. Two look-ups in an index: counting the rows would stop the loop."""
    found = _backlog(conn).first()
    return OutboxBacklog(*found) if found else OutboxBacklog()
