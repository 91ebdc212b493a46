"""One process of the stack while the stack runs: started, awaited, started again when it exits."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from asyncio.subprocess import Process as Running
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

from schemas.times import now
from sluice.log import Log
from sluice.processes import Process, settings_classes
from sluice.settings import environment

State = Literal["starting", "ready", "backoff", "stopped"]

LAUNCH = Path(__file__).with_name("launch.py")
CHUNK = 64 * 1024
PROBE_EVERY_S = 0.1
BACKOFF_MAX_S = 30.0
STEADY_S = 10.0  # up for so long: the next crash counts as the first
AGAIN_AT_ONCE = 75  # EX_TEMPFAIL of sysexits.h: the process left on purpose and wants to be started again


class Child:
    """`state`, `pid`, `since` (UTC, when this pid was started) and `restarts` are what status shows."""

    def __init__(self, process: Process, data: Path, log: Log, changed: Callable[["Child", str], None]) -> None:
        self.process = process
        self.name = process.name
        self.state: State = "starting"
        self.pid: int | None = None
        self.since: datetime | None = None
        self.restarts = 0
        self.was_ready = asyncio.Event()
        self._data = data
        self._log = log
        self._changed = changed
        self._running: Running | None = None
        self._reading: asyncio.Task[None] | None = None
        self._crashes = 0

    async def keep(self) -> None:
        """Run the process, and again whenever it exits, until cancelled. Only an exit brings a restart."""
        while True:
            started = time.monotonic()
            ended = await self._run_once()
            self.pid, self.since = None, None
            if time.monotonic() - started > STEADY_S:
                self._crashes = 0
            if ended != AGAIN_AT_ONCE:
                await self._back_off(ended)
            self.restarts += 1

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and whatever it started."""
        if self._running is not None and self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, number)

    async def gone(self) -> None:
        """Return once no process of this child runs and its last words are in the log."""
        if self._running is not None:
            await self._running.wait()
        if self._reading is not None:
            await self._reading
        self.pid, self.since = None, None
        self._turn("stopped")
        self._log.close()

    async def _run_once(self) -> int | Exception:
        """Its exit code, or why it could not be started."""
        self.state = "starting"
        try:
            if self.process.prepare is not None:
                await asyncio.to_thread(self.process.prepare)
            self._running = running = await self._start()
        except Exception as error:  # whatever it is, it is said, and tried again later like a crash
            return error
        self.pid, self.since = running.pid, now()
        self._turn("starting", f"pid {running.pid}")
        self._reading = asyncio.create_task(self._read(running))  # goes on while the process is being stopped
        probing = asyncio.create_task(self._probe(running.pid))
        try:
            return await running.wait()
        finally:
            probing.cancel()

    async def _start(self) -> Running:
        launched = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), *self.process.command]
        known = environment(settings_classes(self.process), self._data) | self.process.given
        return await asyncio.create_subprocess_exec(
            *launched, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=STDOUT, env=known, process_group=0
        )

    async def _read(self, running: Running) -> None:
        assert running.stdout is not None
        while chunk := await running.stdout.read(CHUNK):
            self._log.feed(chunk)

    async def _probe(self, pid: int) -> None:
        began = time.monotonic()
        while not await self.process.probe(pid):  # noqa: ASYNC110 - nobody could set an event for us
            await asyncio.sleep(PROBE_EVERY_S)
        self._turn("ready", f"pid {pid}, after {time.monotonic() - began:.1f} s")
        self.was_ready.set()

    async def _back_off(self, ended: int | Exception) -> None:
        delay = min(2.0**self._crashes, BACKOFF_MAX_S)
        self._crashes += 1
        self._turn("backoff", f"{_how(ended)}, again in {delay:.0f} s")
        await asyncio.sleep(delay)

    def _turn(self, state: State, detail: str = "") -> None:
        self.state = state
        self._changed(self, detail)


def _how(ended: int | Exception) -> str:
    if isinstance(ended, Exception):
        return f"cannot be started: {ended}"
    return f"killed by {signal.Signals(-ended).name}" if ended < 0 else f"exited with {ended}"
