"""A Kafka as it was without passwords and rights: what the stack's own is compared with."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.settings import load
from sluice import broker, jars
from sluice.broker_secrets import broker_secrets
from sluice.own_kafka import own_broker
from sluice.settings import StackSettings

READY_WITHIN_S = 180.0
OF_RIGHTS = ("authorizer.", "allow.everyone.", "super.users")


class OpenKafka:
    """The running broker: where it is, and its process id."""

    def __init__(self, bootstrap: str, pid: int) -> None:
        self.bootstrap, self.pid = bootstrap, pid


@contextmanager
def running(folder: Path, port_offset: int) -> Iterator[OpenKafka]:
    """A broker of our own make, to which everybody comes in plain text, and may do everything."""
    settings = StackSettings(data=folder, port_offset=port_offset)
    node, path = own_broker(settings), jars.class_path(load(StackSettings).cache)
    broker.prepare(node, path, broker_secrets(settings))
    properties = node.directory / "server.properties"
    lines = properties.read_text().splitlines()
    properties.write_text("\n".join(line for line in lines if not line.startswith(OF_RIGHTS)))
    with subprocess.Popen(broker.command(node, path), stdout=subprocess.DEVNULL) as process:
        try:
            _await_open(node.bootstrap)
            yield OpenKafka(node.bootstrap, process.pid)
        finally:
            process.terminate()


def _await_open(bootstrap: str) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while not broker.is_open(bootstrap):
        if time.monotonic() > until:
            raise TimeoutError("Kafka does not come up")
        time.sleep(0.1)
