"""The gateways on these books: each holds a lease, and publishes the events that it wrote for as long as it does.

Whoever holds none has ended or hangs: another one takes its events over (docs/decisions/0090).
"""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, UniqueConstraint, bindparam, delete, exists, insert, or_, select, text, update

from gateway.books.outbox import outbox
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, table_of
from gateway.policy import DAY_US

FORGOTTEN_US = DAY_US  # after the end of its lease
TAKEN_AT_ONCE = 5_000  # events, in a transaction well below the timeout of a statement


class WorkerRow(msgspec.Struct, frozen=True):
    """A row of `workers`. `name`: which gateway it is, also after a restart, which makes it a worker of a new id.

    `lease_until` (microseconds of the steady clock). `taken_over`: how often another one took its events.
    """

    id: str
    name: str
    lease_until: Micros
    taken_over: Int32 = 0


workers = table_of("workers", WorkerRow, UniqueConstraint("name", name="uq_workers_name"))
_c = workers.c
_mine = bindparam("worker_id", type_=_c.id.type)
_now = bindparam("now", type_=_c.lease_until.type)
_forget = Statement(
    delete(workers).where(or_(_c.name == bindparam("of_name"), _c.lease_until < bindparam("before")))
)
_enter = Statement(insert(workers))
_renew = Statement(
    update(workers).where(_c.id == _mine).values(lease_until=bindparam("until")).returning(_c.taken_over)
)
_leave = Statement(delete(workers).where(_c.id == _mine))
_another_lives = Statement(select(_c.id).where(_c.id != _mine, _c.lease_until > _now).limit(1))

_o = outbox.c
_waits = _o.published_at.is_(None) & _o.worker_id.is_distinct_from(_mine)
# Of a command, or of a gateway that has left.
_nobodys = _waits & ~exists().where(_c.id == _o.worker_id)
_lapsed = (_c.lease_until <= _now) & (_c.id != _mine)
_has_events = exists().where(_o.published_at.is_(None), _o.worker_id == _c.id)
_any_nobodys = Statement(select(_o.id).where(_nobodys).limit(1))
_any_lapsed = Statement(select(_c.id).where(_lapsed, _has_events).limit(1))
_some_nobodys = select(_o.id).where(_nobodys).order_by(_o.id).limit(TAKEN_AT_ONCE).scalar_subquery()
_take_nobodys = Statement(update(outbox).where(_o.id.in_(_some_nobodys)).values(worker_id=_mine))
_note_taken = Statement(
    update(workers).where(_lapsed, _has_events).values(taken_over=_c.taken_over + 1).returning(_c.id)
)
_of_them = _o.published_at.is_(None) & (_o.worker_id == bindparam("of_id"))
_some_of_them = select(_o.id).where(_of_them).order_by(_o.id).limit(TAKEN_AT_ONCE).scalar_subquery()
_take_of = Statement(update(outbox).where(_o.id.in_(_some_of_them)).values(worker_id=_mine))


def enter(conn: Connection, worker: WorkerRow, now: int) -> None:
    """Put a gateway that starts on the list, in place of the one that had its name."""
    _forget(conn, of_name=worker.name, before=now - FORGOTTEN_US)
    _enter(conn, **msgspec.structs.asdict(worker))


def renew(conn: Connection, worker_id: str, until: int) -> int | None:
    """Hold the lease until then; how often another one has taken this worker's events. None: it is on no list."""
    taken_over: int | None = _renew(conn, worker_id=worker_id, until=until).scalar()
    return taken_over


def leave(conn: Connection, worker_id: str) -> None:
    """Take a gateway that ends off the list: the others take over at once what it left."""
    _leave(conn, worker_id=worker_id)


def another_lives(conn: Connection, worker_id: str, now: int) -> bool:
    """Whether another gateway holds a lease at `now`."""
    return _another_lives(conn, worker_id=worker_id, now=now).first() is not None


def keep_others_away(conn: Connection) -> None:
    """Let no gateway begin or renew a lease until this transaction ends. SQLite: its file has a lock (`sole`)."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("LOCK TABLE workers IN SHARE ROW EXCLUSIVE MODE"))


def any_left_behind(conn: Connection, worker_id: str, now: int, lapsed_too: bool) -> bool:
    """Whether there are events on their way of which nobody takes care; see `take_over`."""
    found = _any_nobodys(conn, worker_id=worker_id).first()
    return bool(found or (lapsed_too and _any_lapsed(conn, worker_id=worker_id, now=now).first()))


def take_over(conn: Connection, worker_id: str, now: int, lapsed_too: bool) -> Collection[str]:
    """Make events that are nobody's this worker's, some at once; of which workers, too, whose lease ran out.

    `now`: steady clock. `lapsed_too`: False leaves those alone. A worker that renews its lease meanwhile keeps its
    events, or hears that they were taken.
    """
    _take_nobodys(conn, worker_id=worker_id)
    lapsed = [row.id for row in _note_taken(conn, worker_id=worker_id, now=now)] if lapsed_too else []
    for of_id in lapsed:
        _take_of(conn, worker_id=worker_id, of_id=of_id)
    return lapsed
