"""The sandbox as a process of its own, which a test may kill."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from schemas.settings import PORTS
from tests.conftest import unused_offset
from tests.patience import until


class SandboxProcess:
    """A sandbox process on its own ports and data directory; `kill` is a kill -9."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.offset = unused_offset()
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
        return self._process.wait(60)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def port(self, name: str) -> int:
        return PORTS[name] + self.offset

    def url(self, name: str) -> str:
        return f"http://localhost:{self.port(name)}"

    def _await_health(self) -> None:
        until(self._is_healthy, why=(self.data / "log").read_text)

    def _is_healthy(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self.data / "log").read_text()
        try:
            with urllib.request.urlopen(f"{self.url('sandbox')}/healthz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
