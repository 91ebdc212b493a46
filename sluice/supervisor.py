"""Starts the processes in order of readiness, keeps them running, stops all of them within 10 s."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from connectors.lasting import LastingTask
from sluice.child_process import Child
from sluice.output_log import OutputLog
from sluice.processes import Process

STOP_S = 8.0  # from the first SIGTERM to the last SIGKILL, so that a busy machine stops within 10 s too


class Supervisor:
    """Runs `processes` with the data directory `data`.

    `say` gets each line for the terminal, `changed` is called after each change of any child. `patience_s`: for
    how long a process waits for those it comes `after`. `everything`: see `OutputLog`.
    """

    def __init__(
        self,
        processes: Iterable[Process],
        data: Path,
        say: Callable[[str], None],
        changed: Callable[[], None],
        patience_s: float,
        everything: bool = False,
    ) -> None:
        self._say = say
        self._changed = changed
        self._patience_s = patience_s
        self.children = {
            p.name: Child(p, data, OutputLog(data / "logs", p.name, say, everything), self._child_changed)
            for p in processes
        }

    async def run(self, stop: asyncio.Event, kill: asyncio.Event) -> None:
        """Run all of them until `stop`; end them in reverse order, at once where `kill` is set as well."""
        keeping = [LastingTask(self._keep(child), "supervision of a process") for child in self.children.values()]
        announcing = LastingTask(self._announce(), "announcement", returns=True)
        await stop.wait()
        for task in (*keeping, announcing):
            await task.stop()
        await self._stop_all(kill)

    async def _keep(self, child: Child) -> None:
        for other in self._present(child.process.needs):
            await other.was_ready.wait()
        await self._wait_a_while(child, self._present(child.process.after))
        await child.keep()

    async def _wait_a_while(self, child: Child, others: list[Child]) -> None:
        """Wait for the others to be ready, but not longer than the patience: one broken process stops no other."""
        try:
            async with asyncio.timeout(self._patience_s):
                for other in others:
                    await other.was_ready.wait()
        except TimeoutError:
            late = ", ".join(other.name for other in others if not other.was_ready.is_set())
            self._say(f"{child.name:<13} starts without waiting longer for {late}")

    def _present(self, names: Iterable[str]) -> list[Child]:
        return [self.children[name] for name in names if name in self.children]

    async def _announce(self) -> None:
        for child in self.children.values():
            await child.was_ready.wait()
        self._say("everything is ready; Ctrl-C stops all of it")

    async def _stop_all(self, kill: asyncio.Event) -> None:
        """Stop level by level; each gets an equal share of the time that is left of `STOP_S`."""
        until = time.monotonic() + STOP_S
        levels = self._levels()
        for left, level in zip(range(len(levels), 0, -1), levels, strict=True):
            await self._stop(level, max(0.0, until - time.monotonic()) / left, kill)

    async def _stop(self, level: list[Child], grace_s: float, kill: asyncio.Event) -> None:
        for child in level:
            child.signal(signal.SIGTERM)
        gone = asyncio.gather(*(child.gone() for child in level))
        killed = asyncio.create_task(kill.wait())
        either: list[asyncio.Future[Any]] = [gone, killed]
        await asyncio.wait(either, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        killed.cancel()
        for child in level:
            child.signal(signal.SIGKILL)
        await gone

    def _levels(self) -> list[list[Child]]:
        """The children in reverse order of their start; those of one level stop at the same time."""
        ranked = sorted(self.children.values(), key=self._rank, reverse=True)
        return [list(level) for _, level in groupby(ranked, key=self._rank)]

    def _rank(self, child: Child) -> int:
        before = self._present((*child.process.needs, *child.process.after))
        return 1 + max(map(self._rank, before), default=0)

    def _child_changed(self, child: Child, detail: str) -> None:
        self._say(f"{child.name:<13} {child.state:<9} {detail}".rstrip())
        self._changed()
