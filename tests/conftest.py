"""What tests of several rooms use: a real broker, topics and ports of one's own."""

import fcntl
import gc
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, cycle, islice
from pathlib import Path

import hypothesis
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from playwright.sync_api import Browser
from structlog.dev import ConsoleRenderer, plain_traceback

from benchmarks.browser import chromium
from benchmarks.postgres import Server, serving
from connectors.kafka import admin_client, create_topics
from connectors.kafka_login import login
from schemas.settings import PORTS, load
from schemas.times import STEADY, steady_micros
from schemas.topic_rights import ANONYMOUS
from schemas.topics import Topic
from sluice import broker, jars, kafka_acls
from sluice.broker_secrets import broker_secrets
from sluice.child_process import LAUNCH
from sluice.own_kafka import own_broker
from sluice.settings import StackSettings
from tests.brokers import is_set_up
from tests.patience import until
from tests.victims import Victim

OPEN_WITHIN_S = 120
DAY_S, MIDNIGHT_IS_NEAR_S = 86_400, 300

# An example may take long on a busy machine. The rest is as hypothesis would have it, with CI set or without.
hypothesis.settings.register_profile(
    "patient", hypothesis.settings.default, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

# Where Rich is installed it draws every traceback with all locals: up to twenty seconds of CPU for one.
ConsoleRenderer.get_active().exception_formatter = plain_traceback

ANYTHING = [
    AclBinding(kind, name, ResourcePatternType.LITERAL, ANONYMOUS, "*", AclOperation.ALL, AclPermissionType.ALLOW)
    for kind, name in (
        (ResourceType.TOPIC, "*"),
        (ResourceType.GROUP, "*"),
        (ResourceType.BROKER, "kafka-cluster"),
    )
]
RUNS = 8  # beside each other on a machine, each with ports of its own
OWN = f"{tempfile.gettempdir()}/sluice-tests-{os.getuid()}"


def _number_of_this_run() -> int:
    """The first number that no other run holds the lock of."""
    for number in count():
        lock = os.open(f"{OWN}-{number}", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends
            break
        except BlockingIOError:
            os.close(lock)
    return number


# Below 32768: what is above may be given to a client at any moment. The highest port of a stack is 9495, so the
# ranges do not meet; its ports differ modulo 29, so two stacks do not meet either.
NUMBER = _number_of_this_run()
RUN = NUMBER % RUNS
PORTS_OF_TESTS = cycle(random.sample(ports := range(27_500 + RUN, 32_768, RUNS), len(ports)))
OFFSETS_OF_TESTS = cycle(random.sample(offsets := range(10_000 + 29 * RUN, 18_000, 29 * RUNS), len(offsets)))


def unused_ports(count: int) -> list[int]:
    """Ports that nobody used a moment ago; none is given twice in a row."""
    return list(islice((port for port in PORTS_OF_TESTS if not is_used(port)), count))


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files go where no other run's do: of runs that end at once, each would clean up after the others.

    They stay until the next run of this number. The path is short: a Unix socket's has 108 characters.
    """
    if config.option.basetemp is None:
        config.option.basetemp = f"{OWN}-{NUMBER}.d"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is cheap comes first, what uses the one big stack last: nothing else runs beside it."""
    items.sort(key=lambda item: (item.get_closest_marker("stack") is not None, _uses_the_stack(item)))


def pytest_collection_finish() -> None:
    """What was imported is not scanned again: a full collection stopped the event loop for half a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # a fifth of a run's time went into collections


def _uses_the_stack(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "stack" in item.fixturenames


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`set_clock(hours)`: the wall clock is set ahead by so many hours, or back, for the rest of the test."""
    seconds, nanoseconds = time.time, time.time_ns

    def set_by(hours: float) -> None:
        monkeypatch.setattr(time, "time", lambda: seconds() + hours * 3600)
        monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + int(hours * 3600) * 10**9)

    return set_by


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`pass_time(seconds)`: the steady clock of this process goes on by so much."""

    def go_on(seconds: float) -> None:
        monkeypatch.setattr(STEADY, "offset_us", STEADY.offset_us + int(seconds * 1_000_000))

    return go_on


@pytest.fixture
def pass_midnight(pass_time: Callable[[float], None]) -> Callable[[], None]:
    """`pass_midnight()`: if the UTC day ends soon, the steady clock goes on into the next one.

    What counts by the day is counted on one then. It holds until a gateway opens its books.
    """

    def go_on() -> None:
        left_s = DAY_S - steady_micros() / 1e6 % DAY_S
        if left_s < MIDNIGHT_IS_NEAR_S:
            pass_time(left_s + 1)

    return go_on


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that this process put on disk by fsync, in order."""
    paths: list[str] = []
    fsync: Callable[[int], None] = os.fsync

    def note(file: int) -> None:
        fsync(file)
        paths.append(os.readlink(f"/proc/self/fd/{file}"))

    monkeypatch.setattr(os, "fsync", note)
    return paths


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """`free_ports(n)`: so many ports that nobody used a moment ago."""
    return unused_ports


@pytest.fixture
def free_offset() -> Callable[[], int]:
    """`free_offset()`: a `SLUICE_PORT_OFFSET` at which every port of a stack is free."""
    return unused_offset


def unused_offset() -> int:
    """An offset at which nobody used any port of a stack a moment ago; none is given twice in a row."""
    return next(o for o in OFFSETS_OF_TESTS if not any(is_used(port + o) for port in PORTS.values()))


def is_used(port: int) -> bool:
    """Whether somebody listens, or did: DuckDB takes no port whose last connections are not forgotten yet."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def contents(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a directory; one that a process renames under our eyes is passed over."""
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield path, path.read_bytes()


# A broker that nobody restarts: where several runs share two cores, a heartbeat may well take 2 s.
PATIENT = "\nbroker.session.timeout.ms=30000\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of a file: it holds the thread's event loop, which those of others need."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def class_path() -> list[Path]:
    """The broker's jars, fetched if this machine never had them."""
    cache = load(StackSettings).cache
    jars.provide(cache, lambda _done, _of: None)
    return jars.class_path(cache)


@pytest.fixture(scope="session")
def kafka_settings(class_path: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackSettings]:
    """Of a stack of which Kafka alone runs, as `sluice up` starts it, once for the whole run.

    One right is added: tests, which come without a password, may write, as any service and as whoever attacks.
    """
    directory = tmp_path_factory.mktemp("kafka")
    settings = StackSettings(data=directory, port_offset=unused_offset(), kafka_heap_mb=256, kafka_jit="c1")
    node = own_broker(settings)
    broker.prepare(node, class_path, broker_secrets(settings))
    with (node.directory / "server.properties").open("a") as properties:
        properties.write(PATIENT)
    # By way of the launcher: it dies with pytest, even when pytest is killed.
    launch = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), *broker.command(node, class_path)]
    with (directory / "log").open("wb") as log, subprocess.Popen(launch, stdout=log, stderr=log) as process:
        try:
            _await_open(settings, process, directory / "log")
            kafka_acls.add_all(admin_client(login(settings, "admin")), ANYTHING)
            yield settings
        finally:
            process.kill()


@pytest.fixture(scope="session")
def kafka(kafka_settings: StackSettings) -> str:
    """Bootstrap servers of a real broker with all our topics, where nobody needs a password."""
    return kafka_settings.bootstrap()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started once for the whole run; its databases are their users' own."""
    with serving(durable=False) as server:
        yield server


@pytest.fixture
def new_topic(kafka: str) -> Callable[..., str]:
    """`new_topic(partitions=1)` makes an empty topic of one's own and returns its name."""

    def make(partitions: int = 1) -> str:
        name = f"test-{secrets.token_hex(6)}"
        create_topics(kafka, [Topic(name, "anything", "Of one test.", (), {}, partitions)])
        return name

    return make


def _await_open(settings: StackSettings, process: subprocess.Popen[bytes], log: Path) -> None:
    def is_open() -> bool:
        assert process.poll() is None, f"Kafka did not come up: {log.read_text()[-2000:]}"
        return is_set_up(settings)

    until(is_open, OPEN_WITHIN_S, lambda: log.read_text()[-2000:])


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Callable[..., Victim]]:
    """`victim(name, program, environment, poke)`; it ends with the test."""
    made: list[Victim] = []

    def make(
        name: str, program: str, environment: dict[str, str] | None = None, poke: Callable[[], object] = bool
    ) -> Victim:
        made.append(Victim(name, program, tmp_path, {"SLUICE_DATA": str(tmp_path)} | (environment or {}), poke))
        return made[0]

    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()
