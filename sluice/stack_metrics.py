"""What the supervisor measures: its processes, and room on the disk of the data directory. Prometheus metrics."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from sluice.child_process import Child


class StackMetrics:
    """The processes of one stack, also those without metrics of their own: Kafka, the vault, the sandbox."""

    def __init__(self, registry: CollectorRegistry, data: Path) -> None:
        about = "1 while a process is ready, 0 while it starts, waits to be started again or is stopped."
        self.ready = Gauge("sluice_process_ready", about, ("process",), registry=registry)
        about = "How often a process was started again since the stack was."
        self.restarts = Counter("sluice_process_restarts", about, ("process",), registry=registry)
        about = "Free bytes on the disk of the data directory."
        self.free = Gauge("sluice_disk_free_bytes", about, registry=registry)
        self.size = Gauge("sluice_disk_size_bytes", "Bytes of that disk.", registry=registry)
        self._data = data
        self._counted: dict[str, int] = {}

    def show(self, children: Iterable[Child]) -> None:
        """Show the present state; what the disk does not tell stays as it was."""
        for child in children:
            self.ready.labels(child.name).set(child.state == "ready")
            self.restarts.labels(child.name).inc(child.restarts - self._counted.get(child.name, 0))
            self._counted[child.name] = child.restarts
        with suppress(OSError):
            usage = shutil.disk_usage(self._data)
            self.free.set(usage.free)
            self.size.set(usage.total)
