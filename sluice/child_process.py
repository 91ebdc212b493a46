"""One process of the stack: started, probed, its output read, restarted when it exits."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from asyncio.subprocess import Process as Running
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from connectors.lasting import LastingTask
from schemas.times import boot_micros
from sluice.output_log import OutputLog
from sluice.processes import Process, settings_classes
from sluice.settings import environment

ProcessState = Literal["starting", "ready", "backoff", "stopped"]

LAUNCH = Path(__file__).with_name("launch.py")
CHUNK = 64 * 1024
PROBE_EVERY_S = 0.1
BACKOFF_MAX_S = 30.0
FREE_MIN = 1024 * 1024  # bytes: all of ours write less at a start
STEADY_S = 10.0  # after so long the next crash counts as the first
AGAIN_AT_ONCE = 75  # EX_TEMPFAIL of sysexits.h: the process asks to be restarted at once


class Child:
    """A process while the stack runs.

    `state`, `pid`, `since_us` (when this pid was started, by `boot_micros`) and `restarts` are shown by `sluice
    status`.
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
        self._reading: LastingTask | None = None
        self._crashes = 0
        self._unready_reason = ""

    async def keep(self) -> None:
        """Run the process, and again whenever it exits, until cancelled. Only an exit brings a restart."""
        while True:
            started = time.monotonic()
            ended = await self._run_once()
            self.pid, self.since_us = None, None
            if time.monotonic() - started > STEADY_S:
                self._crashes = 0
            if not self._at_once(ended):
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
            await self._reading.done()
        self.pid, self.since_us = None, None
        self._turn("stopped")
        self._log.close()

    def _at_once(self, ended: int | Exception) -> bool:
        return ended == AGAIN_AT_ONCE or (self.process.may_die and self.state == "ready")

    async def _run_once(self) -> int | Exception:
        """Its exit code, or why it could not be started."""
        self.state, self._unready_reason = "starting", ""
        try:
            if self.process.prepare is not None:
                await asyncio.to_thread(self.process.prepare)
            self._running = running = await self._start()
        except Exception as error:  # reported and retried like a crash, whatever it is
            return error
        self.pid, self.since_us = running.pid, boot_micros()
        self._turn("starting", f"pid {running.pid}")
        # It continues while the process is being stopped.
        self._reading = LastingTask(self._read(running), "output of a process", returns=True)
        probing = LastingTask(self._probe(running.pid), "probe of a process", returns=True)
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
        while not await self._is_ready(pid):  # noqa: ASYNC110 - a probe has no event to wait for
            await asyncio.sleep(PROBE_EVERY_S)
        self._turn("ready", f"pid {pid}, after {time.monotonic() - began:.1f} s")
        self.was_ready.set()

    async def _is_ready(self, pid: int) -> bool:
        try:
            return await self.process.probe(pid)
        except Exception as error:  # whatever answers there, or stands in its file, it is not this process
            self._tell_unready(f"{type(error).__name__}: {error}")
            return False

    def _tell_unready(self, reason: str) -> None:
        """Say why it cannot be ready, such as a missing secret: once, for it is asked ten times a second."""
        if reason != self._unready_reason:
            self._unready_reason = reason
            self._turn("starting", f"not ready: {reason}")

    async def _back_off(self, ended: int | Exception) -> None:
        """Wait before the next start: 1 s after the first crash, twice as long after each further one.

        What ended while the disk was full is started as soon as there is room again, and begins anew to count.
        """
        delay = min(2.0**self._crashes, BACKOFF_MAX_S)
        self._crashes += 1
        was_full = is_full(self._data)
        self._turn("backoff", f"{_how(ended)}, again in {delay:.0f} s{' or with room on the disk' * was_full}")
        until = time.monotonic() + delay
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, PROBE_EVERY_S))
            if was_full and not is_full(self._data):
                self._crashes = 0
                return

    def _turn(self, state: ProcessState, detail: str = "") -> None:
        self.state = state
        self._changed(self, detail)


def _how(ended: int | Exception) -> str:
    if isinstance(ended, Exception):
        return f"cannot be started: {ended}"
    return f"killed by {signal.Signals(-ended).name}" if ended < 0 else f"exited with {ended}"


def is_full(data: Path) -> bool:
    """Whether the disk of the data directory has less room than a process needs to come up."""
    try:
        return shutil.disk_usage(data).free < FREE_MIN
    except OSError:
        return False
