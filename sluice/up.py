"""`sluice up` and `sluice demo`: the whole stack on one machine, in the foreground."""

import asyncio
import errno
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import click
import msgspec
from prometheus_client import REGISTRY

from connectors.kafka import KafkaRefused, check_login
from connectors.kafka_login import login
from connectors.keyfiles import SecretMissing
from connectors.lasting import LastingTask
from connectors.metrics_server import serve_metrics
from connectors.private_files import keep_private
from gateway.books.opening import sqlite_path
from gateway.settings import GatewaySettings
from schemas.settings import load
from sluice import jars
from sluice.broker import is_open
from sluice.cli import DATA
from sluice.processes import OF_LOCAL, Process, ports_of, shoppers, stack
from sluice.settings import ShopperSettings, StackSettings
from sluice.stack_metrics import StackMetrics
from sluice.status import StateFile, held
from sluice.supervisor import Supervisor
from sluice.terminal import Terminal, stamped

DEMO_ACCOUNTS = ("customer", "merchant", "analyst", "admin")
SEEDED = {"SLUICE_SEED": "1"}
DEMO = SEEDED | {
    "SLUICE_PROXIES": "127.0.0.1,::1",  # its shoppers pay from everywhere, through this machine
    "SLUICE_LABELS_PER_MERCHANT": "1000000",  # and are labelled by one account, which nobody attacks by
    "SLUICE_LABEL_BURST_SOURCE": "1000000",
    "SLUICE_LABEL_BURST_MERCHANT": "1000000",
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CLUSTER_PATIENCE_S = 30.0
NOTED_EVERY_S = 0.5
PORTS_PATIENCE_S = 2.0  # for the ports of a stack that was just stopped


class CannotStart(click.ClickException):
    """The stack cannot be started as asked; the message says why in one line."""


@click.command()
@DATA
@click.option("--only", multiple=True, metavar="NAME…", help="Only these processes.")
@click.option("--seed", is_flag=True, help="Create the demo accounts before the gateway is ready.")
@click.option("--logs", is_flag=True, help="Show routine log lines too, not only warnings and errors.")
@click.argument("more", nargs=-1, metavar="")
def up(data: Path | None, only: tuple[str, ...], seed: bool, logs: bool, more: tuple[str, ...]) -> None:
    """Start the stack and keep it running until SIGINT or SIGTERM; twice SIGINT: at once."""
    if more and not only:
        raise click.UsageError(f"unexpected: {' '.join(more)}")
    run(stack_settings(data), frozenset((*only, *more)), SEEDED if seed else {}, logs)


@click.command()
@DATA
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Purchases per second (SLUICE_SHOPPER_RATE, default 8).",
)
def demo(data: Path | None, rate: float | None) -> None:
    """Start the stack with shoppers that keep paying; Ctrl-C stops all of it."""
    settings = stack_settings(data)
    run(settings, gateway_variables=DEMO, extra=[shoppers(settings, rate)], greeting=_logins())


def _logins() -> str:
    password = load(ShopperSettings).seed_password
    lines = [f"          {name}@example.com" for name in DEMO_ACCOUNTS]
    who = "log in with the password {} as (the dashboards are for analyst and admin)"
    return "\n".join([who.format(password), *lines])


def run(
    settings: StackSettings,
    only: frozenset[str] = frozenset(),
    gateway_variables: dict[str, str] | None = None,
    logs: bool = False,
    extra: Sequence[Process] = (),
    greeting: str = "",
) -> None:
    """Run the stack, all of it or `only` these processes and the `extra` ones, until a signal.

    `greeting` is printed after the addresses, before the first process starts.
    Raises `CannotStart`, `StackRuns`, `JarsUnavailable`, `BadSetting`.
    """
    if settings.gateways > 1 and sqlite_path(load(GatewaySettings).books_url()):
        raise CannotStart("SLUICE_GATEWAYS: several gateways need PostgreSQL, which SLUICE_DATABASE_URL names")
    refuse_local(settings, *only, *(process.name for process in extra))
    chosen = [*_chosen(stack(settings, gateway_variables), only), *extra]
    keep_private(settings.data)
    with held(settings.data):
        if any(process.name == "kafka" for process in chosen):
            jars.provide(settings.cache, show_progress)
        _check_ports(settings, chosen)
        if settings.kafka:
            _await_cluster(settings)
        say(_addresses(settings))
        if greeting:
            say(greeting)
        asyncio.run(_supervise(settings, chosen, logs))


async def _supervise(settings: StackSettings, processes: list[Process], logs: bool) -> None:
    terminal, state = Terminal(), StateFile(settings.data)
    metrics = StackMetrics(REGISTRY, settings.data)
    serve_metrics(settings, "stack_metrics")

    def note_down() -> None:
        state.write(supervisor.children.values())
        metrics.show(supervisor.children.values())

    async def keep_noting() -> None:
        while True:  # what the disk had no room for is noted once it has
            note_down()
            await asyncio.sleep(NOTED_EVERY_S)

    supervisor = Supervisor(processes, settings.data, terminal.say, note_down, settings.start_patience, logs)
    stop, kill = asyncio.Event(), asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, lambda: (kill if stop.is_set() else stop).set())
    noting = LastingTask(keep_noting(), "state of the stack")
    await supervisor.run(stop, kill)
    await noting.stop()
    note_down()
    terminal.close()


def say(line: str) -> None:
    """One line on the terminal, with the time (UTC); none where standard output is on a full disk."""
    with suppress(OSError):
        click.echo(stamped(line))


def show_progress(done: int, of: int) -> None:
    """Print how many jars are fetched: one line that counts, or without a terminal a line for every tenth."""
    text = f"fetching Apache Kafka: {done} of {of} jars"
    if sys.stdout.isatty():
        click.echo(text if done == of else f"{text}\r", nl=done == of)  # an error that follows overwrites the line
    elif done % 10 == 0 or done == of:
        click.echo(text)


def stack_settings(data: Path | None) -> StackSettings:
    """The settings from the environment, with the data directory as an absolute path. Raises `BadSetting`."""
    settings = load(StackSettings)
    return msgspec.structs.replace(settings, data=(data or settings.data).absolute())


def refuse_local(settings: StackSettings, *names: str) -> None:
    """Raises `CannotStart` in production for one of the processes that only the local profile has."""
    for name in names:
        if name in OF_LOCAL and settings.profile != "local":
            raise CannotStart(f"{name} is for the local profile alone, and SLUICE_PROFILE is {settings.profile}")


def _chosen(processes: list[Process], only: frozenset[str]) -> list[Process]:
    names = [process.name for process in processes]
    unknown = only - frozenset(names)
    if unknown:
        raise CannotStart(f"no such process: {', '.join(sorted(unknown))} (there are: {', '.join(names)})")
    return [process for process in processes if not only or process.name in only]


def _check_ports(settings: StackSettings, processes: list[Process]) -> None:
    taken = [settings.port(name) for name in ports_of(processes)]

    def all_free() -> bool:
        taken[:] = [port for port in taken if not is_free(settings.host, port)]
        return not taken

    if not _within(PORTS_PATIENCE_S, all_free):
        in_use = ", ".join(map(str, taken))
        raise CannotStart(f"in use: port {in_use}; SLUICE_PORT_OFFSET moves all of ours together")


def is_free(host: str, port: int) -> bool:
    """Whether nobody else listens on the port at any address of the host: `localhost` may have two."""
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:  # any other says that this machine has no such address
            if error.errno == errno.EADDRINUSE:
                return False
    return True


def _await_cluster(settings: StackSettings) -> None:
    say(f"waiting for Kafka at {settings.kafka}")
    try:
        bootstrap = login(settings, "operator")
        check_login(bootstrap)
    except (KafkaRefused, SecretMissing) as refused:
        raise CannotStart(str(refused)) from None
    replication, min_isr = settings.kafka_replication, settings.kafka_min_isr
    if not _within(CLUSTER_PATIENCE_S, lambda: is_open(bootstrap, replication, min_isr)):
        raise CannotStart(
            f"Kafka at {settings.kafka} (SLUICE_KAFKA) does not answer or has not our topics: `sluice kafka apply`"
        )


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _addresses(settings: StackSettings) -> str:
    return "\n".join(
        [
            f"data in {settings.data}",
            f"          gateway    {settings.url('gateway')}  (API reference: {settings.url('gateway')}/docs)",
            f"          dashboard  {settings.url('dashboard')}",
            f"          mail, SMS  {settings.url('catcher')}",
            f"          Kafka      {settings.bootstrap()}",
        ]
    )
