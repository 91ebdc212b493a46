"""Attempts and operations: one try at one processor, and each call of it that can move money.

A row is written before its call goes out; its id is the request id the processor sees.
"""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Index, bindparam, func, insert, literal_column, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from gateway.books.engine import Outdated
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Int64, Micros, Minor, struct_of, table_of
from gateway.refusals import Refusal
from schemas.operations import OperationKind, OperationStatus
from schemas.payments import ProcessorName
from schemas.states import DeclineCode

OPEN: tuple[OperationStatus, ...] = ("sending", "unknown")
# How PostgreSQL and SQLite name the index that allows one open operation per payment.
ONE_OPEN = ("uq_operations_open", "UNIQUE constraint failed: operations.payment_id")


class OperationOpen(Refusal):
    """Another operation on it is still open."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `operations`. `amount` in minor units of `currency`, times in microseconds UTC.

    `parent_id`: the operation this one follows or takes back; `parent_reference`: the processor's reference of
    that one. Of a capture, `part` counts those of its authorization from 1, and the `final` one lets the rest go.
    `replaces_id`: the operation that was given up and that this one does anew. `requested_by`: the account that
    asked for it; null where it follows by itself. `ordinal`: grows from one operation of a payment to the next.
    `checks`: look-ups since it was given up, of an order those for its payer's approval; before, how often the
    processor's answer left it open (a release refused, something pending). `pending_reason`: the processor's word
    for what it waits for. `lease_until`, by the steady clock: while sending, its worker's lease; then, when
    recovery asks again; null: never. `audit_head`: where a card was opened for it, the vault's audit's then.
    `sequence`: of its newest event on `operations.v1`, counted from 1; 0: it was never told of.
    """

    id: str
    payment_id: str
    attempt_id: str
    processor: ProcessorName
    kind: OperationKind
    parent_id: str | None = None
    parent_reference: str | None = None
    amount: Minor
    currency: str
    part: Int32 = 1
    final: bool = True
    refund_id: str | None = None
    replaces_id: str | None = None
    requested_by: str | None = None
    ordinal: Int32 = 0
    status: OperationStatus = "sending"
    processor_reference: str | None = None
    decline_code: DeclineCode | None = None
    detail: str = ""
    checks: Int64 = 0
    pending_reason: str | None = None
    worker_id: str | None = None
    lease_until: Micros | None = None
    created_at: Micros
    finished_at: Micros | None = None
    audit_head: str | None = None
    sequence: Int32 = 0


class OperationPlace(NamedTuple):
    """What operations are listed by."""

    ordinal: int
    id: str


class Attempt(msgspec.Struct, frozen=True):
    """A row of `attempts`. Its id is the reference that the processor's records carry."""

    id: str
    payment_id: str
    number: Int32
    processor: ProcessorName
    created_at: Micros


attempts = table_of("attempts", Attempt)
Index("ix_attempts_payment_id", attempts.c.payment_id)

operations = table_of("operations", Operation)
_c = operations.c
_one_open = _c.status.in_(OPEN) & (_c.kind != "reversal")
Index("uq_operations_open", _c.payment_id, unique=True, sqlite_where=_one_open, postgresql_where=_one_open)
_is_reversal = _c.kind == literal_column("'reversal'")  # as a bind value it would keep the index from being used
Index(
    "uq_operations_reversal", _c.parent_id, unique=True, sqlite_where=_is_reversal, postgresql_where=_is_reversal
)
Index("ix_operations_payment_id", _c.payment_id, _c.ordinal, _c.id)
Index("ix_operations_reference", _c.processor_reference)
_is_sending = _c.status == literal_column("'sending'")
Index("ix_operations_sending", _c.lease_until, sqlite_where=_is_sending, postgresql_where=_is_sending)
_is_awaited = _c.lease_until.is_not(None) & (_c.status != literal_column("'sending'"))
Index("ix_operations_due", _c.processor, _c.lease_until, sqlite_where=_is_awaited, postgresql_where=_is_awaited)

_changing = (
    "status",
    "processor_reference",
    "decline_code",
    "detail",
    "checks",
    "pending_reason",
    "lease_until",
    "finished_at",
    "audit_head",
    "sequence",
)

_insert_attempt = Statement(insert(attempts))
_attempts = Statement(
    select(attempts).where(attempts.c.payment_id == bindparam("of_payment_id")).order_by(attempts.c.number)
)
_attempt_number = Statement(select(attempts.c.number).where(attempts.c.id == bindparam("attempt_id")))
_by_reference = Statement(
    select(_c.payment_id).where(_c.processor_reference == bindparam("reference")).order_by(_c.id).limit(1)
)
_by_id = Statement(select(_c.payment_id).where(_c.id == bindparam("reference")))
_by_attempt = Statement(select(attempts.c.payment_id).where(attempts.c.id == bindparam("reference")))
_insert = Statement(insert(operations))
_select = Statement(select(operations).where(_c.id == bindparam("operation_id")))
_of_payment = Statement(
    select(operations).where(_c.payment_id == bindparam("of_payment_id")).order_by(_c.ordinal, _c.id)
)
_page = Statement(
    select(operations)
    .where(
        _c.payment_id == bindparam("of_payment_id"),
        tuple_(_c.ordinal, _c.id)
        > tuple_(bindparam("after_ordinal", type_=_c.ordinal.type), bindparam("after_id", type_=_c.id.type)),
    )
    .order_by(_c.ordinal, _c.id)
    .limit(bindparam("most"))
)
_asks_issuer = (_c.kind == literal_column("'authorize'")) | (_c.kind == literal_column("'sale'"))
_heads_page = Statement(
    select(_c.id, _c.audit_head)
    .where(_c.id > bindparam("after_id"), _asks_issuer)
    .order_by(_c.id)
    .limit(bindparam("most"))
)
_reversal_of = Statement(select(operations).where(_c.parent_id == bindparam("of_parent_id"), _is_reversal))
_update = Statement(
    update(operations).where(
        _c.id == bindparam("operation_id"),
        _c.status == bindparam("from_status"),
        _c.sequence == bindparam("from_sequence"),
    ),
    _changing,
)
_lost = Statement(
    select(operations)
    .where(_is_sending, _c.lease_until <= bindparam("now"))
    .order_by(_c.lease_until)
    .limit(bindparam("most"))
)
_due = Statement(
    select(operations)
    .where(_is_awaited, _c.processor == bindparam("at_processor"), _c.lease_until <= bindparam("now"))
    .order_by(_c.lease_until)
    .limit(bindparam("most"))
)
_unknown = Statement(
    select(_c.processor, func.count().label("operations"), func.min(_c.created_at).label("since"))
    .where(_is_awaited, _c.status == "unknown")
    .group_by(_c.processor)
)
_lease = Statement(
    update(operations)
    .where(_c.id == bindparam("operation_id"), _c.lease_until == bindparam("from_lease"))
    .values(lease_until=bindparam("to_lease"), worker_id=bindparam("to_worker_id"))
)


def payment_id_of_reference(conn: Connection, reference: str) -> str | None:
    """The payment that a processor means: by its own reference, or by ours, an attempt's or an operation's id."""
    for statement in (_by_reference, _by_attempt, _by_id):
        if (found := statement(conn, reference=reference).first()) is not None:
            payment_id: str = found.payment_id
            return payment_id
    return None


def insert_attempt(conn: Connection, attempt: Attempt) -> None:
    """Write a new attempt."""
    _insert_attempt(conn, **msgspec.structs.asdict(attempt))


def select_attempts(conn: Connection, payment_id: str) -> list[Attempt]:
    """All attempts of a payment, the first one first."""
    return [Attempt(*row) for row in _attempts(conn, of_payment_id=payment_id)]


def attempt_number(conn: Connection, attempt_id: str) -> int:
    """How many attempts of its payment there were with this one."""
    return int(_attempt_number(conn, attempt_id=attempt_id).one().number)


def open_operation(conn: Connection, operation: Operation) -> Operation:
    """Write an operation about to be sent. Raises `OperationOpen` where another one of the payment is.

    An operation has one reversal: where it was begun before, that one is opened again and returned.
    """
    begun = None
    if operation.kind == "reversal" and operation.parent_id:
        begun = select_reversal(conn, operation.parent_id)
    if begun is not None:
        return _open_again(conn, begun, operation.lease_until)
    try:
        _insert(conn, **msgspec.structs.asdict(operation))
    except IntegrityError as error:
        if not any(name in str(error.orig) for name in ONE_OPEN):
            raise
        raise OperationOpen(retry_after_s=1) from None
    return operation


def _open_again(conn: Connection, begun: Operation, lease_until: int | None) -> Operation:
    if begun.status == "succeeded":  # someone else was first; sent once more it does no harm
        return begun
    again = msgspec.structs.replace(begun, status="sending", lease_until=lease_until, finished_at=None)
    update_operation(conn, again, begun.status)
    return again


def select_operation(conn: Connection, operation_id: str) -> Operation | None:
    """The operation of this id."""
    row = _select(conn, operation_id=operation_id).first()
    return struct_of(Operation, row) if row else None


def select_operations(conn: Connection, payment_id: str) -> list[Operation]:
    """All operations of a payment, the oldest first."""
    return [struct_of(Operation, row) for row in _of_payment(conn, of_payment_id=payment_id)]


def list_operations(conn: Connection, after: OperationPlace | None, most: int, payment_id: str) -> list[Operation]:
    """Up to `most` operations of a payment, the oldest first; `after`: the last one of the page before."""
    ordinal, after_id = after or OperationPlace(-1, "")
    rows = _page(conn, of_payment_id=payment_id, after_ordinal=ordinal, after_id=after_id, most=most)
    return [struct_of(Operation, row) for row in rows]


def select_open(conn: Connection, payment_id: str) -> list[Operation]:
    """The operations of a payment whose end is not known yet."""
    return [operation for operation in select_operations(conn, payment_id) if operation.status in OPEN]


def list_audit_heads(conn: Connection, after_id: str, most: int) -> list[tuple[str, str | None]]:
    """Up to `most` operations that may need a card, by id after `after_id`, each with the audit head it keeps."""
    return [(row.id, row.audit_head) for row in _heads_page(conn, after_id=after_id, most=most)]


def select_reversal(conn: Connection, parent_id: str) -> Operation | None:
    """The reversal that takes an operation back, if one was begun."""
    row = _reversal_of(conn, of_parent_id=parent_id).first()
    return struct_of(Operation, row) if row else None


def update_operation(
    conn: Connection, operation: Operation, from_status: OperationStatus, *, told: bool = False
) -> Operation:
    """Write what may change of an operation; as written, with the next `sequence` where it is `told` of.

    Raises `Outdated` where it is no longer in `from_status`, or was told of since it was read.
    """
    written = msgspec.structs.replace(operation, sequence=operation.sequence + told)
    values = msgspec.structs.asdict(written)
    changed = _update(
        conn, operation_id=operation.id, from_status=from_status, from_sequence=operation.sequence, **values
    )
    if not changed.rowcount:
        raise Outdated(operation.id)
    return written


def select_lost_operations(conn: Connection, now: int, most: int) -> list[Operation]:
    """Up to `most` operations whose worker's lease ran out by `now` (steady clock), the longest ago first."""
    return [struct_of(Operation, row) for row in _lost(conn, now=now, most=most)]


def select_due_operations(conn: Connection, processor: ProcessorName, now: int, most: int) -> list[Operation]:
    """Up to `most` operations that a processor is asked for by `now` (steady clock), the longest overdue first."""
    return [struct_of(Operation, row) for row in _due(conn, at_processor=processor, now=now, most=most)]


def count_unknown(conn: Connection) -> dict[ProcessorName, tuple[int, int]]:
    """How many operations a processor is asked for the end of, and since when (microseconds UTC) the oldest is."""
    return {row.processor: (row.operations, row.since) for row in _unknown(conn)}


def take_lease(conn: Connection, operation: Operation, worker_id: str, lease_until: int) -> bool:
    """Take an overdue operation until `lease_until` (steady clock); False where another worker did."""
    taken = _lease(
        conn,
        operation_id=operation.id,
        from_lease=operation.lease_until,
        to_lease=lease_until,
        to_worker_id=worker_id,
    )
    return bool(taken.rowcount)
