"""One process of the stack: started, probed, restarted when it exits, its output written to its log file."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from asyncio.subprocess import Process as Running
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from schemas.times import boot_micros
from sluice.processes import Process, settings_classes
from sluice.settings import environment

ProcessState = Literal["starting", "ready", "backoff", "stopped"]

LAUNCH = Path(__file__).with_name("launch.py")
CHUNK = 64 * 1024
LOG_SIZE_MAX = 64 * 1024 * 1024  # bytes; one older file is kept beside it
PROBE_EVERY_S = 0.1
BACKOFF_MAX_S = 30.0
STEADY_S = 10.0  # after so long the next crash counts as the first
AGAIN_AT_ONCE = 75  # EX_TEMPFAIL of sysexits.h: the process asks to be restarted at once

# Routine: JSON of level info or debug, and what is indented, the frames between a traceback's first and last line.
ROUTINE = re.compile(rb'"level":\s*"(info|debug)"|^\s|^$')


class OutputLog:
    """The log file of process `name`. `show` gets each line for the terminal, prefixed with the name.

    `everything`: routine lines are shown as well.
    """

    def __init__(self, directory: Path, name: str, show: Callable[[str], None], everything: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{name}.log"
        self._file = self._path.open("ab")
        self._name = name
        self._show = show
        self._everything = everything
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Write output; a line may be cut over several chunks."""
        self._file.write(chunk)
        self._file.flush()
        if self._file.tell() > LOG_SIZE_MAX:
            self._turn_over()
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if self._everything or not ROUTINE.search(line):
                self._show(f"{self._name:<13} | {line.decode(errors='replace').rstrip()}")

    def close(self) -> None:
        """Nothing may be fed after this."""
        self._file.close()

    def _turn_over(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_suffix(".log.1"))
        self._file = self._path.open("ab")


class Child:
    """A process while the stack runs.

    `state`, `pid`, `since` (UTC, when this pid was started) and `restarts` are shown by `sluice status`.
    """

    def __init__(
        self, process: Process, data: Path, log: OutputLog, changed: Callable[["Child", str], None]
    ) -> None:
        """`changed` is called after each change of state, with a text for the terminal."""
        self.process = process
        self.name = process.name
        self.state: ProcessState = "starting"
        self.pid: int | None = None
        self.since_us: int | None = None
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
            self.pid, self.since_us = None, None
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
        """Return once the process has ended and its whole output is in the log."""
        if self._running is not None:
            await self._running.wait()
        if self._reading is not None:
            await self._reading
        self.pid, self.since_us = None, None
        self._turn("stopped")
        self._log.close()

    async def _run_once(self) -> int | Exception:
        """Its exit code, or why it could not be started."""
        self.state = "starting"
        try:
            if self.process.prepare is not None:
                await asyncio.to_thread(self.process.prepare)
            self._running = running = await self._start()
        except Exception as error:  # reported and retried like a crash, whatever it is
            return error
        self.pid, self.since_us = running.pid, boot_micros()
        self._turn("starting", f"pid {running.pid}")
        self._reading = asyncio.create_task(self._read(running))  # continues while the process is being stopped
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
        while not await self.process.probe(pid):  # noqa: ASYNC110 - a probe has no event to wait for
            await asyncio.sleep(PROBE_EVERY_S)
        self._turn("ready", f"pid {pid}, after {time.monotonic() - began:.1f} s")
        self.was_ready.set()

    async def _back_off(self, ended: int | Exception) -> None:
        """Wait before the next start: 1 s after the first crash, twice as long after each further one."""
        delay = min(2.0**self._crashes, BACKOFF_MAX_S)
        self._crashes += 1
        self._turn("backoff", f"{_how(ended)}, again in {delay:.0f} s")
        await asyncio.sleep(delay)

    def _turn(self, state: ProcessState, detail: str = "") -> None:
        self.state = state
        self._changed(self, detail)


def _how(ended: int | Exception) -> str:
    if isinstance(ended, Exception):
        return f"cannot be started: {ended}"
    return f"killed by {signal.Signals(-ended).name}" if ended < 0 else f"exited with {ended}"
