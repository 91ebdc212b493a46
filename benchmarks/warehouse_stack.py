"""Kafka alone, and beside it the two processes that keep a warehouse, which are started again at once."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.stack import PROGRAM, Stack, free_offset
from connectors.warehouse import WarehouseAway, WarehouseReader
from flows.analytics.settings import AnalyticsSettings, SqlSettings
from flows.analytics.view_hash import HashedSpan, ViewHash, view_hash
from sluice import processes
from sluice.settings import benchmark_environment

T = TypeVar("T")

KEEPERS = {"analytics": "reconcile", "sql": "sql"}  # each process, and a reader of it
STOPPED_WITHIN_S = 20.0
ANSWERS_WITHIN_S = 120.0
# The hash of all rows is one statement: what readers of `sql` may ask is proven elsewhere.
LIMITS = {"SLUICE_STATEMENT_S": f"{ANSWERS_WITHIN_S:.0f}"}


class Keeper:
    """`analytics` or `sql` beside a stack of Kafka alone."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._stack, self.name = stack, name
        self._settings = settings_of(stack)[name]
        self._reader = WarehouseReader(stack.settings, KEEPERS[name])
        self._command = next(each.command for each in processes.stack(stack.settings) if each.name == name)
        self.start()

    def start(self) -> None:
        """Start it, as the supervisor does."""
        with (self._settings.data / f"{self.name}.log").open("ab") as log:
            environment = self._stack.environment | LIMITS
            self._process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows, as soon as it answers."""
        return until(lambda: self._try(sql))

    def hash_at(self, records: int) -> ViewHash:
        """The hash of all it has, as soon as it has read so many records."""
        return until(lambda: self._hash_at(records))

    def _hash_at(self, records: int) -> ViewHash | None:
        if sum(next_offset for (next_offset,) in self.ask("SELECT next_offset FROM pipeline_health")) < records:
            return None
        return view_hash(self.ask, HashedSpan())

    def _try(self, sql: str) -> list[tuple[Any, ...]] | None:
        with suppress(WarehouseAway):
            return self._reader.query(sql).rows
        return None


@contextmanager
def broker(folder: Path | None = None) -> Iterator[Stack]:
    """A stack of Kafka alone, on a data directory of its own, or on `folder`, which stays."""
    with tempfile.TemporaryDirectory(prefix="sluice-warehouse-") as temporary:
        data, offset = folder or Path(temporary), free_offset()
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [sys.executable, "-c", PROGRAM, "up", "--data", str(data), "--only", "kafka"]
        with (data / "up.log").open("wb") as log:
            supervisor = subprocess.Popen(command, env=benchmark_environment(data, offset), stdout=log, stderr=log)
        try:
            stack = Stack(data, offset, supervisor, time.monotonic())
            stack.await_ready("kafka")
            yield stack
        finally:
            supervisor.terminate()
            supervisor.wait(STOPPED_WITHIN_S)


@contextmanager
def keeping(stack: Stack, name: str) -> Iterator[Keeper]:
    """One of the two processes, until the end of the block."""
    keeper = Keeper(stack, name)
    try:
        yield keeper
    finally:
        keeper.kill()


def settings_of(stack: Stack) -> dict[str, AnalyticsSettings | SqlSettings]:
    """The settings of each of the two."""
    data, offset = stack.settings.data, stack.settings.port_offset
    return {
        "analytics": AnalyticsSettings(data=data, port_offset=offset),
        "sql": SqlSettings(data=data, port_offset=offset),
    }


def until(found: Callable[[], T | None], within_s: float = ANSWERS_WITHIN_S) -> T:
    """What is found at last. Raises `TimeoutError`."""
    by = time.monotonic() + within_s
    while (result := found()) is None:
        if time.monotonic() > by:
            raise TimeoutError("the warehouse does not come as far")
        time.sleep(0.05)
    return result
