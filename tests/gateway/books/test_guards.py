"""What the books refuse, whoever writes: a change from a stale row, two open operations, two reversals."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateway.books.engine import Outdated
from gateway.books.operations import (
    Operation,
    OperationOpen,
    open_operation,
    operations,
    select_operation,
    take_lease,
    update_operation,
)
from gateway.books.payments import PaymentRow, existing_payment, insert_payment, update_payment
from gateway.books.verdicts import insert_stand_in
from schemas.operations import OperationKind


def payment() -> PaymentRow:
    fixed = {
        "stream_key": "fp",
        "customer_id": "c",
        "merchant_id": "m",
        "amount": 5,
        "currency": "EUR",
        "method": "card",
    }
    times = {"occurred_at": 0, "created_at": 0, "updated_at": 0}
    return msgspec.convert({"id": "pay", "capture": "manual"} | fixed | times, PaymentRow)


def operation(id: str, kind: OperationKind, **given: Any) -> Operation:
    return Operation(
        id=id,
        payment_id="pay",
        attempt_id="att",
        processor="visa",
        kind=kind,
        amount=5,
        currency="EUR",
        created_at=0,
        **given,
    )


def test_a_payment_changes_only_from_the_version_that_was_read(conn: Connection) -> None:
    insert_payment(conn, payment())
    read = existing_payment(conn, "pay")
    newer = update_payment(conn, msgspec.structs.replace(read, state="authorized"))
    assert newer == existing_payment(conn, "pay")
    with pytest.raises(Outdated):
        update_payment(conn, msgspec.structs.replace(read, state="failed"))
    assert existing_payment(conn, "pay").state == "authorized"


def test_an_operation_changes_only_from_the_status_that_was_read(conn: Connection) -> None:
    sent = operation("op", "sale")
    open_operation(conn, sent)
    update_operation(conn, msgspec.structs.replace(sent, status="unknown"), "sending")
    with pytest.raises(Outdated):
        update_operation(conn, msgspec.structs.replace(sent, status="failed"), "sending")
    found = select_operation(conn, "op")
    assert found is not None
    assert found.status == "unknown"


def test_an_expired_lease_is_taken_once(conn: Connection) -> None:
    due = operation("op", "sale", lease_until=10)
    open_operation(conn, due)
    assert take_lease(conn, due, "one", 99)
    assert not take_lease(conn, due, "other", 99)


@pytest.mark.parametrize("status", ["sending", "unknown"])
def test_a_payment_has_one_open_operation(conn: Connection, status: str) -> None:
    open_operation(conn, operation("op_1", "capture", status=status))
    with pytest.raises(OperationOpen), conn.begin_nested():
        open_operation(conn, operation("op_2", "void"))
    open_operation(conn, operation("op_3", "reversal", parent_id="op_1"))  # has an index of its own
    open_operation(conn, operation("op_4", "capture", status="failed"))


def test_an_operation_is_reversed_once(conn: Connection) -> None:
    first = open_operation(conn, operation("op_1", "reversal", parent_id="op", status="unknown", lease_until=5))
    again = open_operation(conn, operation("op_2", "reversal", parent_id="op", lease_until=9))
    assert (again.id, again.status, again.lease_until) == (first.id, "sending", 9)
    with pytest.raises(IntegrityError):
        conn.execute(operations.insert(), msgspec.structs.asdict(operation("op_3", "reversal", parent_id="op")))


def test_one_verdict_is_applied(conn: Connection) -> None:
    insert_stand_in(conn, "pay", "allow", 0)
    with pytest.raises(IntegrityError):
        insert_stand_in(conn, "pay", "review", 0)
