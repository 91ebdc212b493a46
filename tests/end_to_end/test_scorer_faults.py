"""The fraud flow killed, paused and slowed while people pay: nothing is taken without a verdict or a budget."""

import pytest

from benchmarks import stack
from benchmarks.scorer_faults import SETTINGS, measured

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def test_no_payment_goes_through_unjudged_and_all_verdicts_come_out_the_same_again() -> None:
    with stack.running(settings=SETTINGS, only=stack.PAYING) as running:
        running.await_ready()
        found = measured(running, faults=3, rate=15)
    assert found.faults == {"killed": 1, "paused": 1, "slowed": 1}
    assert found.audit.is_clean(), found.audit
    assert "stand_in" in found.audit.verdicts
    assert found.replay["differing"] == 0, found.replay
    assert found.replay["verdicts"]
