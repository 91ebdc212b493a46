"""Payments: what was asked and what became of it. A row changes only from the version that was read."""

from typing import Literal, assert_never

import msgspec
from sqlalchemy import ColumnElement, Connection, Index, bindparam, insert, literal_column, null, select, update

from gateway.books import persons
from gateway.books.engine import Outdated
from gateway.books.persons import PAYMENT_TEXTS
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, Minor, struct_of, table_of
from schemas.fraud import Outcome
from schemas.payments import AppliedRisk, LastRefusal, MethodType, ProcessorName
from schemas.states import DeclineCode, PaymentState, Status

NEWEST = 1_000  # of a payer's payments: those that may have come in while it is erased are among them

RecoveryPoint = Literal["received", "approved", "judged", "finished"]
CaptureMode = Literal["automatic", "manual"]


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `payments`. Amounts in minor units of `currency`, times in microseconds UTC.

    `stream_key`: the key of its events, the card's instrument or the customer. `fingerprint`: the vault's own,
    shown to nobody. `wanted_processor`: the one the client named; such a payment never fails over. `announced`:
    the status of the last `transaction_completed`. `sequence`: that of its last event. `lease_until`: when
    recovery looks at it, by the steady clock; null where nothing is due. `description`, `metadata` (JSON) and
    `return_url` are sealed (`persons`) and carried so: nothing that moves money needs a person's key.
    `pending_reason`: the processor's word for what its open operation waits for. `risk` is JSON of the applied
    verdict, `last_refusal` of a `LastRefusal`. The hashes and `amount_eur_cents` are as on the topics.
    """

    id: str
    stream_key: str
    customer_id: str
    merchant_id: str
    amount: Minor
    currency: str
    method: MethodType
    card_id: str | None = None
    brand: str | None = None
    bin: str | None = None
    last4: str | None = None
    fingerprint: str | None = None
    capture: CaptureMode
    wanted_processor: ProcessorName | None = None
    description: str | None = None
    reference: str | None = None
    metadata: str | None = None
    return_url: str | None = None
    return_nonce: str | None = None
    country: str | None = None
    ip_hash: str | None = None
    device_hash: str | None = None
    ip_network_hash: str | None = None
    email_domain_hash: str | None = None
    amount_eur_cents: Minor | None = None
    traceparent: str | None = None
    occurred_at: Micros
    created_at: Micros
    # Above: fixed at creation. Below: what `update_payment` writes.
    state: PaymentState = "processing"
    announced: Status | None = None
    recovery_point: RecoveryPoint = "received"
    version: Int32 = 1
    sequence: Int32 = 0
    amount_captured: Minor = 0
    amount_refunded: Minor = 0
    processor: ProcessorName | None = None
    decline_code: DeclineCode | None = None
    last_refusal: str | None = None
    pending_reason: str | None = None
    redirect_url: str | None = None
    risk: str | None = None
    risk_outcome: Outcome | None = None
    attempts: Int32 = 0
    worker_id: str | None = None
    lease_until: Micros | None = None
    updated_at: Micros

    def applied_risk(self) -> AppliedRisk | None:
        """The verdict that decided this payment, once one has."""
        return msgspec.json.decode(self.risk, type=AppliedRisk) if self.risk else None

    def is_unsent(self) -> bool:
        """Whether it is, or was, held for a reviewer before any issuer was asked."""
        risk = self.applied_risk() if self.risk_outcome == "review" else None
        return risk is not None and risk.hold == "unsent"

    def refused(self) -> LastRefusal | None:
        """The last capture, void or refund that the processor refused."""
        return msgspec.json.decode(self.last_refusal, type=LastRefusal) if self.last_refusal else None


def may_be_unasked(state: PaymentState) -> bool:
    """Whether a payment of this state may never have come to an issuer."""
    match state:
        case "processing" | "in_review" | "declined" | "voided":
            return True
        case "requires_action" | "authorized" | "partially_captured" | "captured" | "failed" | "unknown":
            return False
        case _:
            assert_never(state)


payments = table_of("payments", PaymentRow)
_c = payments.c


def _index(column: str, where: ColumnElement[bool] | None = None) -> Index:
    """Payments by a column, the order of lists within it."""
    return Index(f"ix_payments_{column}", _c[column], _c.id, sqlite_where=where, postgresql_where=where)


# One for each filter of a list (`payment_lists`). An entry costs each payment its writing: there is none for what
# nearly every payment has in the end, and none for a null.
ORDINARY = {"state": "captured", "risk_outcome": "allow"}
for _name in ("customer_id", "merchant_id", "currency", "amount"):
    _index(_name)
for _name in ("processor", "last4", "reference"):
    _index(_name, _c[_name].is_not(None))
for _name, _value in ORDINARY.items():
    _index(_name, _c[_name] != literal_column(f"'{_value}'"))
_is_leased = _c.lease_until.is_not(None)
Index(
    "ix_payments_due",
    _c.recovery_point,
    _c.processor,
    _c.lease_until,
    sqlite_where=_is_leased,
    postgresql_where=_is_leased,
)
_is_paid = _c.amount_captured > literal_column("0")  # as a bind value it would keep the index from being used
Index("ix_payments_paid", _c.stream_key, sqlite_where=_is_paid, postgresql_where=_is_paid)

_names = PaymentRow.__struct_fields__
_changing = _names[_names.index("state") :]

_insert = Statement(insert(payments))
_select = Statement(select(payments).where(_c.id == bindparam("payment_id")))
_update = Statement(
    update(payments).where(_c.id == bindparam("payment_id"), _c.version == bindparam("from_version")), _changing
)
_interrupted = Statement(
    select(_c.id)
    .where(_c.recovery_point == "received", _c.processor.is_(None), _c.lease_until <= bindparam("before"))
    .order_by(_c.lease_until)
    .limit(bindparam("most"))
)
_approved = Statement(
    select(_c.id)
    .where(
        _c.recovery_point == "approved",
        _c.processor == bindparam("at_processor"),
        _c.lease_until <= bindparam("now"),
    )
    .order_by(_c.lease_until)
    .limit(bindparam("most"))
)

_overdue = Statement(
    select(_c.id)
    .where(_c.recovery_point == "finished", _c.lease_until <= bindparam("now"))
    .order_by(_c.lease_until)
    .limit(bindparam("most"))
)
_of_customer = Statement(
    select(_c.id)
    .where(_c.customer_id == bindparam("of_customer_id"), _c.id > bindparam("after_id"))
    .order_by(_c.id)
    .limit(bindparam("most"))
)
_made_to = Statement(select(_c.id).where(_c.merchant_id == bindparam("of_merchant_id")).limit(1))
# Another version: whoever read a payment before does not answer with what it read.
_forget = Statement(
    update(payments)
    .where(_c.id == bindparam("payment_id"))
    .values(version=_c.version + 1, description=null(), metadata=null(), return_url=null())
)
_has_text = _c.description.is_not(None) | _c.metadata.is_not(None) | _c.return_url.is_not(None)
_newest = Statement(
    select(_has_text.label("has_text"))
    .where(_c.customer_id == bindparam("of_customer_id"))
    .order_by(_c.id.desc())
    .limit(bindparam("most"))
)
_paid = Statement(select(_c.id).where(_c.stream_key == bindparam("of_stream_key"), _is_paid).limit(1))


def insert_payment(conn: Connection, row: PaymentRow) -> PaymentRow:
    """Write a new payment; it is returned with its texts sealed."""
    sealed = persons.sealed_row(conn, PAYMENT_TEXTS, row)
    _insert(conn, **msgspec.structs.asdict(sealed))
    return sealed


def open_texts(conn: Connection, row: PaymentRow) -> PaymentRow:
    """The payment with what its payer wrote; without it once they were erased."""
    return persons.opened_rows(conn, PAYMENT_TEXTS, [row])[0]


def select_payment(conn: Connection, payment_id: str) -> PaymentRow | None:
    """The payment of this id."""
    row = _select(conn, payment_id=payment_id).first()
    return struct_of(PaymentRow, row) if row else None


def existing_payment(conn: Connection, payment_id: str) -> PaymentRow:
    """The payment of this id. Raises `LookupError` where there is none."""
    row = select_payment(conn, payment_id)
    if row is None:
        raise LookupError(payment_id)
    return row


def update_payment(conn: Connection, row: PaymentRow) -> PaymentRow:
    """Write what may change of a payment, from the version that `row` carries. Raises `Outdated`."""
    newer = msgspec.structs.replace(row, version=row.version + 1)
    values = msgspec.structs.asdict(newer)
    if not _update(conn, payment_id=row.id, from_version=row.version, **values).rowcount:
        raise Outdated(row.id)
    return newer


def select_interrupted(conn: Connection, before: int, most: int) -> list[str]:
    """Ids of up to `most` payments that were received, whose lease ran out by `before` (steady clock)."""
    return [row.id for row in _interrupted(conn, before=before, most=most)]


def select_overdue(conn: Connection, now: int, most: int) -> list[str]:
    """Ids of up to `most` payments that rest, and waited until `now` (steady clock) for somebody to decide."""
    return [row.id for row in _overdue(conn, now=now, most=most)]


def select_approved(conn: Connection, processor: ProcessorName, now: int, most: int) -> list[str]:
    """Ids of up to `most` payments approved at a processor, whose lease ran out by `now` (steady clock)."""
    return [row.id for row in _approved(conn, at_processor=processor, now=now, most=most)]


def has_paid(conn: Connection, stream_key: str) -> bool:
    """Whether money was ever taken from this instrument."""
    return _paid(conn, of_stream_key=stream_key).first() is not None


def forget_texts(conn: Connection, customer_id: str, after_id: str, most: int) -> list[str]:
    """Take what a payer wrote, and where they came from, out of `most` payments past `after_id`; their ids."""
    found = [row.id for row in _of_customer(conn, of_customer_id=customer_id, after_id=after_id, most=most)]
    _forget.many(conn, [{"payment_id": payment_id} for payment_id in found])
    return found


def newest_have_texts(conn: Connection, customer_id: str) -> bool:
    """Whether any of a payer's newest payments, as one that came in just now, has what `forget_texts` takes."""
    return any(row.has_text for row in _newest(conn, of_customer_id=customer_id, most=NEWEST))


def was_paid(conn: Connection, merchant_id: str) -> bool:
    """Whether any payment was ever made to a merchant, or tried."""
    return _made_to(conn, of_merchant_id=merchant_id).first() is not None
