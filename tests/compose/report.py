"""One run of a compose file with podman: prepared, proven, reported and cleaned up."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.compose import machine
from tests.compose.containers import Containers

NOT_RUN = (
    "health checks on a schedule and start_interval (no systemd: they are run by hand)",
    "depends_on itself (podman 4.3 does not wait for service_healthy: the services are started in its order)",
    "the official images of Python, PostgreSQL and HAProxy (Debian's own in their place)",
)


class Report:
    """What came out, and how long each step took."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._facts: dict[str, Any] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step and print its seconds."""
        began = time.monotonic()
        print(f"{name:<44}", end="", flush=True)
        yield
        self._seconds[name] = round(time.monotonic() - began, 1)
        print(f"{self._seconds[name]:6.1f} s", flush=True)

    def add(self, **facts: Any) -> None:
        """Put facts into the document."""
        self._facts |= facts

    def document(self, held: bool) -> str:
        """One line of JSON."""
        total = round(sum(self._seconds.values()), 1)
        return json.dumps({"held": held, "total_s": total, "seconds": self._seconds, **self._facts})


def run_stack(file: dict[str, Any], prove: Callable[[Report, Containers], None]) -> int:
    """The exit code; raises what `prove` raises, when everything is cleaned up and told."""
    report, held = Report(), False
    with TemporaryDirectory() as directory:
        machine.configure(Path(directory))
        try:
            prepare(report)
            with running(Path(directory), file, report) as containers:
                prove(report, containers)
            held = True
        finally:
            report.add(not_run=NOT_RUN)
            print(report.document(held), flush=True)
    return 0


def prepare(report: Report) -> None:
    """The machine and the images."""
    with report.step("packages"):
        machine.install_packages()
    with report.step("base image"):
        machine.make_base()
    with report.step("images"):
        machine.build_images()
    report.add(images_mb=machine.sizes_mb())


@contextmanager
def running(directory: Path, file: dict[str, Any], report: Report) -> Iterator[Containers]:
    """The stack, which leaves nothing behind."""
    containers = Containers(directory, file)
    containers.down()  # of a run that was cut short
    try:
        yield containers
    finally:
        with report.step("cleaned up"):
            containers.down()
