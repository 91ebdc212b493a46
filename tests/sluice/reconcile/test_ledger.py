"""Our operations against the processors' records: each difference is found."""

from typing import Any

import pytest

from gateway.books.operations import Operation
from sluice.reconcile.ledger import ProcessorRecord, differences, landed

CUT = 1_000


def operation(id: str = "op_1", **given: Any) -> Operation:
    usual: dict[str, Any] = {
        "payment_id": "pay_1",
        "attempt_id": "att_1",
        "processor": "visa",
        "kind": "sale",
        "amount": 500,
        "currency": "EUR",
        "status": "succeeded",
        "created_at": 1,
        "finished_at": 2,
    }
    return Operation(id=id, **(usual | given))


def row(request_id: str = "op_1", **given: Any) -> ProcessorRecord:
    usual: dict[str, Any] = {
        "id": 1,
        "processor": "visa",
        "operation": "sale",
        "reference": "att_1",
        "amount": 500,
        "currency": "EUR",
        "status": "applied",
        "at": "2026-11-23T12:00:00Z",
    }
    return ProcessorRecord(request_id=request_id, **(usual | given))


def found(operations: list[Operation], rows: list[ProcessorRecord]) -> list[str]:
    return list(differences(operations, rows, CUT))


def test_what_agrees_is_not_mentioned() -> None:
    assert found([operation()], [row()]) == []
    assert found([operation(status="declined")], [row(status="declined")]) == []


@pytest.mark.parametrize(
    ("operations", "rows"),
    [
        ([], [row()]),
        ([operation()], []),
        ([operation()], [row(amount=501)]),
        ([operation()], [row(currency="USD")]),
        ([operation()], [row(), row(id=2)]),
        ([operation(status="failed")], [row()]),
        ([operation(status="declined")], [row()]),
    ],
)
def test_each_difference_is_found(operations: list[Operation], rows: list[ProcessorRecord]) -> None:
    assert len(found(operations, rows)) == 1


def test_what_came_after_the_cut_is_set_aside() -> None:
    assert found([operation(finished_at=CUT + 1)], []) == []
    assert found([operation(status="sending", finished_at=None)], [row()]) == []


def test_what_landed_late_is_in_doubt_until_its_last_look() -> None:
    watched, given_up = operation(status="failed", lease_until=CUT + 1), operation(status="failed")
    assert landed([watched], [row()]) == ["op_1"]
    assert found([watched], [row()]) == []
    assert landed([watched], []) == landed([watched], [row(status="declined")]) == []
    assert landed([given_up], [row()]) == []
    assert len(found([given_up], [row()])) == 1


def test_a_decline_whose_money_was_freed_agrees() -> None:
    freed = operation("op_2", kind="reversal", parent_id="op_1")
    rows = [row(operation="authorize"), row("op_2", id=2, operation="reversal", of=1)]
    assert found([operation(status="declined"), freed], rows) == []
