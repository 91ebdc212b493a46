"""Tasks: what no machine can end, for a person who asks the processor. One is open per operation it is about."""

from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Index, bindparam, func, select, update

from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, Int32, Micros, struct_of, table_of

# A void, reversal or refund that we owe was refused for good; a processor tells of other money or ids than asked.
TaskKind = Literal["void_refused", "reversal_refused", "refund_refused", "mismatch"]
Resolution = Literal["released", "lapsed", "retry"]  # a person's word
TaskOutcome = Literal[Resolution, "settled"]  # `settled`: it ended by itself after all, by a processor's word
TaskStatus = Literal["open", "resolved"]


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `tasks`. Times in microseconds UTC; from `outcome` on null while it is open.

    `operation_id`: the call that found no end. `about_id`: the operation whose money it is about, which a void,
    reversal or refund would give back. `tried`: how often.
    """

    id: str
    kind: TaskKind
    payment_id: str
    operation_id: str
    about_id: str
    tried: Int32
    opened_at: Micros
    outcome: TaskOutcome | None = None
    reason: str | None = None
    resolved_by: str | None = None
    resolved_at: Micros | None = None


tasks = table_of("tasks", TaskRow)
_c = tasks.c
_is_open = _c.resolved_at.is_(None)
Index("uq_tasks_open", _c.about_id, unique=True, sqlite_where=_is_open, postgresql_where=_is_open)
Index("ix_tasks_open", _c.id, sqlite_where=_is_open, postgresql_where=_is_open)
_is_resolved = _c.resolved_at.is_not(None)
Index("ix_tasks_resolved", _c.id, sqlite_where=_is_resolved, postgresql_where=_is_resolved)

_insert = Statement(lambda insert: insert(tasks).on_conflict_do_nothing())
_select = Statement(select(tasks).where(_c.id == bindparam("task_id")))
_LISTED: dict[TaskStatus, ColumnElement[bool]] = {"open": _is_open, "resolved": _is_resolved}
PAGES = {
    status: Statement(
        select(tasks).where(listed, _c.id < bindparam("below")).order_by(_c.id.desc()).limit(bindparam("most"))
    )
    for status, listed in _LISTED.items()
}
_open_count = Statement(select(func.count()).select_from(tasks).where(_is_open))
_resolve = Statement(
    update(tasks)
    .where(_c.id == bindparam("task_id"), _is_open)
    .values(
        outcome=bindparam("to_outcome"),
        reason=bindparam("to_reason"),
        resolved_by=bindparam("by"),
        resolved_at=bindparam("at"),
    )
)
_settle = Statement(
    update(tasks)
    .where(_c.about_id == bindparam("of_operation_id"), _is_open)
    .values(outcome=bindparam("to_outcome"), resolved_at=bindparam("at"))
)


def open_task(conn: Connection, task: TaskRow) -> bool:
    """Open a task; False where one of the same operation is open."""
    return bool(_insert(conn, **msgspec.structs.asdict(task)).rowcount)


def select_task(conn: Connection, task_id: str) -> TaskRow | None:
    """The task of this id."""
    row = _select(conn, task_id=task_id).first()
    return struct_of(TaskRow, row) if row else None


def list_tasks(conn: Connection, status: TaskStatus, after_id: str | None, most: int) -> list[TaskRow]:
    """Up to `most` tasks that are open or resolved, the newest first, after the one of `after_id`."""
    found = PAGES[status](conn, below=after_id or ABOVE_ALL_IDS, most=most)
    return [struct_of(TaskRow, row) for row in found]


def count_open_tasks(conn: Connection) -> int:
    """How many tasks wait for a person."""
    count: int = _open_count(conn).scalar()
    return count


def resolve_task(
    conn: Connection, task_id: str, outcome: TaskOutcome, reason: str, resolved_by: str, now: int
) -> bool:
    """Resolve a task at `now` (microseconds UTC) for an account; False where it is resolved already."""
    resolved = _resolve(conn, task_id=task_id, to_outcome=outcome, to_reason=reason, by=resolved_by, at=now)
    return bool(resolved.rowcount)


def settle_task(conn: Connection, about_id: str, now: int) -> None:
    """End the open task about an operation, if there is one: the processor's word has ended it."""
    _settle(conn, of_operation_id=about_id, to_outcome="settled", at=now)
