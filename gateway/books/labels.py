"""Labels as they were given. A row for each payment, label and source: who says the same again changes nothing."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import (
    Connection,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    bindparam,
    literal_column,
    select,
    update,
)

from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, Micros, struct_of, table_of
from schemas.fraud import LabelValue

# `told`: it stands on `labels.v1`. `waiting`: it came in a burst, and waits for a person, or its time. `outvoted`:
# a source of more authority says otherwise. `confirms`: it says what was told before. `dropped`: a person did.
LabelState = Literal["told", "waiting", "outvoted", "confirms", "dropped"]
Burst = Literal["source", "merchant"]


class LabelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `labels`. Times in microseconds UTC. `waits_for`: whose burst it came in; `due_at`: until when.

    `recorded_by`, `decided_by`: accounts; null where nobody did.
    """

    id: str
    payment_id: str
    merchant_id: str
    label: LabelValue
    source: str
    state: LabelState
    waits_for: Burst | None = None
    due_at: Micros | None = None
    recorded_by: str | None = None
    recorded_at: Micros
    decided_by: str | None = None
    decided_at: Micros | None = None


labels = table_of(
    "labels",
    LabelRow,
    ForeignKeyConstraint(["payment_id"], ["payments.id"], name="fk_labels_payment"),
    UniqueConstraint("payment_id", "label", "source", name="uq_labels_said"),
)
_c = labels.c
_is_waiting = _c.state == literal_column("'waiting'")  # as a bind value it would keep the index from being used
Index("ix_labels_due_at", _c.due_at, _c.id, sqlite_where=_is_waiting, postgresql_where=_is_waiting)
Index("ix_labels_waiting", _c.id, sqlite_where=_is_waiting, postgresql_where=_is_waiting)

_insert = Statement(lambda insert: insert(labels).on_conflict_do_nothing())
_of_payment = Statement(select(labels).where(_c.payment_id == bindparam("of_payment_id")).order_by(_c.id))
_due = Statement(
    select(labels)
    .where(_is_waiting, _c.due_at <= bindparam("now"))
    .order_by(_c.due_at, _c.id)
    .limit(bindparam("most"))
)
_page = Statement(
    select(labels).where(_is_waiting, _c.id < bindparam("below")).order_by(_c.id.desc()).limit(bindparam("most"))
)
_named = _c.source == bindparam("of_source"), _c.merchant_id == bindparam("of_merchant_id")
_waiting_of_source = Statement(
    select(labels).where(_is_waiting, _named[0]).order_by(_c.id).limit(bindparam("most"))
)
_waiting_of_merchant = Statement(
    select(labels).where(_is_waiting, _named[1]).order_by(_c.id).limit(bindparam("most"))
)
_end = Statement(
    update(labels)
    .where(_c.id == bindparam("label_id"), _is_waiting)
    .values(
        state=bindparam("to_state"),
        due_at=bindparam("to_due_at", type_=_c.due_at.type),
        decided_by=bindparam("by", type_=_c.decided_by.type),
        decided_at=bindparam("at", type_=_c.decided_at.type),
    )
)


def insert_label(conn: Connection, row: LabelRow) -> bool:
    """Write a label; False where its source said the same of the payment before."""
    return bool(_insert(conn, **msgspec.structs.asdict(row)).rowcount)


def labels_of(conn: Connection, payment_id: str) -> list[LabelRow]:
    """All labels of a payment, the oldest first."""
    return [struct_of(LabelRow, row) for row in _of_payment(conn, of_payment_id=payment_id)]


def due_labels(conn: Connection, now: int, most: int) -> list[LabelRow]:
    """Up to `most` labels that have waited long enough."""
    return [struct_of(LabelRow, row) for row in _due(conn, now=now, most=most)]


def list_waiting(conn: Connection, after_id: str | None, most: int) -> list[LabelRow]:
    """Up to `most` labels that wait, the newest first, after the one of `after_id`."""
    return [struct_of(LabelRow, row) for row in _page(conn, below=after_id or ABOVE_ALL_IDS, most=most)]


def waiting_of(conn: Connection, burst: Burst, name: str, most: int) -> list[LabelRow]:
    """Up to `most` waiting labels of a source, or of a merchant, the oldest first."""
    match burst:
        case "source":
            found: Sequence[object] = _waiting_of_source(conn, of_source=name, most=most).rows
        case "merchant":
            found = _waiting_of_merchant(conn, of_merchant_id=name, most=most).rows
    return [struct_of(LabelRow, row) for row in found]  # type: ignore[arg-type]


def change_waiting(
    conn: Connection, label_id: str, state: LabelState, by: str | None, at: int | None, due_at: int | None = None
) -> bool:
    """Say what became of a label that waits, or until when it goes on waiting. False where it waits no more."""
    return bool(_end(conn, label_id=label_id, to_state=state, to_due_at=due_at, by=by, at=at).rowcount)
