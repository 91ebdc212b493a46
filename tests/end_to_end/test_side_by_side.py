"""Two stacks on one machine, and a stack that is stopped or killed."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.shop import Shop, number
from tests.end_to_end.stack import STOPPED_WITHIN_S, Stack
from tests.patience import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

FEW = ("kafka", "sandbox", "vault")


def test_a_second_stack_disturbs_nobody_and_stops_whole(
    stack: Stack, shop: Shop, tmp_path: Path, free_offset: Callable[[], int]
) -> None:
    before = {name: (entry.pid, entry.restarts) for name, entry in stack.now().items()}
    with Stack(tmp_path / "data", free_offset(), *FEW).running() as other:
        family = other.family()
        assert shop.pay(number("visa", 460_001)).json["state"] == "captured"
        assert Shop(other).ledger() == []
        other.up.terminate()
        assert other.up.wait(STOPPED_WITHIN_S) == 0
        assert [process for process in family if process.is_running()] == []
    assert {name: (entry.pid, entry.restarts) for name, entry in stack.now().items()} == before
    assert stack.is_ready()


def test_a_killed_stack_leaves_no_orphan(tmp_path: Path, free_offset: Callable[[], int]) -> None:
    with Stack(tmp_path / "data", free_offset(), *FEW).running() as stack:
        family = stack.family()
        assert len(family) > len(FEW)
        stack.up.kill()
        _, left = psutil.wait_procs(family, timeout=60)
        assert left == []
        until(lambda: {entry.state for entry in stack.now().values()} == {"stopped"})
