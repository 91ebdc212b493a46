"""Processes whose lasting tasks and threads are killed for real: each ends of it within 5 s, and says of what."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from connectors.lasting import DIED
from tests.patience import until

WITHIN_S = 5.0
BUSY = 3  # so much longer it may take where all tests run at once
ROOT = Path(__file__).parents[1]

# What each process has, by the names of its tasks and threads; `tests/tidy/test_lasting.py` misses none.
GATEWAY = (
    "alerts",
    "audit heads",
    "browse",
    "clock of the books",
    "commit",
    "confirmations",
    "controls",
    "group commit",
    "late verdicts",
    "outbox marks",
    "labels",
    "outbox sweep",
    "passwords",
    "passwords of known callers",
    "persons",
    "pruning",
    "recovery",
    "relay",
    "verdicts",
)
GATEWAY_ON_POSTGRES = ("lease of this worker",)
VAULT = ("group commit", "rotation", "vault audit", "vault writer")
VAULT_OF_TWO = ("vault certificates", "vault copy", "vault office", "vault replica", "vault standby")
FLOWS = ("event loop", "query guard", "teller")
SUPERVISOR = (
    "announcement",
    "output of a process",
    "probe of a process",
    "state of the stack",
    "supervision of a process",
    "terminal",
)
LASTING = {*GATEWAY, *GATEWAY_ON_POSTGRES, *VAULT, *VAULT_OF_TWO, *FLOWS, *SUPERVISOR}


class Victim:
    """A process with an assassin in it. `poke` wakes what waits for work, for only then can a thread be ended."""

    def __init__(
        self, name: str, program: str, folder: Path, environment: dict[str, str], poke: Callable[[], object]
    ) -> None:
        self._name, self._poke = name, poke
        self._log = folder / "log"
        command = [sys.executable, "-m", "benchmarks.assassin", name, program]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log
            )

    def killed(self, is_ready: Callable[[], object]) -> None:
        """Kill it once it is ready; it must end in time, and say of what."""
        until(lambda: is_ready() or self.process.poll() is not None, why=self.said)
        began = time.monotonic()
        self.process.send_signal(signal.SIGUSR2)
        until(self._has_ended, why=self.said)
        assert time.monotonic() - began < WITHIN_S * BUSY
        assert self.process.returncode == DIED, self.said()
        assert self._name in [line.get("task") for line in self._lines() if line.get("event") == "task.died"]

    def said(self) -> str:
        """What it printed."""
        return self._log.read_text()

    def _has_ended(self) -> bool:
        self._poke()
        return self.process.poll() is not None

    def _lines(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]
