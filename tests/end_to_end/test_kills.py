"""kill -9 of each process during a replay: it is restarted, all stores agree, nobody is charged twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.postgres import Server, serving
from benchmarks.stack import PAYING
from tests.conftest import unused_offset
from tests.end_to_end.charges import assert_charged_once
from tests.end_to_end.shop import Shop
from tests.end_to_end.stack import Stack
from tests.patience import until

PAYMENTS = 150
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


@pytest.mark.postgres
def test_gateway_and_database_killed_in_the_middle(
    class_path: list[Path], tmp_path: Path, history: Callable[[int], Path]
) -> None:
    with serving(durable=True) as server:
        server.sql("CREATE DATABASE books")
        made = Stack(tmp_path / "data", unused_offset(), *PAYING, database=server.url("books"))
        with made.running() as stack:
            shop = Shop(stack)
            for kill in (lambda: stack.kill("gateway"), lambda: _restart(server, shop)):
                begun = _captured(stack)
                with stack.replay(history(PAYMENTS), PER_SECOND) as summary:
                    until(lambda begun=begun: _captured(stack) > begun + PAYMENTS // 4, 120)
                    kill()
                    assert summary()["payments"] == PAYMENTS
                stack.await_ready()
                stack.reconcile()
                assert_charged_once(shop)


def _restart(server: Server, shop: Shop) -> None:
    server.kill()
    until(lambda: shop.ask("GET", "/readyz").status == 503)
    server.start()
    until(lambda: shop.ask("GET", "/readyz").status == 200)


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
