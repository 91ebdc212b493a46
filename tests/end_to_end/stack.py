"""A stack as a user starts it, and what tests do to it: kill, freeze, query, reconcile."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from gateway.books.opening import run_once
from sluice import status
from sluice.settings import StackSettings
from sluice.status import ProcessStatus
from tests.patience import until

SLUICE = [sys.executable, "-m", "sluice"]
READY_WITHIN_S = 240
BACK_WITHIN_S = 120
STOPPED_WITHIN_S = 60  # the last is killed after 8 s; the rest is for a busy machine
ANSWER_WITHIN_S = 180

# Short enough to be waited for, long enough for two busy cores; half of what the lease outlasts a call by is what
# a payment waits for a vault that restarts.
PACE = {
    "SLUICE_CALL_TIMEOUT": "4",
    "SLUICE_LEASE": "11",
    "SLUICE_UNKNOWN_WINDOW": "1",
    "SLUICE_VERDICT_BUDGET_MS": "1000",
    "SLUICE_STAND_IN_NEW_CARDS": "100",  # its customer pays by a new card in each test
    "SLUICE_DASHBOARD_REFRESH_S": "5",  # each renewal costs a browser without a graphics card much
    "SLUICE_KAFKA_JIT": "c1",
    "SLUICE_KAFKA": "",
}


class Stack:
    """`sluice up` on a data directory and ports of its own; its books are in a file, or in `database`."""

    def __init__(self, data: Path, offset: int, *names: str, database: str = "", traces: str = "") -> None:
        self.settings = StackSettings(data=data, port_offset=offset)
        self.names = names
        self._database = database or f"sqlite:///{data / 'books.sqlite3'}"
        own = {"SLUICE_DATA": str(data), "SLUICE_PORT_OFFSET": str(offset), "SLUICE_DATABASE_URL": database}
        own["SLUICE_TRACES"] = traces
        self._env = os.environ | PACE | own
        self._out = data / "logs" / "terminal"

    @contextmanager
    def running(self) -> Iterator["Stack"]:
        """The running stack; every process is ready at the beginning and has ended at the end."""
        self._out.parent.mkdir(parents=True)
        only = ["--only", *self.names] if self.names else []
        with self._out.open("w") as out, self.command("up", "--seed", *only, stdout=out, stderr=out) as self.up:
            try:
                until(self.is_ready, READY_WITHIN_S, self._out.read_text)
                yield self
            finally:
                self.up.terminate()
                self.up.wait(STOPPED_WITHIN_S)

    def command(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a `sluice` command on this stack."""
        return subprocess.Popen([*SLUICE, *arguments], env=self._env, text=True, **options)

    def says(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a `sluice` command."""
        with self.command(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
            out, err = ran.communicate(timeout=ANSWER_WITHIN_S)
            return ran.returncode, out, err

    def reconcile(self) -> str:
        """The output of `sluice reconcile`, which must find no difference and nothing in doubt."""
        code, out, err = self.says("reconcile", "--wait", "90")
        assert code == 0, out + err
        return out

    @contextmanager
    def replay(self, file: Path, rate: int) -> Iterator[Callable[[], dict[str, Any]]]:
        """A replay that runs meanwhile; the callable waits for its end and returns its summary."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.command("replay", str(file), "--rate", str(rate), "--json", **pipes) as ran:

            def summary() -> dict[str, Any]:
                out, err = ran.communicate(timeout=ANSWER_WITHIN_S)
                assert ran.returncode == 0, err
                found: dict[str, Any] = json.loads(out)
                return found

            try:
                yield summary
            finally:
                ran.kill()

    def now(self) -> dict[str, ProcessStatus]:
        """The output of `sluice status`, by process name."""
        return {entry.name: entry for entry in status.read(self.settings)}

    def pid(self, name: str) -> int:
        """The process id of a process that runs."""
        return until(lambda: self.now()[name].pid, BACK_WITHIN_S)  # type: ignore[no-any-return]

    def is_ready(self) -> bool:
        """Whether every process is ready."""
        assert self.up.poll() is None, self._out.read_text()
        return all(entry.state == "ready" for entry in self.now().values() if self._has(entry.name))

    def kill(self, name: str) -> None:
        """Kill a process by SIGKILL."""
        os.kill(self.pid(name), signal.SIGKILL)

    def await_ready(self) -> None:
        """Wait until every process that ended is ready again."""
        until(self.is_ready, BACK_WITHIN_S, lambda: self.now())

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process inside the `with` block: its sockets stay open and it does nothing."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def books(self, sql: str, *values: Any) -> list[Any]:
        """Rows of the books, read while the gateway runs; `?` in the statement stands for a value."""
        named = {f"value_{number}": value for number, value in enumerate(values)}
        for name in named:
            sql = sql.replace("?", f":{name}", 1)
        return run_once(self._database, lambda conn: list(conn.execute(text(sql), named)), readonly=True)

    def count(self, sql: str, *values: Any) -> int:
        """The one number a statement returns."""
        return int(self.books(sql, *values)[0][0])

    def family(self) -> list[psutil.Process]:
        """`sluice up` and everything it started."""
        top = psutil.Process(self.up.pid)
        return [top, *top.children(recursive=True)]

    def _has(self, name: str) -> bool:
        return not self.names or name in self.names
