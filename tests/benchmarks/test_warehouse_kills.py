"""The short form of the kill series: the long one is `python -m benchmarks.warehouse_kills`."""

import pytest

from benchmarks.warehouse_kills import killings
from benchmarks.warehouse_stack import broker, keeping


@pytest.mark.stack
def test_both_are_exact_and_equal_to_kafka_after_kills() -> None:
    with broker() as stack, keeping(stack, "analytics") as analytics, keeping(stack, "sql") as copy:
        found = killings(stack, [analytics, copy], kills=2)
    assert found.payments > 100
    assert found.exact == found.equal == {"analytics": True, "sql": True}
