"""The event loop in a thread of its own, as a synchronous engine waits for it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from connectors import loop_thread
from connectors.loop_thread import LoopThread


class EndsAtTheSlice(Future[Any]):
    """Ends between the end of a slice and the look at whether it has ended."""

    def result(self, timeout: float | None = None) -> Any:
        """The result, and a timeout that comes just before it."""
        found = super().result()
        if timeout is not None:
            raise TimeoutError
        return found


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    one = LoopThread()
    yield one
    one.close()


async def answer() -> int:
    return 42


async def time_out() -> None:
    raise TimeoutError("of the work itself")


def test_work_that_ends_with_a_slice_is_done(loop: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("concurrent.futures.Future", EndsAtTheSlice)
    assert loop.run(answer()) == 42


def test_a_timeout_of_the_work_itself_is_raised(loop: LoopThread) -> None:
    with pytest.raises(TimeoutError, match="of the work itself"):
        loop.run(time_out())


def test_whoever_waits_is_called_while_work_lasts(loop: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_thread, "SLICE_S", 0.01)
    called = threading.Event()

    async def until_called() -> str:
        await asyncio.to_thread(called.wait)
        return "done"

    assert loop.run(until_called(), called.set) == "done"
