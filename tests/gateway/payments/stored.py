"""Books with payments, operations and requests in them, for tests of what one transaction writes."""

from typing import Any

import msgspec
from sqlalchemy import Connection, select

from gateway.books.idempotency import KeyedRequest, claim
from gateway.books.operations import Operation, open_operation
from gateway.books.payments import PaymentRow, insert_payment
from gateway.books.postings import Entries, postings
from schemas.operations import OperationKind
from schemas.states import PaymentState
from schemas.times import steady_micros
from tests.gateway.payments import situations

MINUTE_US = 60_000_000
POLICY = msgspec.structs.replace(situations.POLICY, lease_us=MINUTE_US)
REQUEST = KeyedRequest("acc_c", "key", b"same", "customer")
TAKEN = (("due:visa", 500), ("due:acc_m", -500))
HELD = (("hold:visa", 500), ("hold:acc_m", -500))
RELEASED = (("hold:visa", -500), ("hold:acc_m", 500))


def payment_in(conn: Connection, state: PaymentState = "processing", **given: Any) -> PaymentRow:
    """Write a payment."""
    row = situations.payment(state, **given)
    insert_payment(conn, row)
    return row


def operation_in(conn: Connection, kind: OperationKind, **given: Any) -> Operation:
    """Write an operation; it follows nothing unless `given` says so."""
    row = situations.operation(kind, **({"parent_id": None, "parent_reference": None} | given))
    open_operation(conn, row)
    return row


def request_in(conn: Connection, request: KeyedRequest = REQUEST, ok_status: int = 201, on: str = "pay") -> None:
    """Write the key of a request that runs on a payment."""
    claim(conn, request, 0, steady_micros() + MINUTE_US, subject_id=on, ok_status=ok_status)


def posted(conn: Connection, operation_id: str) -> Entries:
    """What was posted because of an operation, in order."""
    rows = conn.execute(select(postings).where(postings.c.source_id == operation_id).order_by(postings.c.id))
    return tuple((row.account, row.amount) for row in rows)


def is_a_minute_away(moment: int | None) -> bool:
    """Whether a lease taken just now, or on a slow machine a little earlier, runs out then."""
    return moment is not None and 0 <= steady_micros() + MINUTE_US - moment < MINUTE_US / 2
