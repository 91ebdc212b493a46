"""Of what the topics tell twice under one number, the first counts."""

from sluice.backup.from_kafka import told_payment
from tests.flows.analytics.lives import operated, operation

SALE = {"due:visa": 1999, "due:acc_merchant": -1999}


def test_of_two_events_with_one_sequence_of_an_operation_the_first_alone_is_posted() -> None:
    first, second = operated(1, operation(), SALE), operated(1, operation(detail="found again"), SALE)
    other = operated(1, operation(id="op_2"), SALE)
    told = told_payment("pay_1", [first, second, other, operated(2, operation())])
    assert [(e.operation.id, e.sequence, e.operation.detail) for e in told.operations] == [
        ("op_1", 1, ""),
        ("op_2", 1, ""),
        ("op_1", 2, ""),
    ]
