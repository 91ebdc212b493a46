"""A stack for the benchmarks, on free ports and a temporary data directory, and what its processes cost."""

import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, assert_never

import click
import psutil
from msgspec.structs import replace

from benchmarks import open_kafka
from benchmarks.figures import Cost
from benchmarks.open_kafka import OpenKafka
from benchmarks.postgres import Server, serving
from connectors.kafka_login import Bootstrap, login
from schemas.settings import PORTS
from sluice.settings import ReplaySettings, StackSettings, benchmark_environment
from sluice.status import read

Database = Literal["sqlite", "postgres"]
KafkaKind = Literal["scram", "tls", "plain"]  # how our services come: with passwords, with TLS too, or as nobody

READY_WITHIN_S = 300.0  # of a machine that others keep busy, as in the tests
STOPPED_WITHIN_S = 20.0
RECONCILED_WITHIN_S = 120
MB = 1024 * 1024
PROGRAM = "from sluice.cli import main; main()"
# What a payment goes through, and the warehouse that `sluice reconcile` compares: no pages, no messages, no SQL.
PAYING = ("kafka", "sandbox", "vault", "fraud", "analytics", "gateway")


# Where no verdict comes in time the stand-in lets everything through: the cards and their one customer are new.
OPEN_STAND_IN = {
    "SLUICE_STAND_IN_NEW_CARDS": "1000000",
    "SLUICE_STAND_IN_FIRST_CARD_CAP": "1000000",
    "SLUICE_STAND_IN_MERCHANT_CAP": "1000000000",
}


class NotReady(Exception):
    """The stack did not come up; the message is the end of its log."""


class Stack:
    """A running stack. `began`: when its start was asked for (`time.monotonic`, s). `server`: its PostgreSQL's.

    `open_kafka`: the Kafka that it uses instead of its own. `only`: the processes that it has, else all.
    """

    def __init__(
        self,
        data: Path,
        port_offset: int,
        supervisor: "subprocess.Popen[bytes]",
        began: float,
        server: Server | None = None,
        open_kafka: OpenKafka | None = None,
        only: Sequence[str] = (),
    ) -> None:
        self.settings = StackSettings(data=data, port_offset=port_offset)
        self.replay = ReplaySettings(data=data, port_offset=port_offset)
        self.environment = _environment(data, port_offset, server)
        self.server = server
        self._open_kafka = open_kafka
        self._only = only
        self.began = began
        self._supervisor = supervisor

    def await_ready(self, *names: str) -> None:
        """Wait until these processes are ready; without names, all that it has. Raises `NotReady`."""
        until = time.monotonic() + READY_WITHIN_S
        while not self._are_ready(names or self._only):
            if self._supervisor.poll() is not None or time.monotonic() > until:
                raise NotReady((self.settings.data / "up.log").read_text()[-2000:])
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        """The pid of every process of the stack by name, the supervisor too."""
        running = {entry.name: entry.pid for entry in read(self.settings) if entry.pid}
        database = {"postgres": self.server.pid()} if self.server else {}
        kafka = {"kafka": self._open_kafka.pid} if self._open_kafka else {}
        return {**running, **database, **kafka, "supervisor": self._supervisor.pid}

    def kafka(self) -> Bootstrap:
        """By which a benchmark comes to its Kafka: it reads and writes what it likes."""
        return self._open_kafka.bootstrap if self._open_kafka else login(self.settings, "admin")

    def books_url(self) -> str:
        """The address of the gateway's database."""
        return self.server.url() if self.server else f"sqlite:///{self.settings.data / 'books.sqlite3'}"

    def sluice(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A `sluice` command on this stack, once it has ended."""
        command = [sys.executable, "-m", "sluice", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def reconciles(self, within_s: int = RECONCILED_WITHIN_S) -> bool:
        """Whether `sluice reconcile` comes to find no difference; else what it found is printed."""
        return self.succeeds("reconcile", "--wait", str(within_s))

    def succeeds(self, *words: str) -> bool:
        """Whether a `sluice` command ends well; else what it said is printed."""
        ran = self.sluice(*words)
        if ran.returncode:
            click.echo(ran.stdout[-1500:] + ran.stderr[-500:], err=True)
        return ran.returncode == 0

    def _are_ready(self, names: Sequence[str]) -> bool:
        entries = [entry for entry in read(self.settings) if not names or entry.name in names]
        elsewhere = {"kafka"} if self._open_kafka else set()
        return all(entry.state == "ready" for entry in entries if entry.name not in elsewhere)


class Meter:
    """Adds up the CPU time of processes (name → pid) while it is `counting`; of this one as `load generator`."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._processes["load generator"] = psutil.Process()
        self._cpu_s = dict.fromkeys(self._processes, 0.0)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Add the CPU time that is used inside the `with` block."""
        before = {name: _cpu_s(process) for name, process in self._processes.items()}
        yield
        for name, process in self._processes.items():
            self._cpu_s[name] += _cpu_s(process) - before[name]

    def per(self, payments: int) -> dict[str, Cost]:
        """CPU milliseconds per payment, and the present memory, by process."""
        return {name: self._cost(name, process, payments) for name, process in self._processes.items()}

    def _cost(self, name: str, process: psutil.Process, payments: int) -> Cost:
        memory = process.memory_full_info()
        return Cost(round(self._cpu_s[name] * 1000 / payments, 2), round(memory.pss / MB), round(memory.rss / MB))


@contextmanager
def running(
    database: Database = "sqlite",
    folder: Path | None = None,
    program: str = PROGRAM,
    settings: Mapping[str, str] = {},
    data: Path | None = None,
    kafka: KafkaKind = "scram",
    server_in: Path | None = None,
    offset: int | None = None,
    only: Sequence[str] = (),
) -> Iterator[Stack]:
    """A stack that was started, and is stopped at the end; with PostgreSQL it has a durable server of its own.

    `folder`: where its data goes. `data`: what is there already and stays. `program`: what runs `sluice`.
    `settings`: variables beyond those of its place. `server_in`: where PostgreSQL keeps its data. `offset`: of its
    ports, else any. `only`: these processes.
    """
    with (
        _folder(folder, data) as place,
        _server(database, server_in) as server,
        _kafka(place, kafka) as opened,
        _running(server, place, program, only, settings, kafka, opened, offset or free_offset()) as stack,
    ):
        yield stack


@contextmanager
def _server(database: Database, within: Path | None) -> Iterator[Server | None]:
    match database:
        case "postgres":
            with serving(durable=True, within=within) as server:
                yield server
        case "sqlite":
            yield None
        case _:
            assert_never(database)


@contextmanager
def _folder(where: Path | None, data: Path | None) -> Iterator[Path]:
    if data:
        yield data
    else:
        with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=where) as folder:
            yield Path(folder)


@contextmanager
def _kafka(data: Path, kind: KafkaKind) -> Iterator[OpenKafka | None]:
    match kind:
        case "plain":
            with open_kafka.running(data / "open", free_offset()) as opened:
                yield opened
        case "scram" | "tls":
            yield None
        case _:
            assert_never(kind)


@contextmanager
def _running(
    server: Server | None,
    data: Path,
    program: str,
    only: Sequence[str],
    settings: Mapping[str, str],
    kafka: KafkaKind,
    opened: OpenKafka | None,
    offset: int,
) -> Iterator[Stack]:
    began = time.monotonic()
    given = {"SLUICE_KAFKA_SECURITY": "sasl_ssl"} if kafka == "tls" else {}
    if opened:
        given = {"SLUICE_KAFKA": opened.bootstrap}
    environment = _environment(data, offset, server) | given | dict(settings)
    with (data / "up.log").open("wb") as log:
        supervisor = subprocess.Popen(_up(program, data, only), env=environment, stdout=log, stderr=log)
    try:
        stack = Stack(data, offset, supervisor, began, server, opened, only)
        stack.environment |= given  # of its commands, and of what else a benchmark starts
        stack.settings = replace(stack.settings, kafka_security="sasl_ssl" if kafka == "tls" else None)
        yield stack
    finally:
        supervisor.terminate()
        supervisor.wait(STOPPED_WITHIN_S)


def _up(program: str, data: Path, only: Sequence[str]) -> list[str]:
    chosen = ["--only", *only] if only else []
    return [sys.executable, "-c", program, "up", "--seed", "--data", str(data), *chosen]


def _environment(data: Path, port_offset: int, server: Server | None) -> dict[str, str]:
    database = {"SLUICE_DATABASE_URL": server.url()} if server else {}
    return benchmark_environment(data, port_offset) | database


def free_offset() -> int:
    """A port offset at which nobody listens on any port of a stack."""
    while True:
        offset = random.randrange(10_000, 23_000)  # below the kernel's range of ports for clients
        if not any(_listens(port + offset) for port in PORTS.values()):
            return offset


def free_port() -> int:
    """A port on which nobody listens."""
    return PORTS["gateway"] + free_offset()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _cpu_s(process: psutil.Process) -> float:
    """Its CPU time, and that of a PostgreSQL server's processes, which live as long as the connections."""
    return sum(_own_cpu_s(one) for one in (process, *_backends(process)))


def _backends(process: psutil.Process) -> list[psutil.Process]:
    return process.children() if process.name() == "postgres" else []


def _own_cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
