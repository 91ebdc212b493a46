"""A whole stack of one's own: free ports, a data directory that goes away, every process as users run it."""

import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.settings import environment
from schemas.settings import PORTS
from sluice.settings import ReplaySettings, StackSettings
from sluice.status import read

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 20.0


class NotReady(Exception):
    """The stack did not come up; the message is the end of its log."""


class Stack:
    """A running stack. `began`: when its start was asked for (`time.monotonic`)."""

    def __init__(self, data: Path, port_offset: int, supervisor: "subprocess.Popen[bytes]", began: float) -> None:
        self.settings = StackSettings(data=data, port_offset=port_offset)
        self.replay = ReplaySettings(data=data, port_offset=port_offset)
        self.environment = environment(data, port_offset)
        self.began = began
        self._supervisor = supervisor

    def await_ready(self, *names: str) -> None:
        """Wait until these processes are ready; without names, all of them. Raises `NotReady`."""
        until = time.monotonic() + READY_WITHIN_S
        while not self._are_ready(names):
            if self._supervisor.poll() is not None or time.monotonic() > until:
                raise NotReady((self.settings.data / "up.log").read_text()[-2000:])
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        """Every process of the stack by name, the supervisor too."""
        running = {entry.name: entry.pid for entry in read(self.settings) if entry.pid}
        return {**running, "supervisor": self._supervisor.pid}

    def _are_ready(self, names: tuple[str, ...]) -> bool:
        return all(entry.state == "ready" for entry in read(self.settings) if not names or entry.name in names)


@contextmanager
def running() -> Iterator[Stack]:
    """Start a stack, and stop it again."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        data, offset = Path(folder), free_offset()
        command = [sys.executable, "-c", "from sluice.cli import main; main()", "up", "--seed", "--data", folder]
        began = time.monotonic()
        with (data / "up.log").open("wb") as log:
            supervisor = subprocess.Popen(command, env=environment(data, offset), stdout=log, stderr=log)
        try:
            yield Stack(data, offset, supervisor, began)
        finally:
            supervisor.terminate()
            supervisor.wait(STOPPED_WITHIN_S)


def free_offset() -> int:
    """A port offset at which nobody listens on any port of a stack."""
    while True:
        offset = random.randrange(10_000, 23_000)  # below what the kernel gives to clients
        if not any(_listens(port + offset) for port in PORTS.values()):
            return offset


def free_port() -> int:
    """A port that nobody listens on: that of a gateway that is not there."""
    return PORTS["gateway"] + free_offset()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
