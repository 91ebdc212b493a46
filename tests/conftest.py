"""What tests of several rooms use: a real broker, topics and ports of one's own."""

import os
import random
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.kafka import create_topics
from schemas.settings import PORTS, load
from schemas.topics import Topic
from sluice import broker, jars
from sluice.child import LAUNCH
from sluice.settings import StackSettings

OPEN_WITHIN_S = 60


def unused_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """`free_ports(n)`: so many ports that nobody listened on a moment ago."""
    return unused_ports


@pytest.fixture
def free_offset() -> Callable[[], int]:
    """`free_offset()`: a `SLUICE_PORT_OFFSET` at which every port of a stack is free."""
    return unused_offset


def unused_offset() -> int:
    """An offset at which nobody listened on any port of a stack a moment ago."""
    while True:
        offset = random.randrange(10_000, 23_000)  # below what the kernel gives to clients
        if not any(_listens(port + offset) for port in PORTS.values()):
            return offset


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def class_path() -> list[Path]:
    """The broker's jars, fetched if this machine never had them."""
    cache = load(StackSettings).cache
    jars.provide(cache, lambda _done, _of: None)
    return jars.class_path(cache)


@pytest.fixture(scope="session")
def kafka(class_path: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a real broker with all our topics, started once for the whole run."""
    directory = tmp_path_factory.mktemp("kafka")
    port, controller_port = unused_ports(2)
    node = broker.Broker(directory, port, controller_port, heap_mb=256, jit="c1")
    broker.prepare(node, class_path)
    # By way of the launcher: it dies with pytest, even when pytest is killed.
    launch = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), *broker.command(node, class_path)]
    with (directory / "log").open("wb") as log, subprocess.Popen(launch, stdout=log, stderr=log) as process:
        try:
            _await_open(node.bootstrap, process, directory / "log")
            yield node.bootstrap
        finally:
            process.kill()


@pytest.fixture
def new_topic(kafka: str) -> Callable[..., str]:
    """`new_topic(partitions=1)` makes an empty topic of one's own and returns its name."""

    def make(partitions: int = 1) -> str:
        name = f"test-{secrets.token_hex(6)}"
        create_topics(kafka, [Topic(name, "anything", "Of one test.", (), {}, partitions)])
        return name

    return make


def _await_open(bootstrap: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + OPEN_WITHIN_S
    while not broker.is_open(bootstrap):
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"Kafka did not come up: {log.read_text()[-2000:]}")
        time.sleep(0.1)
