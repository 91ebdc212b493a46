"""kill -9 of each process during a replay: it is restarted, all stores agree, nobody is charged twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.charges import assert_charged_once
from tests.end_to_end.shop import Shop
from tests.end_to_end.stack import Stack
from tests.patience import until

PAYMENTS = 300
PER_SECOND = 150
FAULTS = ["silence", "apply_then_silence", "apply_then_reset", "apply_then_500", "half_body", "garbage"]

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["gateway", "vault", "fraud", "notifications", "analytics", "kafka"])
def test_a_process_killed_in_the_middle(
    stack: Stack, shop: Shop, history: Callable[[int], Path], name: str
) -> None:
    begun, restarts = _captured(stack), stack.now()[name].restarts
    with stack.replay(history(PAYMENTS), PER_SECOND) as summary:
        until(lambda: _captured(stack) > begun + PAYMENTS // 4, 120)
        stack.kill(name)
        told = summary()
    assert told["payments"] == PAYMENTS
    if name != "gateway":  # whose payments may end without having been sent
        assert "failed" not in told["outcomes"]
    until(lambda: stack.now()[name].restarts > restarts)
    stack.await_ready()
    stack.reconcile()
    assert_charged_once(shop)


def test_a_gateway_killed_while_processors_misbehave(
    stack: Stack, shop: Shop, history: Callable[[int], Path]
) -> None:
    for processor in ("visa", "mastercard"):
        for fault in FAULTS:
            shop.fault(processor, fault, operation="authorize", times=4)
        for operation in ("lookup", "void", "reversal"):
            shop.fault(processor, "garbage", operation=operation, times=2)
    begun = _captured(stack)
    with stack.replay(history(PAYMENTS), PER_SECOND) as summary:
        until(lambda: _captured(stack) > begun + PAYMENTS // 4, 120)
        stack.kill("gateway")
        told = summary()
    assert "unknown" in told["outcomes"]
    stack.reconcile()
    assert_charged_once(shop)


def _captured(stack: Stack) -> int:
    return stack.count("SELECT count(*) FROM payments WHERE state = 'captured'")
