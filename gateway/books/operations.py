"""Attempts and operations: one try at one processor, and each call of it that can move money.

A row is written before its call goes out; its id is the request id the processor sees.
"""

from typing import Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    insert,
    select,
    update,
)

from gateway.books.metadata import Micros, Minor, metadata
from gateway.books.payments import Outdated
from gateway.books.statement import Statement
from schemas.payments import ProcessorName
from schemas.states import DeclineCode

# `order` opens a PayPal order: it moves no money, but it is a call of ours with an id all the same.
OperationKind = Literal["order", "authorize", "sale", "capture", "void", "reversal"]
OperationStatus = Literal["sending", "succeeded", "declined", "failed", "unknown"]
OPEN: tuple[OperationStatus, ...] = ("sending", "unknown")

attempts = Table(
    "attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("payment", Text, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("processor", Text, nullable=False),
    Column("created_at", Micros, nullable=False),
)

operations = Table(
    "operations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("payment", Text, nullable=False),
    Column("attempt", Text, nullable=False),
    Column("processor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("of", Text),  # the operation this one follows or takes back
    Column("of_reference", Text),  # the processor's reference of that operation
    Column("amount", Minor, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("processor_reference", Text),
    Column("decline_code", Text),
    Column("detail", Text, nullable=False),
    Column("checks", BigInteger, nullable=False),  # how often recovery has asked for it
    Column("worker", Text),
    Column("lease_until", Micros),  # while sending: its worker's; then: when recovery asks again; null: never
    Column("created_at", Micros, nullable=False),
    Column("finished_at", Micros),
)
_c = operations.c
_open = _c.status.in_(OPEN)
_one_open = and_(_open, _c.kind != "reversal")
Index("uq_operations_open", _c.payment, unique=True, sqlite_where=_one_open, postgresql_where=_one_open)
_reversal = _c.kind == "reversal"
Index("uq_operations_reversal", _c.of, unique=True, sqlite_where=_reversal, postgresql_where=_reversal)
Index("ix_operations_payment", _c.payment)
Index("ix_operations_lease_until", _c.lease_until)
Index("ix_operations_finished_at", _c.finished_at)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `operations`. `amount` in minor units of `currency`, times in microseconds UTC."""

    id: str
    payment: str
    attempt: str
    processor: ProcessorName
    kind: OperationKind
    of: str | None = None
    of_reference: str | None = None
    amount: int
    currency: str
    status: OperationStatus = "sending"
    processor_reference: str | None = None
    decline_code: DeclineCode | None = None
    detail: str = ""
    checks: int = 0
    worker: str | None = None
    lease_until: int | None = None
    created_at: int
    finished_at: int | None = None


class Attempt(msgspec.Struct, frozen=True):
    """A row of `attempts`. Its id is the reference that the processor's records carry."""

    id: str
    payment: str
    number: int
    processor: ProcessorName
    created_at: int


_names = Operation.__struct_fields__
_all = [_c[name] for name in _names]
_changing = ("status", "processor_reference", "decline_code", "detail", "checks", "lease_until", "finished_at")

_insert_attempt = Statement(insert(attempts))
_insert = Statement(insert(operations))
_select = Statement(select(*_all).where(_c.id == bindparam("id_")))
_of_payment = Statement(select(*_all).where(_c.payment == bindparam("id_")).order_by(_c.created_at, _c.id))
_reversal_of = Statement(select(*_all).where(_c.of == bindparam("id_"), _c.kind == "reversal"))
_update = Statement(
    update(operations)
    .where(_c.id == bindparam("id_"), _c.status == bindparam("from_status"))
    .values({name: bindparam(f"to_{name}") for name in _changing})
)
_due = Statement(
    select(*_all).where(_c.lease_until <= bindparam("now")).order_by(_c.lease_until).limit(bindparam("most"))
)
_lease = Statement(
    update(operations)
    .where(_c.id == bindparam("id_"), _c.lease_until == bindparam("from_lease"))
    .values(lease_until=bindparam("to_lease"), worker=bindparam("to_worker"))
)


def insert_attempt(conn: Connection, attempt: Attempt) -> None:
    """Write a new attempt."""
    _insert_attempt(conn, **msgspec.structs.asdict(attempt))


def insert_operation(conn: Connection, operation: Operation) -> None:
    """Write an operation about to be sent. Raises `IntegrityError` where another of the payment is open."""
    _insert(conn, **msgspec.structs.asdict(operation))


def select_operation(conn: Connection, operation: str) -> Operation | None:
    """The operation of this id."""
    row = _select(conn, id_=operation).first()
    return _as_operation(row) if row else None


def select_operations(conn: Connection, payment: str) -> list[Operation]:
    """All operations of a payment, the oldest first."""
    return [_as_operation(row) for row in _of_payment(conn, id_=payment)]


def select_open(conn: Connection, payment: str) -> list[Operation]:
    """The operations of a payment whose end is not known yet."""
    return [operation for operation in select_operations(conn, payment) if operation.status in OPEN]


def select_reversal(conn: Connection, operation: str) -> Operation | None:
    """The reversal that takes an operation back, if one was begun."""
    row = _reversal_of(conn, id_=operation).first()
    return _as_operation(row) if row else None


def update_operation(conn: Connection, operation: Operation, before: OperationStatus) -> None:
    """Write what may change of an operation. Raises `Outdated` where it is no longer in the status `before`."""
    values = {f"to_{name}": getattr(operation, name) for name in _changing}
    if not _update(conn, id_=operation.id, from_status=before, **values).rowcount:
        raise Outdated(operation.id)


def select_due(conn: Connection, now: int, most: int) -> list[Operation]:
    """Operations that recovery has to ask for, the longest overdue first."""
    return [_as_operation(row) for row in _due(conn, now=now, most=most)]


def take_lease(conn: Connection, operation: Operation, worker: str, until: int) -> bool:
    """Take an overdue operation; False where another worker did."""
    taken = _lease(conn, id_=operation.id, from_lease=operation.lease_until, to_lease=until, to_worker=worker)
    return bool(taken.rowcount)


def _as_operation(row: object) -> Operation:
    return Operation(**dict(zip(_names, row, strict=True)))  # type: ignore[call-overload]
