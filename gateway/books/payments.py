"""Payments: what was asked and what became of it. A row changes only from the version that was read."""

from typing import Literal

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)

from gateway.books.metadata import Micros, Minor, metadata
from gateway.books.statement import Statement
from schemas.payments import AppliedRisk, ProcessorName
from schemas.states import DeclineCode, PaymentState, Status

RecoveryPoint = Literal["received", "approved", "judged", "finished"]

payments = Table(
    "payments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stream_key", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("merchant", Text, nullable=False),
    Column("amount", Minor, nullable=False),
    Column("currency", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("card", Text),
    Column("brand", Text),
    Column("bin", Text),
    Column("last4", Text),
    Column("fingerprint", Text),
    Column("capture", Text, nullable=False),
    Column("wanted_processor", Text),  # the one the client named: such a payment never fails over
    Column("description", Text),
    Column("metadata", Text),
    Column("return_url", Text),
    Column("return_nonce", Text),
    Column("country", Text),
    Column("ip_hash", Text),
    Column("device_hash", Text),
    Column("traceparent", Text),
    Column("occurred_at", Micros, nullable=False),
    Column("created_at", Micros, nullable=False),
    # Above: fixed at creation. Below: what `update_payment` writes.
    Column("state", Text, nullable=False),
    Column("announced", Text),  # the status of the last `transaction_completed`
    Column("recovery_point", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("amount_captured", Minor, nullable=False),
    Column("amount_refunded", Minor, nullable=False),
    Column("processor", Text),
    Column("decline_code", Text),
    Column("redirect_url", Text),
    Column("risk", Text),
    Column("risk_outcome", Text),
    Column("attempts", Integer, nullable=False),
    Column("viewer", Text, nullable=False),  # the role that the running request is answered as
    Column("worker", Text),
    Column("lease_until", Micros),  # null: nothing is due; else recovery looks at it after this
    Column("updated_at", Micros, nullable=False),
)
Index("ix_payments_customer", payments.c.customer, payments.c.id)
Index("ix_payments_merchant", payments.c.merchant, payments.c.id)
Index("ix_payments_lease_until", payments.c.lease_until)
Index("ix_payments_risk_outcome", payments.c.risk_outcome, payments.c.id)


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `payments`. Amounts in minor units of `currency`, times in microseconds UTC."""

    id: str
    stream_key: str
    customer: str
    merchant: str
    amount: int
    currency: str
    method: Literal["card", "paypal"]
    card: str | None = None
    brand: str | None = None
    bin: str | None = None
    last4: str | None = None
    fingerprint: str | None = None
    capture: Literal["automatic", "manual"]
    wanted_processor: ProcessorName | None = None
    description: str | None = None
    metadata: str | None = None
    return_url: str | None = None
    return_nonce: str | None = None
    country: str | None = None
    ip_hash: str | None = None
    device_hash: str | None = None
    traceparent: str | None = None
    occurred_at: int
    created_at: int
    state: PaymentState = "processing"
    announced: Status | None = None
    recovery_point: RecoveryPoint = "received"
    version: int = 1
    sequence: int = 0
    amount_captured: int = 0
    amount_refunded: int = 0
    processor: ProcessorName | None = None
    decline_code: DeclineCode | None = None
    redirect_url: str | None = None
    risk: str | None = None
    risk_outcome: str | None = None
    attempts: int = 0
    viewer: str
    worker: str | None = None
    lease_until: int | None = None
    updated_at: int

    def applied_risk(self) -> AppliedRisk | None:
        """The verdict that decided this payment, once one has."""
        return msgspec.json.decode(self.risk, type=AppliedRisk) if self.risk else None


class Outdated(Exception):
    """Someone changed the row since it was read; read it again."""


_c = payments.c
_names = PaymentRow.__struct_fields__
_changing = _names[_names.index("state") :]

_insert = Statement(insert(payments))
_select = Statement(select(*[_c[name] for name in _names]).where(_c.id == bindparam("of")))
_update = Statement(
    update(payments)
    .where(_c.id == bindparam("of"), _c.version == bindparam("of_version"))
    .values({name: bindparam(f"to_{name}") for name in _changing})
)
_due = Statement(
    select(_c.id).where(_c.lease_until <= bindparam("now")).order_by(_c.lease_until).limit(bindparam("most"))
)


def insert_payment(conn: Connection, row: PaymentRow) -> None:
    """Write a new payment."""
    _insert(conn, **{name: getattr(row, name) for name in _names})


def select_payment(conn: Connection, payment: str) -> PaymentRow | None:
    """The payment of this id."""
    row = _select(conn, of=payment).first()
    return as_payment(row) if row else None


def existing_payment(conn: Connection, payment: str) -> PaymentRow:
    """The payment of this id. Raises `LookupError` where there is none."""
    row = select_payment(conn, payment)
    if row is None:
        raise LookupError(payment)
    return row


def update_payment(conn: Connection, row: PaymentRow) -> PaymentRow:
    """Write what may change of a payment, from the version that `row` carries. Raises `Outdated`."""
    newer = msgspec.structs.replace(row, version=row.version + 1)
    values = {f"to_{name}": getattr(newer, name) for name in _changing}
    if not _update(conn, of=row.id, of_version=row.version, **values).rowcount:
        raise Outdated(row.id)
    return newer


def select_due(conn: Connection, now: int, most: int) -> list[str]:
    """Ids of the payments whose lease ran out, the longest ago first."""
    return [row.id for row in _due(conn, now=now, most=most)]


def list_payments(conn: Connection, query: Select[tuple[object, ...]]) -> list[PaymentRow]:
    """The payments a `payment_query` finds."""
    return [as_payment(row) for row in conn.execute(query)]


def payment_query() -> Select[tuple[object, ...]]:
    """All payments, for a caller to narrow down, order and limit."""
    return select(*[_c[name] for name in _names])


def as_payment(row: object) -> PaymentRow:
    """A result row in the order of `PaymentRow`'s fields."""
    return PaymentRow(**dict(zip(_names, row, strict=True)))  # type: ignore[call-overload]
