"""The sandbox as a process of its own, which a test may kill."""

import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from schemas.settings import PORTS

NAMES = ("sandbox", "visa", "mastercard", "paypal")


class SandboxProcess:
    """A sandbox process on its own ports and data directory; `kill` is a kill -9."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.offset = _free_offset()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"SLUICE_DATA": str(self.data), "SLUICE_PORT_OFFSET": str(self.offset)}
        with (self.data / "log").open("ab") as log:
            command = [sys.executable, "-m", "connectors.sandbox"]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self._await_health()

    def stop(self) -> int:
        assert self._process
        self._process.terminate()
        return self._process.wait(10)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def port(self, name: str) -> int:
        return PORTS[name] + self.offset

    def url(self, name: str) -> str:
        return f"http://localhost:{self.port(name)}"

    def _await_health(self) -> None:
        assert self._process
        until = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url('sandbox')}/healthz", timeout=1) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                time.sleep(0.05)
        pytest.fail(f"the sandbox did not come up: {(self.data / 'log').read_text()}")


def _free_offset() -> int:
    while True:
        offset = random.randint(12_000, 50_000)
        try:
            for name in NAMES:
                with socket.create_server(("127.0.0.1", PORTS[name] + offset)):
                    pass
        except OSError:
            continue
        return offset
